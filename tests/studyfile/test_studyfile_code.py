"""Which code a study names, and that nobody imports it unasked."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.data.callables import is_callable_name
from hpo.errors import InputError
from hpo.studyfile import load_space
from hpo.studyfile.code import code_folder, code_of, refuse_code
from hpo.studyfile.spec import DataSpec, StudySpec

SPACE = load_space({"model": "mlp", "optimizer": {"learning_rate": {"float": [1e-3, 1e-1]}}})
PLAIN = StudySpec("shop", SPACE, DataSpec("shop.csv", test_source="https://host:8080/test.csv"))


def naming(*, model: str = "mlp", **data: str) -> StudySpec:
    return replace(PLAIN, space=replace(PLAIN.space, model=model), data=replace(PLAIN.data, **data))


@pytest.mark.parametrize("source", ["sklearn:digits", "data-dir:a.csv", "C:/a.csv", "s3://bucket/a.npz", "a.parquet"])
def test_most_studies_name_none(source: str) -> None:
    spec = naming(source=source, model="cnn")
    assert code_of(spec) == {}
    refuse_code(spec, allowed=False)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (naming(model="nets:build"), {"space.model": "nets:build"}),
        (naming(model="nets:a:b"), {"space.model": "nets:a:b"}),
        (naming(source="shop.rows:load"), {"data.source": "shop.rows:load"}),
        (naming(source="rows:load", model="nets:build"), {"space.model": "nets:build", "data.source": "rows:load"}),
        (naming(source="reference://a.csv::http://host/b.csv"),
         {"data.source": "reference://a.csv::http://host/b.csv"}),
        (naming(test_source="simplecache::reference://a.csv::http://host/b.csv"),
         {"data.test_source": "simplecache::reference://a.csv::http://host/b.csv"}),
    ],
)  # fmt: skip
def test_code_is_named_and_refused_unless_allowed(spec: StudySpec, found: dict[str, str]) -> None:
    assert code_of(spec) == found
    with pytest.raises(InputError) as refused:
        refuse_code(spec, allowed=False)
    assert {p.key: p.got for p in refused.value.problems} == found
    assert all("--allow-code" in p.remedy for p in refused.value.problems)
    refuse_code(spec, allowed=True)


@pytest.mark.parametrize("name", ["../shop", "/shop", "a/b", "..", ""])
def test_a_recorded_name_that_leads_elsewhere_is_refused(name: str) -> None:
    for allowed in (False, True):
        with pytest.raises(InputError, match="a study's name, without slashes"):
            refuse_code(replace(PLAIN, name=name), allowed=allowed)


@pytest.mark.parametrize("source", ["a:b", "a.b:c", "_a._b:_c", "a1:b2", "data_dir:x", "SKLEARN:x"])
def test_whatever_the_data_layer_would_call_is_seen(source: str) -> None:
    assert is_callable_name(source)
    assert code_of(naming(source=source))


def test_the_folder_of_a_study_is_searched_for_its_own_code_alone(tmp_path: Path) -> None:
    before = list(sys.path)
    with code_folder(replace(PLAIN, base=str(tmp_path))):
        assert sys.path == before
    with code_folder(replace(naming(model="nets:build"), base=str(tmp_path))):
        assert sys.path == [*before, str(tmp_path)]
    assert sys.path == before
