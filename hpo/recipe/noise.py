"""What is noise and what is a gain.

Two sources of chance are kept apart: seeds (weights, batches, dropout) and the sampling of the validation rows.

Symbols: k seeds; d_i the difference between two contenders at seed i, both trained on the same rows; s the deviation of
the d_i; r the bootstrap deviation, over validation rows, of the seed-averaged difference. The d_i share their rows, so
the rows' chance is not in s, and the variance of the mean difference is s^2 / k + r^2. A gain is claimed where
mean(d) > t(1 - level, k - 1) * sqrt(s^2 / k + r^2): Student's t with the degrees of freedom of the seeds alone, which
errs on the side of claiming nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from hpo.metrics import Metric
from hpo.values import Array, Task

Score = Callable[[Array, Array], float]


@dataclass(frozen=True)
class Noise:
    """What remains between equal configurations, as standard deviations of one run's score."""

    metric_seeds: float
    metric_rows: float
    loss_seeds: float
    loss_rows: float

    @property
    def metric(self) -> float:
        return float(np.hypot(self.metric_seeds, self.metric_rows))

    @property
    def loss(self) -> float:
        return float(np.hypot(self.loss_seeds, self.loss_rows))


def resamples(rows: int, draws: int, seed: int) -> Array:
    """Row numbers drawn with replacement, (draws, rows)."""
    return np.random.default_rng(seed).integers(0, rows, (draws, rows))


def rows_deviation(score: Score, y: Array, p: Array, *, seed: int, draws: int = 200) -> float:
    """Bootstrap standard deviation of a score over the rows; draws on which it is undefined are left out."""
    values = [score(y[i], p[i]) for i in resamples(len(y), draws, seed)]
    return float(np.nanstd(values)) if len(y) > 1 else 0.0


def interval(score: Score, y: Array, p: Array, *, seed: int, draws: int = 1000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a score over the rows (Efron 1979)."""
    values = [score(y[i], p[i]) for i in resamples(len(y), draws, seed)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def row_losses(task: Task, y: Array, p: Array, target_scale: float = 1.0) -> Array:
    """Each row's loss, (rows,): -log p of the true class, or the squared error in units of the standardised target."""
    if task.classifies:
        return np.asarray(-np.log(np.clip(p[np.arange(len(y)), y.astype(int)].astype(np.float64), 1e-7, 1.0)))
    return np.asarray(((y - p[:, 0].astype(np.float64)) / target_scale) ** 2)


def measured_noise(
    metric: Metric, task: Task, y: Array, predictions: Sequence[Array], losses: Sequence[float], *, target_scale: float,
    metrics: Sequence[float], seed: int,
) -> Noise:  # fmt: skip
    """The noise from equal runs that differ by seed alone.

    y: validation targets in their own unit, (rows,). predictions: one array a seed on those rows. losses, metrics: the
    validation loss and metric of each seed.
    """
    mean = np.mean(predictions, axis=0)
    per_row = row_losses(task, y, np.asarray(predictions[0]), target_scale)
    return Noise(
        metric_seeds=_deviation(metrics),
        metric_rows=rows_deviation(metric, y, mean, seed=seed),
        loss_seeds=_deviation(losses),
        loss_rows=float(per_row.std() / np.sqrt(len(per_row))),
    )


def _deviation(values: Sequence[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """Contender against reference, in pairs; positive means the contender is better."""

    difference: float
    deviation: float
    """Of the mean difference: seeds and rows together."""
    threshold: float
    """What the difference must exceed."""

    @property
    def gain(self) -> bool:
        return self.difference > self.threshold

    @property
    def loss(self) -> bool:
        return -self.difference > self.threshold


def compare(
    metric: Metric, contender: Sequence[float], reference: Sequence[float], *, rows: float, level: float
) -> Comparison:
    """Scores of two contenders, pair by pair of seeds, held against chance (see the module's head).

    rows: bootstrap deviation of the seed-averaged difference over the validation rows (see `difference_over_rows`).
    """
    d = metric.sign * (np.asarray(contender, float) - np.asarray(reference, float))
    k = len(d)
    deviation = float(np.sqrt(np.var(d, ddof=1) / k + rows**2)) if k > 1 else float("inf")
    threshold = float(stdtrit(k - 1, 1 - level)) * deviation if k > 1 else float("inf")
    return Comparison(float(d.mean()), deviation, threshold)


def difference_over_rows(
    metric: Metric, y: Array, contender: Sequence[Array], reference: Sequence[Array], *, seed: int, draws: int = 200
) -> float:
    """Bootstrap deviation over rows of the seed-averaged difference of a metric; the pairs share each draw of rows."""
    differences = [
        np.mean([metric(y[i], a[i]) - metric(y[i], b[i]) for a, b in zip(contender, reference, strict=True)])
        for i in resamples(len(y), draws, seed)
    ]
    return float(np.nanstd(differences))
