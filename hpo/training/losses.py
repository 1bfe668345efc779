"""The unpenalised losses, twice: as part of the compiled program, and in float64 for the curve.

Classification: the mean over rows of log sum_k exp(z_k) - z_y, z the logits and y the true class. Regression: the
mean of (z - y)**2 in standardised units.
"""

from typing import Any

import numpy as np

from hpo.training.backend import ops
from hpo.values import Array, Fold, Task


def program_loss(task: Task, y: Any, z: Any) -> Any:
    """The mean loss of a batch as a tensor; z (rows, outputs), y (rows,)."""
    if task.classifies:
        return ops.mean(ops.sparse_categorical_crossentropy(y, z, from_logits=True))
    return ops.mean(ops.square(z[:, 0] - ops.cast(y, z.dtype)))


def mean_loss(task: Task, y: Array, z: Array) -> float:
    """The mean loss of rows in float64; NaN or infinite where an output is."""
    z = z.astype(np.float64)
    if not np.isfinite(z).all():
        return float("nan")
    if task.classifies:
        top = z.max(1)
        total = top + np.log(np.exp(z - top[:, None]).sum(1))
        return float(np.mean(total - z[np.arange(len(y)), y]))
    with np.errstate(over="ignore"):
        return float(np.mean((z[:, 0] - y) ** 2))


def predictions(task: Task, z: Array, fold: Fold) -> Array:
    """Class probabilities (rows, classes), or targets in their own unit (rows, 1); float32."""
    if task.classifies:
        with np.errstate(invalid="ignore"):
            e = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
            return np.asarray(e / e.sum(1, keepdims=True), np.float32)
    return np.asarray(z.astype(np.float64) * fold.target_scale + fold.target_offset, np.float32)


def own_unit(task: Task, y: Array, fold: Fold) -> Array:
    """The targets as a metric takes them: class numbers, or numbers in their own unit."""
    return y if task.classifies else y.astype(np.float64) * fold.target_scale + fold.target_offset


def prior_loss(task: Task, fold: Fold) -> float:
    """The loss on the training rows of always answering the prior: its entropy, or the variance of the targets."""
    if task.classifies:
        p = fold.prior[fold.prior > 0].astype(np.float64)
        return float(-(p * np.log(p)).sum())
    return float(np.var(fold.y_train.astype(np.float64)))
