"""The real sets, read as they lie in their folder."""

import csv
from pathlib import Path

import numpy as np
import pytest
from data_support import ADULT, CALIFORNIA, CHURN, FASHION, LETTER, WINE, data_folder, real

from hpo.data import checks, describe_file, summary_lines
from hpo.values import Status, Task


@pytest.fixture(scope="module")
def adult():
    return real(**ADULT)


def named(dataset, name):
    return next(check for check in checks(dataset) if check.name == name)


def test_adult_is_read_raw(adult):
    assert adult.facts.task is Task.BINARY
    assert adult.facts.classes == ("<=50K", ">50K")
    assert adult.rows == 32561
    test = adult.open_test()
    assert len(test.y) == len(test.raw) == 16281
    missing = adult.description.origin.missing
    assert missing == {"column_1": 1836, "column_6": 1843, "column_13": 583}


def test_adult_test_labels_are_matched_without_their_dot(adult):
    path = Path(data_folder()) / "adult" / "adult-test.csv"
    labels = [line.rsplit(",", 1)[1].strip() for line in path.read_text().splitlines() if line.strip()]
    assert all(label.endswith(".") for label in labels)
    assert [adult.facts.classes[c] + "." for c in adult.open_test().y] == labels
    assert ">50K." in named(adult, "test labels").sentence


def test_adult_encoding_agrees_with_the_file(adult):
    path = Path(data_folder()) / "adult" / "adult-train.csv"
    with path.open() as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    x = adult.prepared.x
    names = list(adult.feature_names)
    assert np.array_equal(x[:, names.index("column_0")], np.array([float(row[0]) for row in rows], np.float32))
    private = np.array([row[1] == "Private" for row in rows], np.float32)
    assert np.array_equal(x[:, names.index("column_1=Private")], private)
    unknown = np.array([row[1] == "?" for row in rows], np.float32)
    assert np.array_equal(x[:, names.index("column_1 missing")], unknown)


def test_california_fills_missing_rooms_with_the_training_median():
    dataset = real(**CALIFORNIA, rows=5000)
    assert dataset.facts.task is Task.REGRESSION
    assert dataset.metric == "rmse"
    column = next(c for c in dataset.prepared.columns if c.name == "total_bedrooms")
    train = dataset.prepared.train_rows(0)
    median = np.nanmedian(column.numbers[train])
    position = dataset.feature_names.index("total_bedrooms")
    filled = dataset.prepared.x[np.isnan(column.numbers), position]
    assert len(filled) > 10
    assert np.all(filled == np.float32(median))


def test_california_target_is_seen_to_be_capped():
    dataset = real(**CALIFORNIA)
    check = named(dataset, "target cap")
    assert check.status is Status.WARNING
    assert "500001" in check.sentence
    test_capped = (dataset.open_test().y == 500001).sum()
    assert round(dataset.description.capped * dataset.rows) + test_capped == 965
    assert any("total_bedrooms 207" in line for line in summary_lines(dataset))


def test_churn_leaves_the_phone_number_out():
    dataset = real(**CHURN, rows=500)
    assert "phone number" in dataset.description.origin.dropped
    assert "phone number" not in dataset.feature_names
    assert len(dataset.feature_names) == 19
    assert "phone number" in named(dataset, "identifier-like columns").sentence


def test_wine_quality_duplicates_and_classes():
    dataset = real(**WINE)
    assert dataset.facts.classes == ("3", "4", "5", "6", "7", "8", "9")
    with (Path(data_folder()) / "wine_quality_white" / "winequality-white.csv").open() as file:
        rows = [tuple(map(float, row)) for row in csv.reader(file)]
    assert len(rows) - len(set(rows)) == 937
    pool = [rows[i] for i in dataset.prepared.division.pool]
    assert dataset.description.duplicates == len(pool) - len(set(pool))
    train = {pool[i] for i in dataset.prepared.train_rows(0)}
    assert dataset.description.valid_seen == sum(pool[i] in train for i in dataset.valid_rows(0))
    held = [rows[i] for i in dataset.prepared.division.test]
    assert dataset.description.test_seen == sum(row in set(pool) for row in held)
    assert named(dataset, "same row in two splits").status is Status.WARNING


def test_letter_from_gzipped_tsv():
    dataset = real(**LETTER, rows=2600)
    assert dataset.facts.classes == tuple(str(i) for i in range(1, 27))
    assert dataset.facts.input_shape == (16,)
    assert dataset.rows + len(dataset.open_test().y) == 2600


def test_fashion_images_keep_their_test_rows_and_scale_all_pixels_alike():
    dataset = real(**FASHION)
    assert dataset.facts.input_shape == (28, 28, 1)
    assert dataset.rows == 2000
    fold, test = dataset.fold(0), dataset.open_test()
    assert test.x.shape == (10000, 28, 28, 1)
    assert test.raw[0].dtype == np.uint8
    assert dataset.preprocessing == {"version": 1, "kind": "image", "shape": [28, 28, 1]}
    x, _ = dataset.encoded_train(0)
    assert fold.offset == pytest.approx(x.mean(dtype=np.float64), rel=1e-6)
    assert fold.scale == pytest.approx(1 / x.std(dtype=np.float64), rel=1e-6)
    assert np.bincount(fold.y_train).max() - np.bincount(fold.y_train).min() <= 1


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "diabetes"])
def test_sets_of_scikit_learn_need_no_folder(name):
    from data_support import local

    dataset = local(f"sklearn:{name}")
    assert dataset.preprocessing == {"version": 1, "kind": "array", "features": dataset.facts.input_shape[0]}
    test = dataset.open_test()
    assert np.array_equal(test.x, np.array(test.raw, np.float32))
    assert not any(check.status is Status.FAILED for check in checks(dataset))


def test_file_is_described_for_a_first_study():
    spec, lines = describe_file(f"{data_folder()}/california_housing/housing.csv", "median_house_value")
    assert (spec.target, spec.task, spec.header) == ("median_house_value", Task.REGRESSION, True)
    assert any("20,640 rows" in line for line in lines)
    assert any("500001" in line for line in lines)
    spec, lines = describe_file(f"{data_folder()}/wine_quality_white/winequality-white.csv", "-1")
    assert (spec.target, spec.task, spec.header) == (-1, Task.MULTICLASS, False)
    spec, lines = describe_file(f"{data_folder()}/adult/adult-train.csv", None)
    assert (spec.target, spec.task, spec.header) == (-1, Task.BINARY, False)
