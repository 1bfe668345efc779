"""Greedy forward selection against exhaustive search and closed cases."""

from itertools import combinations

import numpy as np
import pytest

from hpo.metrics import METRICS
from hpo.training.ensemble import choose, lead_on_unseen


def column(*values):
    return np.array(values, np.float32)[:, None]


def test_errors_that_cancel_are_chosen_together():
    y = np.array([1.0, 2.0, 3.0])
    assert choose([column(0, 2, 4), column(1.5, 2.5, 3.5), column(2, 2, 2)], y, METRICS["mse"], 3) == (1, 0, 2)
    assert choose([column(0, 2, 4), column(2, 2, 2.1)], y, METRICS["mse"], 2) == (1, 0)


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_each_step_is_the_best_possible_one(name):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    predictions = [rng.dirichlet(np.ones(3), 60) * 0.7 + 0.3 * np.eye(3)[y] for _ in range(6)]
    metric = METRICS[name]
    chosen = choose(predictions, y, metric, 4)

    def score(numbers):
        return metric.sign * metric(y, np.mean([predictions[i] for i in numbers], axis=0))

    for size in range(1, len(chosen) + 1):
        grown = [s for s in combinations(range(6), size) if set(chosen[: size - 1]) <= set(s)]
        assert score(chosen[:size]) == pytest.approx(max(map(score, grown)))
    assert score(chosen) >= score(chosen[:1])
    assert len(set(chosen)) == len(chosen) <= 4


def test_equal_models_add_nothing():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
    y = np.arange(50) % 3
    assert choose([p] * 7, y, METRICS["log_loss"], 7) == (0,)


def test_a_diverged_model_is_passed_over():
    y = np.array([1.0, 2.0])
    assert choose([column(np.nan, 1), column(1, 2.5)], y, METRICS["mse"], 2) == (1,)
    with pytest.raises(ValueError, match="finite"):
        choose([column(np.nan, 1)], y, METRICS["mse"], 2)
    with pytest.raises(ValueError, match="at least one member"):
        choose([column(1, 1)], y, METRICS["mse"], 0)


def test_no_more_than_asked():
    y = np.array([1.0, 2.0, 3.0])
    predictions = [column(0, 2, 4), column(1.5, 2.5, 3.5), column(2, 2, 2)]
    assert choose(predictions, y, METRICS["mse"], 1) == (1,)


def test_picking_among_equals_leads_nowhere_on_unseen_rows():
    """Pure luck: candidates of equal skill whose hits are independent, against the mean of all of them."""
    metric, rng, leads = METRICS["accuracy"], np.random.default_rng(0), []
    for seed in range(20):
        y = rng.integers(0, 2, 300)
        guesses = [np.eye(2)[np.where(rng.random(300) < 0.8, y, 1 - y)] for _ in range(15)]
        leads.append(lead_on_unseen(guesses, guesses[0], y, metric, 1, seed))
    assert abs(np.mean(leads)) < 0.01


def test_picking_a_better_model_leads_on_unseen_rows():
    metric, rng = METRICS["accuracy"], np.random.default_rng(1)
    y = rng.integers(0, 2, 400)
    weak, strong = (np.eye(2)[np.where(rng.random(400) < share, y, 1 - y)] for share in (0.7, 0.95))
    lead = lead_on_unseen([weak, strong], weak, y, metric, 1, 0)
    assert lead == pytest.approx(metric(y, strong) - metric(y, weak), abs=0.02)
