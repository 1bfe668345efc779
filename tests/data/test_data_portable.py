"""The portable preprocessing JSON, followed by a few lines of plain Python, gives the encoded matrix exactly."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from data_support import ADULT, CALIFORNIA, CHURN, local, real, table, write_csv


def follow(preprocessing, rows):
    """The encoded vectors of raw rows, by the JSON alone."""

    def is_missing(cell):
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return True
        return isinstance(cell, str) and cell.strip() in preprocessing["missing"]

    encoded = []
    for row in rows:
        named = row if isinstance(row, dict) else dict(zip(preprocessing["all_columns"], row, strict=True))
        vector = []
        for column in preprocessing["columns"]:
            cell = named[column["name"]]
            missing = is_missing(cell)
            if column["kind"] == "number":
                value = column["fill"] if missing else float(cell)
                vector.append(value if math.isfinite(value) else column["fill"])
            else:
                vector += [float(not missing and str(cell).strip() == text) for text in column["categories"]]
                vector += [float(missing)] * column["missing"]
        encoded.append(vector)
    return np.array(encoded, np.float32)


def assert_followed(dataset):
    test = dataset.open_test()
    portable = json.loads(json.dumps(dict(dataset.preprocessing)))
    assert np.array_equal(follow(portable, test.raw), test.x)


@pytest.mark.parametrize("spec", [ADULT, CHURN, CALIFORNIA], ids=["adult", "churn", "california"])
def test_json_alone_encodes_the_real_sets(spec):
    dataset = real(**spec, rows=3000)
    assert_followed(dataset)
    assert dataset.preprocessing["header"] is (spec is not ADULT)


def test_exported_loader_encodes_adult_alike():
    from hpo.training.bundle_loader import Model

    dataset = real(**ADULT, rows=2000)
    test = dataset.open_test()
    model = Model(None, dict(dataset.preprocessing), {"task": "binary", "classes": list(dataset.facts.classes)})
    assert np.array_equal(model.encode(test.raw[:500]), test.x[:500])


def test_typed_columns_of_parquet(tmp_path):
    rng = np.random.default_rng(0)
    rows = 300
    frame = pd.DataFrame(
        {
            "whole": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
            "flag": rng.random(rows) < 0.5,
            "half": rng.random(rows).astype(np.float32),
            "word": pd.Series(rng.choice(["a", " b", "c "], rows)),
            "grade": pd.Categorical(rng.choice(["x", "y"], rows)),
            "target": rng.normal(size=rows),
        }
    )
    frame.loc[::7, "whole"] = pd.NA
    frame.loc[::5, "word"] = None
    frame.loc[3, "half"] = np.inf
    frame.to_parquet(tmp_path / "t.parquet")
    dataset = local(tmp_path / "t.parquet", folds=1)
    names = ("whole", "flag", "half", "word=a", "word=b", "word=c", "word missing", "grade=x", "grade=y")
    assert dataset.feature_names == names
    raw = [{k: None if v is pd.NA else v for k, v in row.items()} for row in dataset.open_test().raw]
    assert np.array_equal(follow(dataset.preprocessing, raw), dataset.open_test().x)


def test_unknown_rare_and_missing_texts_of_the_test_rows(tmp_path):
    rows = 400
    train = {"a": ["x"] * 200 + ["y"] * 199 + ["once"], "n": range(rows), "target": [0, 1] * 200}
    train["n"] = [i % 37 + 0.5 for i in range(rows)]
    write_csv(tmp_path / "train.csv", train)
    write_csv(tmp_path / "test.csv", {"a": ["x", "once", "new", "?", " y "], "n": [1, 2, "", 4, 5], "target": [0] * 5})
    dataset = local("train.csv", base=tmp_path, test_source="test.csv", folds=1)
    assert dataset.feature_names == ("a=x", "a=y", "n")
    x = dataset.open_test().x
    assert x[:, :2].tolist() == [[1, 0], [0, 0], [0, 0], [0, 0], [0, 1]]
    assert x[2, 2] == np.float32(dataset.preprocessing["columns"][1]["fill"])
    assert_followed(dataset)


def test_arrays_with_missing_values_become_a_table(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    x[::4, 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=rng.integers(0, 2, 200))
    dataset = local(tmp_path / "a.npz")
    assert dataset.preprocessing["kind"] == "table"
    assert_followed(dataset)


def test_columns_left_out_are_named(tmp_path):
    columns = {"id": range(120), "same": ["k"] * 120, **table()}
    write_csv(tmp_path / "t.csv", columns)
    dataset = local(tmp_path / "t.csv", target="kind", drop=("weight",))
    json_ = dataset.preprocessing
    assert json_["all_columns"] == ["id", "same", "size", "weight", "colour"]
    assert json_["dropped"] == ["id", "same", "weight"]
    assert json_["target"] == "kind"
    assert [c["name"] for c in json_["columns"]] == ["size", "colour"]
