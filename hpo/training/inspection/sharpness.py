"""Sharpness: the largest eigenvalue of the Hessian of the training loss at a network's weights, by power iteration.

The loss is the unpenalised mean L(w) over rows, in inference mode; w are all trainable weights of the exported network
as one vector (weights,), H its second derivatives. Products H v are exact: the gradient of (dL/dw . v), as Pearlmutter
(1994) has it. Central differences of gradients would do for a smooth loss alone: under relu the gradient jumps where a
unit of some row switches, and a difference counts each jump between w - h and w + h with a weight of 1 / 2h.

    v_0 fixed pseudorandom,    lambda = v . Hv,    v <- Hv / |Hv|

leads to the eigenvalue of largest magnitude. Where that is negative, the same iteration on H - lambda I, whose
eigenvalues are all above zero, leads to the largest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras
from hpo.training.builder import build
from hpo.training.losses import program_loss
from hpo.training.program import EvaluationRows
from hpo.training.weights import set_exported_weights
from hpo.values import Array, Configuration, Fold, TaskFacts

ROWS, IMAGES = 512, 128
"""Of the training probe, the first so many at most: rows of columns, and images, which convolutions go over."""
TOLERANCE = 1e-3
"""The iteration has converged where |Hv - lambda v| is at most this share of |lambda|: an eigenvalue lies that near."""
MOST = 200
"""Products at most, for each of the two iterations."""

Product = Callable[[Array], Array]
"""v -> Hv, both float64 (weights,)."""


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalue of the Hessian, and how it was come by."""

    value: float
    """In units of the loss over the square of a weight's; NaN where weights or gradients are no finite numbers."""
    converged: bool
    residual: float
    """|Hv - lambda v| / |lambda| at the end: how far off an eigenvalue may be, as a share of it."""
    products: int
    """Products with the Hessian that it took."""
    rows: int
    weights: int

    @property
    def highest_rate(self) -> float | None:
        """2 / sharpness: above it plain gradient descent on these rows moves away; None where nothing bounds it."""
        return 2 / self.value if self.value > 0 else None


def sharpness(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, fold: Fold, weights: Sequence[Array], *,
    fold_index: int = 0,
) -> Sharpness:  # fmt: skip
    """Of a trained network: `weights` as in `RunResult.weights`, `fold` the one it was trained on.

    In 64 bits, as far as the backend computes in them (batch normalization and tanh do not under JAX), on the first
    rows of the fold's training probe. Raises InputError where the model cannot be built.
    """
    backend.prepare()
    probe = EvaluationRows(fold, fold_index)
    y = probe.y_probe[: ROWS if len(facts.input_shape) == 1 else IMAGES]
    x = probe.x[: len(y)].astype(np.float64)
    with backend.double_precision(), backend.policy("float64"):
        model = build(space, configuration, facts, seed=0, runtime=False)
        set_exported_weights(model, tuple(weights))
        product = hessian_product(model, lambda t, z: program_loss(facts.task, t, z), x, y)
        size = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        return largest_eigenvalue(product, size, rows=len(y))


def largest_eigenvalue(product: Product, size: int, *, rows: int = 0) -> Sharpness:
    """The largest eigenvalue of a symmetric matrix (size, size) of which only products are known; see the module.

    The first vector is the same for every matrix of a size.
    """
    value, residual, products = _power(product, size, 0.0)
    if value < 0:
        value, residual, more = _power(product, size, value)
        products += more
    return Sharpness(value, residual <= TOLERANCE, residual, products, rows, size)


def _power(product: Product, size: int, shift: float) -> tuple[float, float, int]:
    """(eigenvalue of H that is farthest from `shift`, residual as a share of it, products)."""
    v: Array = np.random.default_rng(0).standard_normal(size)
    v /= np.linalg.norm(v)
    value, residual = 0.0, float("inf")
    for step in range(1, MOST + 1):
        hv = product(v)
        value = float(v @ hv)
        if not np.isfinite(value):
            return float("nan"), float("nan"), step
        away = float(np.linalg.norm(hv - value * v))
        residual = away / abs(value) if value else 0.0 if away == 0 else float("inf")
        if residual <= TOLERANCE:
            break
        v = hv - shift * v
        v /= np.linalg.norm(v)
    return value, residual, step


def hessian_product(model: keras.Model, loss: backend.Loss, x: Array, y: Array) -> Product:
    """Products with the Hessian of `loss(y, model(x))` in inference mode by the model's trainable weights, compiled."""
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    dtypes = [str(v.dtype) for v in model.trainable_variables]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    along = _along_jax(model, loss, x, y) if keras.backend.backend() == "jax" else _along(model, loss, x, y)

    def product(v: Array) -> Array:
        parts = [
            part.reshape(shape).astype(dtype)
            for part, shape, dtype in zip(np.split(v, ends), shapes, dtypes, strict=True)
        ]
        return np.concatenate([backend.host(p).astype(np.float64).ravel() for p in along(parts)])

    return product


def _along(model: keras.Model, loss: backend.Loss, x: Array, y: Array) -> Callable[[list[Array]], Any]:
    import tensorflow as tf

    rows, targets = tf.constant(x), tf.constant(y)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def along(parts: list[Any]) -> list[Any]:
        weights = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = loss(targets, model(rows, training=False))
            gradient = inner.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            slope = tf.add_n([tf.reduce_sum(g * p) for g, p in zip(gradient, parts, strict=True)])
        return list(outer.gradient(slope, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO))

    return lambda parts: along([tf.constant(p) for p in parts])


def _along_jax(model: keras.Model, loss: backend.Loss, x: Array, y: Array) -> Callable[[list[Array]], Any]:
    import jax

    weights = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    gradient = jax.grad(lambda w: loss(y, model.stateless_call(w, others, x, training=False)[0]))
    return jax.jit(lambda parts: jax.jvp(gradient, (weights,), (parts,))[1])  # type: ignore[no-any-return]
