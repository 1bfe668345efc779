"""Metrics against scikit-learn, an independent implementation, and by closed forms."""

import numpy as np
import pytest
from sklearn import metrics as sk

from hpo.metrics import METRICS
from hpo.values import Task

REFERENCE = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "auc": lambda y, p: sk.roc_auc_score(y, p[:, 1]),
    "f1_macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "log_loss": lambda y, p: sk.log_loss(y, p.astype(np.float64), labels=list(range(p.shape[1]))),
    "mse": lambda y, p: sk.mean_squared_error(y, p[:, 0]),
    "rmse": lambda y, p: sk.root_mean_squared_error(y, p[:, 0]),
    "mae": lambda y, p: sk.mean_absolute_error(y, p[:, 0]),
    "r2": lambda y, p: sk.r2_score(y, p[:, 0]),
}


def probabilities(random, rows, classes, *, ties=False):
    p = random.dirichlet(np.ones(classes), rows)
    if ties:
        p = np.round(p, 1) + 1e-3
        p /= p.sum(1, keepdims=True)
    return p


def test_every_metric_has_a_reference():
    assert set(METRICS) == set(REFERENCE)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if Task.BINARY in m.tasks])
def test_classification_agrees_with_scikit_learn(name, ties):
    for seed in range(20):
        random = np.random.default_rng(seed)
        classes = 2 if name == "auc" else int(random.integers(2, 6))
        rows = int(random.integers(classes + 20, 200))
        y = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)]).astype(np.int32)
        p = probabilities(random, rows, classes, ties=ties)
        assert METRICS[name](y, p) == pytest.approx(REFERENCE[name](y, p), rel=1e-9)


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if Task.REGRESSION in m.tasks])
def test_regression_agrees_with_scikit_learn(name):
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = random.normal(2e5, 1e5, 100)
        p = (y + random.normal(0, 5e4, 100))[:, None].astype(np.float32)
        assert METRICS[name](y, p) == pytest.approx(REFERENCE[name](y, p.astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_the_true_answer_is_best_and_the_order_of_rows_is_nothing(name):
    random = np.random.default_rng(1)
    metric = METRICS[name]
    if metric.tasks == (Task.REGRESSION,):
        y = random.normal(size=50)
        right, wrong = y[:, None], (y + random.normal(size=50))[:, None]
    else:
        y = random.integers(0, 2, 50)
        right, wrong = np.eye(2)[y], probabilities(random, 50, 2)
    assert metric.better(metric(y, right), metric(y, wrong))
    assert not metric.better(metric(y, wrong), metric(y, right))
    assert metric(y, right) == pytest.approx(1.0 if metric.direction == "maximize" else 0.0, abs=1e-12)
    mixed = random.permutation(50)
    assert metric(y[mixed], wrong[mixed]) == pytest.approx(metric(y, wrong), rel=1e-12)
    assert metric.sign * (metric(y, right) - metric(y, wrong)) > 0


def test_auc_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(2)
    y, score = random.integers(0, 2, 40), np.round(random.random(40), 1)
    ahead = score[y == 1][:, None] - score[y == 0][None, :]
    share = np.mean((ahead > 0) + 0.5 * (ahead == 0))
    assert METRICS["auc"](y, np.stack([1 - score, score], 1)) == pytest.approx(share)


def test_log_loss_of_the_prior_is_its_entropy():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    prior = np.array([0.5, 0.3, 0.2])
    entropy = -np.sum(prior * np.log(prior))
    assert METRICS["log_loss"](y, np.tile(prior, (100, 1))) == pytest.approx(entropy, rel=1e-12)


def test_log_loss_of_certainty_in_the_wrong_is_finite():
    assert METRICS["log_loss"](np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-np.log(1e-15))


def test_r2_of_the_mean_is_zero_and_of_a_constant_target_too():
    y = np.array([1.0, 2.0, 6.0])
    assert METRICS["r2"](y, np.full((3, 1), 3.0)) == pytest.approx(0)
    constant = np.full(7, 0.1, dtype=np.float32)
    assert METRICS["r2"](constant, np.zeros((7, 1))) == 0.0
    assert METRICS["r2"](np.full(49, 0.1), np.zeros((49, 1))) == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_what_is_not_finite_scores_nan_and_is_never_better(name):
    p = np.full((4, 2), 0.5)
    p[2, 0] = np.nan
    score = METRICS[name](np.array([0, 1, 0, 1]), p)
    assert np.isnan(score)
    assert not METRICS[name].better(score, 0.0)
    assert not METRICS[name].better(0.0, score)


def test_a_class_that_is_only_guessed_counts_in_f1():
    y, p = np.array([0, 0, 1, 1]), np.eye(3)[[0, 2, 1, 2]]
    assert METRICS["f1_macro"](y, p) == pytest.approx(REFERENCE["f1_macro"](y, p))
    assert METRICS["f1_macro"](y, p) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_auc_of_one_class_is_nan():
    assert np.isnan(METRICS["auc"](np.zeros(5), np.full((5, 2), 0.5)))
