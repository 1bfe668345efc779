"""Sources: every form of file, arrays, functions, URLs; and fingerprints of what came from them."""

import gzip
import lzma

import fsspec
import numpy as np
import pandas as pd
import pytest
from data_support import local, table, write_csv

from hpo.data import describe_file
from hpo.data.textfiles import sniff_header, sniff_separator
from hpo.values import Task


@pytest.fixture
def frame():
    return pd.DataFrame(table(200))


def same(a, b):
    return np.array_equal(a.prepared.x, b.prepared.x) and np.array_equal(a.prepared.y, b.prepared.y)


def test_every_form_of_file_gives_the_same_rows(tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "semi.csv", index=False, sep=";")
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    (tmp_path / "t.tsv.xz").write_bytes(lzma.compress((tmp_path / "t.tsv").read_bytes()))
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "t.csv").read_bytes().replace(b"\n", b"\r\n"))
    first = local("t.csv", base=tmp_path, target="kind")
    others = ("t.tsv", "semi.csv", "t.parquet", "t.csv.gz", "t.tsv.xz", "t.parquet.gz", "bom.csv")
    for other in others:
        assert same(first, local(other, base=tmp_path, target="kind")), other
    assert local("t.csv.gz", base=tmp_path, target="kind").test_fingerprint == first.test_fingerprint


def test_url_is_read_through_fsspec(tmp_path, frame):
    with fsspec.open("memory://folder/t.csv", "w") as file:
        frame.to_csv(file, index=False)
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert same(local("memory://folder/t.csv", target="kind"), local(tmp_path / "t.csv", target="kind"))


def test_npz_with_and_without_test_rows(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1200, 5)), rng.integers(0, 3, 1200)
    np.savez(tmp_path / "one.npz", X=x, y=y)
    np.savez(tmp_path / "two.npz", x_train=x[:1000], y_train=y[:1000, None], x_test=x[1000:], y_test=y[1000:])
    one, two = local(tmp_path / "one.npz"), local(tmp_path / "two.npz")
    assert one.rows == 960
    assert two.rows == 1000
    assert np.array_equal(two.open_test().x, x[1000:].astype(np.float32))
    assert np.array_equal(two.open_test().y, y[1000:])


def test_images_with_channels_are_split_too(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (300, 5, 4, 3), np.uint8)
    np.savez(tmp_path / "i.npz", x=x, y=np.array(["cat", "dog", "owl"])[rng.integers(0, 3, 300)])
    dataset = local(tmp_path / "i.npz")
    assert dataset.facts.input_shape == (5, 4, 3)
    assert dataset.facts.classes == ("cat", "dog", "owl")
    test = dataset.open_test()
    assert np.array_equal(x[dataset.prepared.division.test], np.array(test.raw))
    assert dataset.fold(0).x_train.shape[1:] == (5, 4, 3)
    assert dataset.description.single == {}


MODULE = """
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
x = rng.normal(size=(150, 3))
y = (x[:, 0] > 0).astype(int)

def two():
    return x, y

def four():
    return x[:100], y[:100], x[100:], y[100:]

def frame():
    return pd.DataFrame({"a": x[:, 0], "b": ["u", "v", "w"] * 50, "y": y})

def frames():
    f = frame()[["a", "b"]]
    return f[:100], y[:100], f[100:], y[100:]
"""


def test_functions_beside_the_study_file(tmp_path):
    (tmp_path / "my_data_source.py").write_text(MODULE)
    assert local("my_data_source:two", base=tmp_path).facts.input_shape == (3,)
    assert len(local("my_data_source:four", base=tmp_path).open_test().y) == 50
    frame = local("my_data_source:frame", base=tmp_path, target="y")
    assert frame.feature_names == ("a", "b=u", "b=v", "b=w")
    frames = local("my_data_source:frames", base=tmp_path)
    assert frames.feature_names == frame.feature_names
    assert len(frames.open_test().raw) == 50


