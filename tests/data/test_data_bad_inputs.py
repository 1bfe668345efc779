"""Bad inputs end in one InputError that names where, what was expected, what came and what to do."""

import gzip

import numpy as np
import pytest
from data_support import local, table, write_csv

from hpo.data import describe_file, load
from hpo.errors import InputError
from hpo.studyfile.spec import DataSpec
from hpo.values import Task


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("HPO_DATA_DIR", raising=False)
    write_csv(tmp_path / "good.csv", table())
    return tmp_path


def refused(source, folder, **spec):
    with pytest.raises(InputError) as caught:
        local(source, base=folder, **spec)
    for problem in caught.value.problems:
        assert problem.where
        assert problem.expected
        assert problem.got
        assert problem.remedy.strip()
    return str(caught.value)


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return name


SETTINGS = [
    ("missing.csv", {}, ["data.source", "missing.csv"]),
    ("god.csv", {}, ['Did you mean "good.csv"?']),
    ("good.xls", {}, ["data.source", ".parquet"]),
    ("data-dir:adult.csv", {}, ["--data-dir", "adult.csv"]),
    ("nosuchscheme://x/t.csv", {}, ["data.source", "fsspec"]),
    ("sklearn:digit", {}, ['Did you mean "digits"?']),
    ("no_such_module_x:f", {}, ["no_such_module_x"]),
    ("math:no_function", {}, ["a function in math"]),
    ("good.csv", {}, ["data.target", "size, weight, colour, kind"]),
    ("good.csv", {"target": "kinds"}, ["data.target", 'Did you mean "kind"?']),
    ("good.csv", {"target": 9}, ["data.target", "-4 to 3"]),
    ("good.csv", {"target": "kind", "drop": ("sizes",)}, ["data.drop", 'Did you mean "size"?']),
    ("good.csv", {"target": "kind", "drop": ("kind",)}, ["data.drop", "the target"]),
    ("good.csv", {"target": "kind", "drop": ("size", "weight", "colour")}, ["at least one column"]),
    ("good.csv", {"target": "kind", "metric": "rmse"}, ["objective.metric", "accuracy"]),
    ("good.csv", {"target": "size", "metric": "auc"}, ["objective.metric", "rmse"]),
    ("good.csv", {"target": "colour", "metric": "auc"}, ["objective.metric", "multiclass"]),
    ("good.csv", {"target": "kind", "metric": "acuracy"}, ['Did you mean "accuracy"?']),
    ("good.csv", {"target": "kind", "task": Task.REGRESSION}, ["numbers, as data.task is regression"]),
    ("good.csv", {"target": "kind", "task": Task.MULTICLASS}, ["data.task", "2 classes"]),
    ("good.csv", {"target": "colour", "task": Task.BINARY}, ["data.task", "3 classes"]),
    ("good.csv", {"target": "size", "task": Task.MULTICLASS}, ["classes of several rows each"]),
    ("good.csv", {"target": "kind", "folds": 200}, ["data.folds", "at least 200 rows"]),
    ("good.csv", {"target": "kind", "folds": 1, "valid": 0.5, "test": 0.5}, ["at least two rows to train on"]),
    ("good.csv", {"target": "kind", "test_source": "absent.csv"}, ["data.test_source", "absent.csv"]),
    ("sklearn:wine", {"test_source": "good.csv"}, ["data.test_source", "Leave it out"]),
    ("sklearn:wine", {"drop": ("alcohol",)}, ["data.drop", "arrays"]),
    (".", {}, ["data.source"]),
]


@pytest.mark.parametrize(("source", "spec", "words"), SETTINGS)
def test_settings(folder, source, spec, words):
    message = refused(source, folder, **spec)
    for word in words:
        assert word in message


