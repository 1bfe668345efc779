"""Metrics, as pure functions of NumPy arrays. scikit-learn is the independent implementation in the tests.

Symbols: y true class numbers (rows,) or targets (rows,); p class probabilities (rows, classes) or predictions
(rows, 1), both in the target's own unit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpo.values import Array, Task

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric's name, direction, the tasks it suits, and its function (y, p) -> number."""

    name: str
    direction: Direction
    tasks: tuple[Task, ...]
    function: Callable[[Array, Array], float]

    def __call__(self, y: Array, p: Array) -> float:
        return float(self.function(y, p)) if np.isfinite(p).all() else float("nan")

    def better(self, a: float, b: float) -> bool:
        return a > b if self.direction == "maximize" else a < b

    @property
    def sign(self) -> float:
        """+1 where more is better, else -1."""
        return 1.0 if self.direction == "maximize" else -1.0


def accuracy(y: Array, p: Array) -> float:
    """Share of rows whose most probable class is the true one."""
    return float(np.mean(p.argmax(1) == y))


def balanced_accuracy(y: Array, p: Array) -> float:
    """Mean over the classes present of the share found in each."""
    hit = p.argmax(1) == y
    return float(np.mean([hit[y == c].mean() for c in np.unique(y)]))


def auc(y: Array, p: Array) -> float:
    """Area under the ROC curve of class 1: the Mann-Whitney statistic with ties counted half."""
    order = np.argsort(p[:, 1], kind="mergesort")
    score = p[order, 1]
    first = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    counts = np.diff(np.r_[first, len(score)])
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    positive = y == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if n1 == 0 or n0 == 0:
        return float("nan")
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def f1_macro(y: Array, p: Array) -> float:
    """Mean over the classes present in y or the predictions of 2 TP / (2 TP + FP + FN)."""
    guess = p.argmax(1)
    present = np.union1d(y, guess)
    return float(
        np.mean([2 * np.sum((y == c) & (guess == c)) / (np.sum(y == c) + np.sum(guess == c)) for c in present])
    )


def log_loss(y: Array, p: Array) -> float:
    """Mean of -log p of the true class, p clipped to [1e-15, 1]."""
    picked = p[np.arange(len(y)), y.astype(int)].astype(np.float64)
    return float(-np.mean(np.log(np.clip(picked, 1e-15, 1.0))))


def mse(y: Array, p: Array) -> float:
    """Mean squared error."""
    return float(np.mean((y - p[:, 0].astype(np.float64)) ** 2))


def rmse(y: Array, p: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(mse(y, p)))


def mae(y: Array, p: Array) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(y - p[:, 0].astype(np.float64))))


def r2(y: Array, p: Array) -> float:
    """1 - squared error over squared deviation from the mean; 0 where the target does not vary."""
    if np.ptp(y) == 0:  # not the spread: a mean may miss its equal parts by an ulp
        return 0.0
    return 1.0 - mse(y, p) / float(np.mean((y - np.mean(y, dtype=np.float64)) ** 2))


_CLASSES = (Task.BINARY, Task.MULTICLASS)
_NUMBERS = (Task.REGRESSION,)

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("accuracy", "maximize", _CLASSES, accuracy),
        Metric("balanced_accuracy", "maximize", _CLASSES, balanced_accuracy),
        Metric("auc", "maximize", (Task.BINARY,), auc),
        Metric("f1_macro", "maximize", _CLASSES, f1_macro),
        Metric("log_loss", "minimize", _CLASSES, log_loss),
        Metric("mse", "minimize", _NUMBERS, mse),
        Metric("rmse", "minimize", _NUMBERS, rmse),
        Metric("mae", "minimize", _NUMBERS, mae),
        Metric("r2", "maximize", _NUMBERS, r2),
    )
}
