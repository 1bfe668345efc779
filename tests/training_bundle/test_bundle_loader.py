"""How the stranger's loader reads rows and files; no network is needed for that."""

import ast
import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from bundle_support import TABLE, plain

from hpo.training import bundle_loader
from hpo.training.bundle_loader import Model, load, read_rows

IMAGE = {"version": 1, "kind": "image", "shape": [2, 3, 1]}
ARRAY = {"version": 1, "kind": "array", "features": 3}


def encode(rows, preprocessing=TABLE):
    return Model(None, preprocessing, {"task": "binary", "classes": ["a", "b"]}).encode(rows)


def test_each_kind_of_value():
    rows = [
        {"age": 40, "work": "Private", "sex": "Male"},
        {"age": " 41.5 ", "work": " State-gov", "sex": "Female"},
        {"age": "?", "work": "NA", "sex": "?"},
        {"age": None, "work": float("nan"), "sex": "unknown"},
        {"age": float("nan"), "work": "unknown", "sex": None, "more": "is ignored"},
        {"age": "inf", "work": "", "sex": "Male"},
    ]
    expected = [
        [40, 1, 0, 0, 0, 1], [41.5, 0, 1, 0, 1, 0], [37, 0, 0, 1, 0, 0],
        [37, 0, 0, 1, 0, 0], [37, 0, 0, 0, 0, 0], [37, 0, 0, 1, 0, 1],
    ]  # fmt: skip
    assert encode(rows).dtype == np.float32
    np.testing.assert_array_equal(encode(rows), expected)


def test_rows_as_lists_and_frames():
    pandas = pytest.importorskip("pandas")
    dicts = [{"id": 7, "age": 40, "work": "Private", "sex": "Male"}, {"id": 8, "age": 1, "work": None, "sex": "Male"}]
    expected = encode(dicts)
    np.testing.assert_array_equal(encode([list(d.values()) for d in dicts]), expected)
    np.testing.assert_array_equal(encode(pandas.DataFrame(dicts)), expected)
    np.testing.assert_array_equal(encode(pandas.DataFrame(dicts).convert_dtypes()), expected)
    assert encode([]).shape == (0, 6)


def test_a_number_stands_for_its_text():
    table = plain(TABLE)
    table["columns"] = [{"name": "age", "kind": "text", "categories": ["3", "4.5"], "missing": False}]
    rows = [{"age": 3}, {"age": 3.0}, {"age": np.float32(3)}, {"age": 4.5}, {"age": "3"}, {"age": np.int64(3)}]
    np.testing.assert_array_equal(encode(rows, table), [[1, 0]] * 3 + [[0, 1]] + [[1, 0]] * 2)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"age": 1, "work": "", "sex": ""}, {"age": 1, "work": ""}],
         "Row 2 lacks the column 'sex'. Each row needs 'age', 'work', 'sex'."),
        ([{"age": 1}], "Row 1 lacks the columns 'work', 'sex'. Each row needs 'age', 'work', 'sex'."),
        ([{"age": "old", "work": "", "sex": ""}], "Row 1, column 'age': 'old' is not a number."),
        ([{"age": [1], "work": "", "sex": ""}], "Row 1, column 'age': [1] is not a number."),
        ([[1, 2]], "Row 1 has 2 values; the table has 4 columns: 'id', 'age', 'work', 'sex'."),
        ({"age": 1}, "The rows must be a list of rows. Put a single row into a list."),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read(rows, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        encode(rows)


def test_images_and_plain_numbers():
    assert encode(np.zeros((4, 2, 3)), IMAGE).shape == (4, 2, 3, 1)
    assert encode(np.zeros((4, 2, 3, 1), np.uint8), IMAGE).dtype == np.float32
    np.testing.assert_array_equal(encode([["1", "2", "3"]], ARRAY), [[1, 2, 3]])
    assert encode([], ARRAY).shape == (0, 3)
    for rows, part in (
        (np.zeros((4, 3, 2)), "(rows, 2, 3, 1), not (4, 3, 2)"),
        (np.full((1, 2, 3), np.nan), "finite"),
        ([["a"]], "must be numbers"),
    ):
        with pytest.raises(ValueError, match=re.escape(part)):
            encode(rows, IMAGE)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("target", [True, False])
def test_files_with_a_header(tmp_path, separator, target):
    head, row = ["id", "age", "work", "sex"], ["1", " 40", '"Private"', "Male"]
    if target:
        head.insert(2, "income"), row.insert(2, "<=50K")
    text = "\ufeff" + separator.join(head) + "\n\n" + separator.join(row) + "\n"
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "rows.csv.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    for name in ("rows.csv", "rows.csv.gz"):
        np.testing.assert_array_equal(encode(read_rows(tmp_path / name, TABLE)), [[40, 1, 0, 0, 0, 1]])


def test_files_without_a_header(tmp_path):
    table = plain(TABLE)
    names = {"id": "column_0", "age": "column_1", "work": "column_3", "sex": "column_4"}
    table.update(header=False, target="column_2", all_columns=list(names.values()))
    for column in table["columns"]:
        column["name"] = names[column["name"]]
    for text in ("1, 40, <=50K., Private, Male\n", "1, 40, Private, Male\n"):
        (tmp_path / "rows.csv").write_text(text)
        np.testing.assert_array_equal(encode(read_rows(tmp_path / "rows.csv", table), table), [[40, 1, 0, 0, 0, 1]])
    (tmp_path / "rows.csv").write_text("1, 40\n")
    with pytest.raises(ValueError, match="row 1 has 2 values; the table has 4 columns"):
        read_rows(tmp_path / "rows.csv", table)


def test_files_of_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n")
    (tmp_path / "b.csv").write_text("1,2,3\n")
    for name in "ab":
        np.testing.assert_array_equal(encode(read_rows(tmp_path / f"{name}.csv", ARRAY), ARRAY), [[1, 2, 3]])
    np.savez(tmp_path / "c.npz", x_test=np.ones((2, 3)), y_test=np.ones(2))
    np.save(tmp_path / "d.npy", np.ones((2, 3)))
    for name in ("c.npz", "d.npy"):
        np.testing.assert_array_equal(encode(read_rows(tmp_path / name, ARRAY), ARRAY), np.ones((2, 3)))
    np.savez(tmp_path / "e.npz", p=np.ones(1), q=np.ones(1))
    with pytest.raises(ValueError, match="name the rows x"):
        read_rows(tmp_path / "e.npz", ARRAY)
    (tmp_path / "f.csv").write_text("\n")
    with pytest.raises(ValueError, match="has no rows"):
        read_rows(tmp_path / "f.csv", ARRAY)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ValueError, match=r"not a whole bundle: model\.keras, preprocessing\.json, labels\.json"):
        load(tmp_path)


def test_the_loader_stands_alone():
    tree = ast.parse(Path(bundle_loader.__file__).read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"csv", "gzip", "io", "json", "math", "os", "sys", "pathlib", "typing", "numpy", "keras"}
