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


def mean_loss(task: Task, y: Array, z: Array) -> Array:
    """The mean loss of rows in float64, (...); z (..., rows, outputs). NaN where an output is no finite number."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = z.astype(np.float64)
        if task.classifies:
            top = z.max(-1)
            total = top + np.log(np.exp(z - top[..., None]).sum(-1))
            losses = total - z[..., np.arange(len(y)), y]
        else:
            losses = (z[..., 0] - y) ** 2
        return np.where(np.isfinite(z).all((-2, -1)), losses.mean(-1), np.nan)


def predictions(task: Task, z: Array, fold: Fold) -> Array:
    """Class probabilities (..., rows, classes), or targets in their own unit (..., rows, 1); float32."""
    with np.errstate(invalid="ignore"):
        z = z.astype(np.float64)
        if task.classifies:
            e = np.exp(z - z.max(-1, keepdims=True))
            return np.asarray(e / e.sum(-1, keepdims=True), np.float32)
        return np.asarray(z * fold.target_scale + fold.target_offset, np.float32)


def own_unit(task: Task, y: Array, fold: Fold) -> Array:
    """The targets as a metric takes them: class numbers, or numbers in their own unit."""
    return y if task.classifies else y.astype(np.float64) * fold.target_scale + fold.target_offset


def prior_loss(task: Task, fold: Fold) -> float:
    """The loss on the training rows of always answering the prior: its entropy, or the variance of the targets."""
    if task.classifies:
        p = fold.prior[fold.prior > 0].astype(np.float64)
        return float(-(p * np.log(p)).sum())
    return float(np.var(fold.y_train.astype(np.float64)))
