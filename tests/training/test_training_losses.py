"""Losses and predictions: closed forms, and Keras as the independent implementation."""

import numpy as np
import pytest
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