CONTENTS = {
    "empty": ("", {}, "an empty file"),
    "blank": ("\n\n  \n", {}, "expected"),
    "header only": ("a,b\n", {"target": "b"}, "only a line of column names"),
    "ragged": ("a,b\n1,2\n1,2,3\n", {"target": "b"}, "line 3"),
    "doubled names": ("a,a,b\n1,2,3\n", {"target": "b"}, "a more than once"),
    "one class": ("a,b\n" + "1,x\n2,x\n" * 9, {"target": "b"}, "at least two classes"),
    "one value": ("a,b\n" + "1,5\n2,5\n" * 9, {"target": "b", "task": Task.REGRESSION}, "a target that varies"),
    "nan target": ("a,b\n1,x\n2,y\n3,?\n4,\n", {"target": "b"}, "2 rows without one, first row 3"),
    "text among numbers": (
        "a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(30)) + "12o,1\n",
        {"target": "b"},
        '"12o" in row 31',
    ),
    "text in a numeric target": (
        "a,b\n" + "".join(f"{i % 7},{i}.5\n" for i in range(60)) + "3,many\n",
        {"target": "b"},
        '"many" in row 61',
    ),
    "only the target": ("b\n" + "x\ny\n" * 9, {"target": "b"}, "no column besides the target"),
    "all columns identify": (
        "id,b\n" + "".join(f"{i},{i % 2}\n" for i in range(50)),
        {"target": "b"},
        "like an identifier",
    ),
    "one row": ("a,b\n1,x\n", {"target": "b"}, "at least two classes"),
    "three rows": ("a,b\n1,x\n2,x\n3,y\n4,y\n", {"target": "b"}, "classes with at least 3 rows"),
    "too large": ("a,b\n" + "1e39,x\n2,y\n" * 9, {"target": "b"}, "3e38"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents(folder, name):
    text, spec, words = CONTENTS[name]
    assert words in refused(write(folder, "bad.csv", text), folder, **spec)


def test_damaged_files(folder):
    whole = gzip.compress((folder / "good.csv").read_bytes())
    (folder / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "not.csv.gz").write_bytes(b"plain text")
    (folder / "not.npz").write_bytes(b"plain text")
    (folder / "not.parquet").write_bytes(b"plain text")
    (folder / "latin.csv").write_bytes("a,b\nJosé,x\n".encode("latin-1"))
    for name in ("cut.csv.gz", "not.csv.gz", "not.npz", "not.parquet"):
        assert name in refused(name, folder, target="kind")
    assert "UTF-8" in refused("latin.csv", folder, target="b")


def test_arrays(folder):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2

    def saved(**arrays):
        np.savez(folder / "a.npz", **arrays)
        return "a.npz"

    assert "expected an array of numbers, got text" in refused(saved(x=x.astype(str), y=y), folder)
    assert "x_train" in refused(saved(data=x, label=y), folder)
    assert "one target a row" in refused(saved(x=x, y=y[:50]), folder)
    assert "one target a row" in refused(saved(x=x, y=np.eye(2)[y]), folder)
    assert "rows of at least one feature" in refused(saved(x=x[:, 0], y=y), folder)
    assert "images without NaN" in refused(saved(x=np.full((60, 2, 2), np.nan), y=y), folder)
    assert "shape" in refused(saved(x=np.zeros((60, 2, 2, 2, 2)), y=y), folder)
    assert "rows of shape (3,)" in refused(saved(x_train=x, y_train=y, x_test=x[:, :2], y_test=y), folder)
    assert "without one" in refused(saved(x=x, y=np.where(y, np.nan, 1.0)), folder)
    objects = np.array([{}] * 60, dtype=object)
    np.savez(folder / "o.npz", x=objects, y=y)
    assert "arrays of objects" in refused("o.npz", folder)


def test_test_files(folder):
    columns = table(30, seed=1)

    def against(**changes):
        changed = {name: v for name, v in {**columns, **changes}.items() if v is not None}
        write_csv(folder / "test.csv", changed)
        return refused("good.csv", folder, target="kind", test_source="test.csv")

    assert "none named weight" in against(weight=None)
    assert '"maybe"' in against(kind=["maybe"] * 30)
    assert "numbers, as in the training rows" in against(size=["big"] * 30)
    assert "without one" in against(kind=["?"] * 30)
    assert "header = true" in refused("good.csv", folder, target=-1, header=False)
    write_csv(folder / "bare.csv", columns, header=False)
    write(folder, "test.csv", "1,2,3\n")
    assert "4 columns" in refused("bare.csv", folder, target=-1, header=False, test_source="test.csv")


def test_functions(folder):
    write(folder, "bad_data_source.py", "def number():\n    return 3\n\nthing = 4\n")
    assert "got int" in refused("bad_data_source:number", folder)
    assert "a function in bad_data_source" in refused("bad_data_source:thing", folder)
    spec = DataSpec("bad_data_source:number")
    with pytest.raises(InputError, match="runs no code"):
        load(spec, seed=0, metric=None, base=str(folder), data_dir=None, allow_code=False)


def test_problems_of_target_and_drop_come_together(folder):
    with pytest.raises(InputError) as caught:
        local("good.csv", base=folder, target="kin", drop=("sizes", "weigth"))
    assert [problem.key for problem in caught.value.problems] == ["data.target", "data.drop", "data.drop"]


def test_data_folder_that_is_none(folder):
    with pytest.raises(InputError, match="data folder"):
        load(DataSpec("data-dir:t.csv"), seed=0, metric=None, base=".", data_dir=str(folder / "nowhere"))


def test_description_refuses_an_unknown_target(folder):
    with pytest.raises(InputError, match="Did you mean"):
        describe_file(str(folder / "good.csv"), "kinds")