def test_data_folder_from_the_environment(tmp_path, monkeypatch):
    write_csv(tmp_path / "t.csv", table())
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path))
    assert local("data-dir:t.csv", target="kind").rows == 96


def test_fingerprints_follow_content_and_settings(tmp_path):
    path = write_csv(tmp_path / "t.csv", table(300))
    first = local(path, target="kind")
    assert local(path, target="kind").fingerprint == first.fingerprint
    assert len(first.fingerprint) == 16
    changes = [{"scale": "minmax"}, {"seed": 1}, {"folds": 4}, {"folds": 1}, {"rows": 200}, {"drop": ("size",)}]
    others = [
        local(path, **{"target": "kind", **change}).fingerprint for change in [*changes, {"valid": 0.1, "folds": 1}]
    ]
    assert len({first.fingerprint, *others}) == len(others) + 1
    assert local(path, target="kind", scale="minmax").test_fingerprint == first.test_fingerprint
    assert local(path, target="kind", folds=5).test_fingerprint == first.test_fingerprint
    assert local(path, target="kind", seed=1).test_fingerprint != first.test_fingerprint
    columns = table(300)
    columns["size"][0] += 1
    write_csv(path, columns)
    assert local(path, target="kind").fingerprint != first.fingerprint


def test_column_order_of_the_test_file_does_not_matter(tmp_path):
    columns = table(200)
    write_csv(tmp_path / "train.csv", columns)
    write_csv(tmp_path / "test.csv", dict(reversed(columns.items())))
    dataset = local("train.csv", base=tmp_path, target="kind", test_source="test.csv")
    assert np.array_equal(dataset.open_test().x, dataset.prepared.x)
    assert np.array_equal(dataset.open_test().y, dataset.prepared.y)


def test_numbers_as_labels_and_other_metrics(tmp_path):
    columns = {**table(), "kind": [2.0, 10.0, 1.0] * 40}
    write_csv(tmp_path / "t.csv", columns)
    assert local(tmp_path / "t.csv", target="kind").facts.classes == ("1", "2", "10")
    as_number = local(tmp_path / "t.csv", target="kind", task=Task.REGRESSION, metric="r2")
    assert as_number.facts.task is Task.REGRESSION
    assert as_number.metric == "r2"


def test_blanks_quotes_and_infinities_of_a_text_file(tmp_path):
    rows = [
        f'{i % 9}, "{"ab"[i % 2]}, c", {"inf" if i == 5 else i % 7} , {"yes" if i % 3 else "no"} ' for i in range(90)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a, b ,n, kind", *rows]))
    dataset = local(tmp_path / "t.csv", target="kind")
    assert dataset.facts.classes == ("no", "yes")
    assert dataset.feature_names == ("a", "b=a, c", "b=b, c", "n")
    assert dataset.description.origin.missing == {"n": 1}
    assert np.isfinite(dataset.prepared.x).all()


@pytest.mark.parametrize(
    ("lines", "separator", "header"),
    [
        (["a,b", "1,2", "3,4"], ",", True),
        (["1,2", "3,4"], ",", False),
        (["a;b", "1,5;2", "3,5;4"], ";", True),
        (["x\ty", "p\tq", "r\tq"], "\t", True),
        (["red,big", "blue,small", "red,big"], ",", False),
        (['"a, b",c', '"x, y",1'], ",", True),
    ],
)
def test_separator_and_header_are_sniffed(lines, separator, header):
    assert sniff_separator(lines) == separator
    assert sniff_header(lines, separator) is header


def test_description_of_a_file_loads_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "t.csv", table(), separator=";")
    spec, lines = describe_file("t.csv", None)
    assert (spec.target, spec.task) == ("kind", Task.BINARY)
    assert any("the last column" in line for line in lines)
    assert local(spec.source, target=spec.target, task=spec.task).facts.classes == ("no", "yes")
    spec, _ = describe_file("sklearn:digits", None)
    assert spec.task is Task.MULTICLASS
