"""A gain is called a gain at the stated level and no oftener; deviations agree with their closed forms."""

import numpy as np
import pytest
from scipy import stats

from hpo.metrics import METRICS
from hpo.recipe.noise import compare, difference_over_rows, interval, measured_noise, row_losses, rows_deviation
from hpo.values import Task

ACCURACY = METRICS["accuracy"]


def hits(share: float, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and probabilities that are right on about `share` of the rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    right = rng.random(rows) < share
    return y, np.eye(2)[np.where(right, y, 1 - y)]


def test_rows_deviation_of_accuracy_is_binomial() -> None:
    y, p = hits(0.8, 2000, 1)
    share = ACCURACY(y, p)
    assert rows_deviation(ACCURACY, y, p, seed=0, draws=2000) == pytest.approx(
        np.sqrt(share * (1 - share) / len(y)), rel=0.05
    )


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        y, p = hits(0.7, 300, seed)
        low, high = interval(ACCURACY, y, p, seed=seed, draws=300)
        covered += low <= 0.7 <= high
    assert 178 <= covered <= 200


def test_comparison_is_the_paired_t_test_where_rows_do_not_vary() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.normal(0.3, 1, 5), rng.normal(0, 1, 5)
        found = compare(ACCURACY, a, b, rows=0.0, level=0.05)
        p_value = stats.ttest_rel(a, b, alternative="greater").pvalue
        assert found.gain == (p_value < 0.05)


def test_equal_contenders_are_called_a_gain_at_most_as_often_as_the_level() -> None:
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(2000):
        shared_rows = rng.normal(0, 1.0)  # both contenders' difference moves with the sampled rows
        a = rng.normal(0, 0.5, 4) + shared_rows
        false += compare(ACCURACY, a, np.zeros(4), rows=1.0, level=0.05).gain
    assert false / 2000 < 0.05


def test_minimised_metrics_turn_the_sign() -> None:
    better = compare(METRICS["rmse"], [1.0, 1.01, 0.99], [2.0, 2.02, 1.99], rows=0.0, level=0.05)
    assert better.gain
    assert not better.loss
    assert better.difference == pytest.approx(1.0, abs=0.02)


def test_one_pair_proves_nothing() -> None:
    assert not compare(ACCURACY, [0.9], [0.1], rows=0.0, level=0.05).gain


def test_row_differences_pair_the_rows() -> None:
    y, p = hits(0.8, 500, 2)
    assert difference_over_rows(ACCURACY, y, [p, p], [p, p], seed=0) == 0.0
    other = hits(0.8, 500, 9)[1]
    alone = rows_deviation(ACCURACY, y, p, seed=0)
    assert difference_over_rows(ACCURACY, y, [p], [other], seed=0) > alone


def test_row_losses_average_to_the_losses() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    assert row_losses(Task.MULTICLASS, y, p).mean() == pytest.approx(METRICS["log_loss"](y, p))
    target, guess = rng.normal(5, 2, 50), rng.normal(5, 2, (50, 1))
    scaled = row_losses(Task.REGRESSION, target, guess, 2.0).mean()
    assert scaled == pytest.approx(METRICS["mse"](target, guess) / 4)


def test_measured_noise_takes_deviations_over_seeds() -> None:
    y, p = hits(0.9, 400, 4)
    noise = measured_noise(
        ACCURACY, Task.BINARY, y, [p, p, p], [0.1, 0.2, 0.3], target_scale=1.0, metrics=[0.8, 0.9, 1.0], seed=0
    )
    assert noise.metric_seeds == pytest.approx(0.1)
    assert noise.loss_seeds == pytest.approx(0.1)
    assert noise.metric == pytest.approx(np.hypot(noise.metric_seeds, noise.metric_rows))
