"""The unpenalised losses, twice: as part of the compiled program, and in float64 for the curve.

Classification: the mean over rows of log sum_k exp(z_k) - z_y, z the logits and y the true class. Regression: the
mean of (z - y)**2 in standardised units. A program may smooth labels (Szegedy et al. 2016, in Keras's form): of its
loss the share s goes to all K classes alike, which makes it log sum_k exp(z_k) - (1 - s) z_y - s sum_k z_k / K.
"""

from typing import Any

import numpy as np

from hpo.training.backend import ops
from hpo.values import Array, Fold, Task


def program_loss(task: Task, y: Any, z: Any, smoothing: Any = None) -> Any:
    """The mean loss over rows as a tensor (...); z (..., rows, outputs), y (..., rows). None: labels as they are.

    `smoothing` broadcasts against (..., rows).
    """
    if not task.classifies:
        return ops.mean(ops.square(z[..., 0] - ops.cast(y, z.dtype)), axis=-1)
    losses = ops.sparse_categorical_crossentropy(y, z, from_logits=True)
    if smoothing is not None:
        losses = (1 - smoothing) * losses + smoothing * (ops.logsumexp(z, axis=-1) - ops.mean(z, axis=-1))
    return ops.mean(losses, axis=-1)


def mean_loss(task: Task, y: Array, z: Array) -> Array:
    """The mean loss of rows in float64, (...); z (..., rows, outputs). NaN where an output is no finite number."""
    return _loss_and_answer(task, y, z)[0]


def measured(task: Task, y: Array, z: Array, fold: Fold) -> tuple[Array, Array]:
    """(`mean_loss`, predictions): class probabilities (..., rows, classes), or targets in their unit (..., rows, 1).

    Predictions are float32.
    """
    loss, answer = _loss_and_answer(task, y, z)
    if not task.classifies:
        answer = answer * fold.target_scale + fold.target_offset
    return loss, answer.astype(np.float32)


def _loss_and_answer(task: Task, y: Array, z: Array) -> tuple[Array, Array]:
    """The mean loss, and probabilities or standardised numbers, float64: both need the same costly exponentials."""
    with np.errstate(over="ignore", invalid="ignore"):
        answer = z.astype(np.float64)
        if task.classifies:
            logits = answer - answer.max(-1, keepdims=True)
            answer = np.exp(logits)
            total = answer.sum(-1, keepdims=True)
            answer /= total
            losses = np.log(total[..., 0]) - logits[..., np.arange(len(y)), y]
        else:
            losses = (answer[..., 0] - y) ** 2
        return np.where(np.isfinite(z).all((-2, -1)), losses.mean(-1), np.nan), answer


def own_unit(task: Task, y: Array, fold: Fold) -> Array:
    """The targets as a metric takes them: class numbers, or numbers in their own unit."""
    return y if task.classifies else y.astype(np.float64) * fold.target_scale + fold.target_offset


def prior_loss(task: Task, fold: Fold) -> float:
    """The loss on the training rows of always answering the prior: its entropy, or the variance of the targets."""
    if task.classifies:
        p = fold.prior[fold.prior > 0].astype(np.float64)
        return float(-(p * np.log(p)).sum())
    return float(np.var(fold.y_train.astype(np.float64)))
