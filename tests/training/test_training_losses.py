"""Losses and predictions: closed forms, and Keras as the independent implementation."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from training_support import classes_fold, numbers_fold

from hpo.metrics import METRICS
from hpo.training import losses
from hpo.training.backend import keras
from hpo.values import Task

Z = np.random.default_rng(0).normal(0, 4, (50, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 50).astype(np.int32)


def test_cross_entropy_of_equal_logits_is_log_of_the_classes():
    assert losses.mean_loss(Task.MULTICLASS, Y, np.zeros((50, 3))) == pytest.approx(np.log(3), rel=1e-12)


def test_cross_entropy_in_two_ways_and_keras():
    ours = losses.mean_loss(Task.MULTICLASS, Y, Z)
    p = losses.measured(Task.MULTICLASS, Y, Z, classes_fold())[1]
    assert ours == pytest.approx(METRICS["log_loss"](Y, p), rel=1e-5)
    assert ours == pytest.approx(float(losses.program_loss(Task.MULTICLASS, Y, Z)), rel=1e-5)
    assert ours == pytest.approx(float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(Y, Z)), rel=1e-5)
    assert losses.mean_loss(Task.MULTICLASS, Y, Z + 1e4) == pytest.approx(ours, rel=1e-3)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_the_focal_loss_is_kerass(gamma, smoothing):
    theirs = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True, label_smoothing=smoothing or 0.0
    )
    numbers = {"gamma": np.float32([gamma]), "smoothing": smoothing and np.float32([smoothing])}
    ours = losses.program_loss(Task.MULTICLASS, Y, Z, "focal", **numbers)
    assert float(ours) == pytest.approx(float(theirs(np.eye(3)[Y], Z)), rel=1e-5)


def test_the_focal_loss_without_focus_is_cross_entropy():
    ours = losses.program_loss(Task.MULTICLASS, Y, Z, "focal", gamma=np.float32([0.0]))
    assert float(ours) == pytest.approx(float(losses.program_loss(Task.MULTICLASS, Y, Z)), rel=1e-6)


@pytest.mark.parametrize("delta", [0.1, 1.0, 30.0])
def test_losses_of_numbers_are_kerass(delta):
    y = Y.astype(np.float32)
    for name, theirs in (("mae", keras.losses.MeanAbsoluteError()), ("huber", keras.losses.Huber(delta=delta))):
        ours = losses.program_loss(Task.REGRESSION, y, Z[:, :1], name, delta=np.float32([delta]))
        assert float(ours) == pytest.approx(float(theirs(y[:, None], Z[:, :1])), rel=1e-5)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
def test_class_weights_have_mean_one_over_the_rows_and_balance_classes(q):
    shares = np.bincount(Y, minlength=3) / len(Y)
    weights = losses.class_weights({"class_weight": q}, shares)
    assert weights[Y].mean() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(weights / weights[0], (shares / shares[0]) ** -q)
    np.testing.assert_array_equal(losses.class_weights({"class_weight": 1.0}, np.array([0.5, 0.5, 0.0]))[:2], 1.0)
    if q == 1:
        np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=Y))
    weighed = losses.program_loss(Task.MULTICLASS, Y, Z, weights=weights.astype(np.float32))
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(Y, Z, sample_weight=weights[Y])
    assert float(weighed) == pytest.approx(float(theirs), rel=1e-5)


def test_match_follows_the_task():
    assert losses.loss_name({"loss": "match"}, Task.BINARY) == "cross_entropy"
    assert losses.loss_name({"loss": "match"}, Task.REGRESSION) == "mse"
    assert losses.loss_name({"loss": "huber"}, Task.REGRESSION) == "huber"


def test_squared_error_in_its_closed_form():
    y = np.array([1.0, 2.0, 4.0], np.float32)
    z = np.array([[1.0], [0.0], [1.0]], np.float32)
    assert losses.mean_loss(Task.REGRESSION, y, z) == pytest.approx(13 / 3)
    assert float(losses.program_loss(Task.REGRESSION, y, z)) == pytest.approx(13 / 3)
    np.testing.assert_allclose(losses.measured(Task.REGRESSION, y, z, numbers_fold())[1], [[70.0], [50.0], [70.0]])
    np.testing.assert_allclose(losses.own_unit(Task.REGRESSION, y, numbers_fold()), [70.0, 90.0, 130.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_no_number_has_no_loss(bad):
    z = Z.copy()
    z[3, 1] = bad
    assert np.isnan(losses.mean_loss(Task.MULTICLASS, Y, z))
    assert np.isnan(losses.mean_loss(Task.REGRESSION, Y.astype(np.float32), z[:, 1:2]))
    losses.measured(Task.MULTICLASS, Y, z, classes_fold())


def test_the_priors_loss():
    fold = classes_fold()
    z = np.log(np.tile(fold.prior, (len(fold.y_train), 1)))
    expected = losses.mean_loss(Task.MULTICLASS, fold.y_train, z)
    assert losses.prior_loss(Task.MULTICLASS, fold) == pytest.approx(expected, rel=1e-9)
    assert losses.prior_loss(Task.REGRESSION, numbers_fold()) == pytest.approx(1, rel=1e-5)
