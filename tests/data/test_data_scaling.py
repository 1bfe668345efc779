"""Scaling and targets of a fold: learned from its training rows alone, undone exactly."""

import numpy as np
import pytest
from data_support import CALIFORNIA, local, real, table, write_csv
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from hpo.data.scaling import fit_scaling


@pytest.fixture
def mixed(tmp_path):
    columns = table(300)
    columns["still"] = [5.0] * 299 + [5.0]
    columns["still"][0] = 6.0
    return write_csv(tmp_path / "t.csv", columns)


@pytest.mark.parametrize(
    ("kind", "scaler"), [("standard", StandardScaler), ("minmax", MinMaxScaler), ("robust", RobustScaler)]
)
def test_numbers_are_scaled_as_scikit_learn_does_by_training_rows_alone(mixed, kind, scaler):
    dataset = local(mixed, target="kind", scale=kind)
    is_number = dataset.prepared.is_number
    assert dataset.folds == 3
    for i in range(3):
        fold = dataset.fold(i)
        train, valid = dataset.encoded_train(i)[0], dataset.encoded_valid(i)[0]
        fitted = scaler().fit(train[:, is_number].astype(np.float64))
        np.testing.assert_allclose(fold.x_train[:, is_number], fitted.transform(train[:, is_number]), atol=1e-5)
        np.testing.assert_allclose(fold.x_valid[:, is_number], fitted.transform(valid[:, is_number]), atol=1e-5)
        assert np.array_equal(fold.x_train[:, ~is_number], train[:, ~is_number])
    assert not np.array_equal(dataset.fold(0).offset, dataset.fold(1).offset)


def test_no_scaling_leaves_rows_as_they_are(mixed):
    dataset = local(mixed, target="kind", scale="none")
    assert np.array_equal(dataset.fold(0).x_train, dataset.encoded_train(0)[0])


def test_documented_formula_and_apply(mixed):
    dataset = local(mixed, target="kind")
    fold, (x, _) = dataset.fold(1), dataset.encoded_valid(1)
    assert fold.x_valid.dtype == fold.offset.dtype == fold.scale.dtype == np.float32
    assert np.array_equal((x - fold.offset) * fold.scale, fold.x_valid)
    assert np.array_equal(dataset.apply(1, x), fold.x_valid)


def test_images_scale_by_channel_in_parts_as_in_one():
    rng = np.random.default_rng(0)
    x = (rng.random((5000, 4, 3, 2)) * [100, 255]).astype(np.uint8)
    offset, scale = fit_scaling(x, "standard", np.ones(2, bool))
    np.testing.assert_allclose(offset, x.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(scale, 1 / x.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    offset, scale = fit_scaling(x, "minmax", np.ones(2, bool))
    scaled = (x.astype(np.float32) - offset) * scale
    np.testing.assert_allclose([scaled.min(), scaled.max()], [0, 1], atol=1e-6)
    offset, scale = fit_scaling(x, "robust", np.ones(2, bool))
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=(0, 1, 2))
    np.testing.assert_allclose(offset, middle)
    np.testing.assert_allclose(scale, 1 / (high - low))


def test_regression_targets_are_standardised_by_training_rows():
    dataset = real(**CALIFORNIA, rows=1500)
    fold = dataset.fold(0)
    assert fold.y_train.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert fold.y_train.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    back = fold.y_valid * fold.target_scale + fold.target_offset
    np.testing.assert_allclose(back, dataset.target_valid(0), rtol=1e-5)
    assert fold.prior.tolist() == [0.0]
    assert dataset.encoded_train(0)[1].mean() == pytest.approx(fold.target_offset)


def test_class_prior_is_the_training_rows_share(mixed):
    dataset = local(mixed, target="kind")
    y = dataset.encoded_train(2)[1]
    assert dataset.fold(2).prior == pytest.approx([np.mean(y == 0), np.mean(y == 1)])
    assert dataset.fold(2).y_train.dtype == np.int32


def test_arrays_are_read_only_and_folds_are_kept(mixed):
    dataset = local(mixed, target="kind")
    assert dataset.fold(0) is dataset.fold(0)
    with pytest.raises(ValueError, match="read-only"):
        dataset.fold(0).x_train[0] = 1


def test_encoding_is_learned_without_the_test_rows(tmp_path):
    write_csv(tmp_path / "train.csv", {**table(300), "n": [1.0] * 100 + [2.0] * 101 + [3.0] * 99})
    far = {**table(300, seed=1), "n": [""] * 150 + [1e6] * 150}
    write_csv(tmp_path / "test.csv", far)
    dataset = local("train.csv", base=tmp_path, target="kind", test_source="test.csv", folds=1)
    position = dataset.feature_names.index("n")
    assert dataset.open_test().x[0, position] == 2.0
    assert dataset.fold(0).offset[position] < 3
