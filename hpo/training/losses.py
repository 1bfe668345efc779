"""The losses that training lowers, as part of a program, and those that a curve holds, in float64.

Symbols: z the outputs of a row, y its target; for classes p = softmax(z) of K classes, for numbers e = z - y in
standardised units. Each is a mean over rows:

| loss | of a row | source |
|---|---|---|
| cross_entropy | -log p_y | |
| focal | -(1 - p_y)^gamma log p_y | Lin et al. 2017, without their alpha: `class_weight` is for that |
| mse | e^2 | |
| mae | abs(e) | |
| huber | e^2 / 2 where abs(e) <= delta, delta abs(e) - delta^2 / 2 beyond | Huber 1964 |

Label smoothing (Szegedy et al. 2016, in Keras's form) gives the share s of a row's loss to all classes alike: with c_k
the loss if k were the class, it is (1 - s) c_y + s mean_k c_k. Class weights multiply a row's loss by
share_y^-q / sum_k share_k^(1 - q), whose mean over the training rows is one: q = 0 leaves rows alike, q = 1 is
scikit-learn's `balanced`. Curves hold the plain cross-entropy or mean squared error whatever training lowers.
"""

from typing import Any

import numpy as np

from hpo.training.backend import ops
from hpo.values import Array, Configuration, Fold, Task

_LEAST = 1e-7
"""Of 1 - p: powers below one have no slope at zero. Keras's bound."""


def loss_name(configuration: Configuration, task: Task) -> str:
    """The loss by name: `match` follows the task."""
    name = str(configuration.get("loss", "match"))
    return name if name != "match" else "cross_entropy" if task.classifies else "mse"


def program_loss(
    task: Task, y: Any, z: Any, name: str = "match", *, smoothing: Any = None, gamma: Any = None, delta: Any = None,
    weights: Any = None,
) -> Any:  # fmt: skip
    """The mean loss over rows as a tensor (...); z (..., rows, outputs), y (..., rows).

    `smoothing`, `gamma` and `delta` broadcast against (..., rows); `weights` (..., classes): see `class_weights`.
    """
    if not task.classifies:
        return ops.mean(_of_numbers(z[..., 0] - ops.cast(y, z.dtype), name, delta), axis=-1)
    losses = _of_classes(y, z, name, smoothing, gamma)
    return ops.mean(losses if weights is None else losses * ops.take_along_axis(weights, y, axis=-1), axis=-1)


def _of_numbers(e: Any, name: str, delta: Any) -> Any:
    if name == "mae":
        return ops.abs(e)
    if name == "huber":
        inside = ops.minimum(ops.abs(e), delta)
        return inside * (ops.abs(e) - 0.5 * inside)
    return ops.square(e)


def _of_classes(y: Any, z: Any, name: str, smoothing: Any, gamma: Any) -> Any:
    if name == "focal":
        log_p = ops.log_softmax(z, axis=-1)
        weight = ops.exp(gamma[..., None] * ops.log(ops.maximum(-ops.expm1(log_p), _LEAST)))
        cost = -weight * log_p
        losses = ops.take_along_axis(cost, y[..., None], axis=-1)[..., 0]
        return losses if smoothing is None else (1 - smoothing) * losses + smoothing * ops.mean(cost, axis=-1)
    losses = ops.sparse_categorical_crossentropy(y, z, from_logits=True)
    if smoothing is not None:
        losses = (1 - smoothing) * losses + smoothing * (ops.logsumexp(z, axis=-1) - ops.mean(z, axis=-1))
    return losses


def class_weights(configuration: Configuration, prior: Array) -> Array:
    """What a row's loss is multiplied with, by class; `prior` are the classes' shares of the training rows.

    A class without training rows is given the weight of one.
    """
    q = float(configuration["class_weight"])
    there = prior > 0
    weights = np.ones(len(prior))
    weights[there] = prior[there] ** -q / (prior[there] ** (1 - q)).sum()
    return weights


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
