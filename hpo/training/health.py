"""How a network's layers fare: read from its weights on a few rows at chosen epochs, of the bundled `mlp` with NumPy.

A forward and a backward pass in training mode (batch normalization by the rows' own statistics; no dropout, no noise)
over at most `ROWS` rows of the training probe. Symbols: z pre-activations, h = f(z) activations (rows, units), W a
kernel (inputs, units), L the mean loss of the rows. It follows the weights alone, so every engine's runs are read
alike, and a cohort's program need not carry it along. Other models are read by `hpo.training.health_of_models`.

Read of each hidden layer and of the output: the norm of W; the norm of dL/dW; of h its mean and deviation; the share of
units that are zero on all rows; the share of entries in which f is flat (|tanh| > 0.99, sigmoid outside [0.01, 0.99]);
the share of units whose incoming weights are those of the layer's mean unit, to one part in a thousand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.space import SearchSpace
from hpo.training.constants import BATCH_NORMALIZATION_EPSILON
from hpo.training.inspection.activations import ACTIVATE
from hpo.values import Array, Configuration, LayerHealth, Task

ROWS = 64
"""Enough for the shares that diagnoses ask for; four times as many took a cohort of small networks 8 % of its time."""
_ALIKE = 1e-3


@dataclass
class _Layer:
    """A hidden layer's arrays and what its backward pass needs of the forward one."""

    kernel: Array
    gamma: Array | None
    beta: Array | None
    x: Array
    z: Array
    """What the activation is given."""
    h: Array
    """What it gives."""
    scale: Array | None = None
    """gamma / deviation of the batch normalization."""
    normal: Array | None = None
    """What the normalization gives before gamma and beta."""


def examined(
    space: SearchSpace, configuration: Configuration, task: Task, weights: Sequence[Array], x: Array, y: Array, *,
    epoch: int, before: Sequence[Array] | None = None,
) -> tuple[LayerHealth, ...]:  # fmt: skip
    """The health of each layer of the bundled `mlp`; of other models nothing is read here.

    `weights`: as exported; y (rows,) classes or standardised targets; x (rows or more, ...) scaled inputs. `before`:
    the weights of an epoch earlier, for how far the kernels moved; without them that is NaN.
    """
    if space.model != "mlp":
        return ()
    rows = min(ROWS, len(y))
    x, y = x[:rows].reshape(rows, -1), y[:rows]
    with np.errstate(all="ignore"):
        layers, last, (kernel, bias) = _forward(configuration, weights, x)
        z = last @ kernel + bias
        *gradients, gradient = _backward(configuration, layers, kernel, last, _loss_gradient(task, z, y))
        *moved, by = _moved(weights, before)
        activation = str(configuration["activation"])
        hidden = [
            layer_health(f"hidden {n}", epoch, layer.kernel, g, layer.h, m, activation)
            for n, (layer, g, m) in enumerate(zip(layers, gradients, moved, strict=True), 1)
        ]
        return (*hidden, layer_health("output", epoch, kernel, gradient, z, by, None))


def _forward(
    configuration: Configuration, weights: Sequence[Array], x: Array
) -> tuple[list[_Layer], Array, Sequence[Array]]:
    """The hidden layers, what the last of them hands on, and (kernel, bias) of the output."""
    place, activation = str(configuration["batch_normalization"]), ACTIVATE[str(configuration["activation"])]
    arrays, layers = iter(weights), []
    for _ in range(int(configuration["hidden_layers"])):
        kernel = next(arrays)
        bias = None if place == "before" else next(arrays)
        gamma, beta = (next(arrays), next(arrays)) if place != "none" else (None, None)
        if place != "none":
            next(arrays), next(arrays)  # moving averages, which training does not use
        z = x @ kernel if bias is None else x @ kernel + bias
        layer = _Layer(kernel, gamma, beta, x, z, z)
        if place == "before":
            layer.z = _normalized(layer, z)
        layer.h = activation.value(layer.z)
        layers.append(layer)
        x = _normalized(layer, layer.h) if place == "after" else layer.h
    return layers, x, list(arrays)


def _normalized(layer: _Layer, a: Array) -> Array:
    inverse = 1 / np.sqrt(a.var(0) + BATCH_NORMALIZATION_EPSILON)
    layer.normal, layer.scale = (a - a.mean(0)) * inverse, layer.gamma * inverse
    return np.asarray(layer.normal * layer.gamma + layer.beta)


def _backward(configuration: Configuration, layers: list[_Layer], kernel: Array, last: Array, g: Array) -> list[Array]:
    """dL/dW of each layer, the output's last; g = dL/dz of the output (rows, outputs)."""
    place, activation = str(configuration["batch_normalization"]), ACTIVATE[str(configuration["activation"])]
    found, g = [last.T @ g], g @ kernel.T
    for layer in reversed(layers):
        if place == "after":
            g = _through_normalization(layer, g)
        g = g * activation.slope(layer.z, layer.h)
        if place == "before":
            g = _through_normalization(layer, g)
        found.append(layer.x.T @ g)
        g = g @ layer.kernel.T
    return found[::-1]


def _through_normalization(layer: _Layer, g: Array) -> Array:
    """Ioffe and Szegedy (2015), the derivative of section 3 gathered up."""
    return np.asarray(layer.scale * (g - g.mean(0) - layer.normal * (g * layer.normal).mean(0)))


def _loss_gradient(task: Task, z: Array, y: Array) -> Array:
    """dL/dz of the mean loss, (rows, outputs)."""
    if not task.classifies:
        return np.asarray(2 * (z - y[:, None]) / len(z), z.dtype)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return np.asarray(p / len(z))


def _moved(weights: Sequence[Array], before: Sequence[Array] | None) -> Iterator[float]:
    """Of each kernel: see `change`."""
    for i, w in enumerate(weights):
        if w.ndim == 2:
            yield change(w, None if before is None else before[i])


def change(kernel: Array, before: Array | None) -> float:
    """The norm of a kernel's change as a share of its norm before; NaN where that was not seen."""
    return float("nan") if before is None else float(np.linalg.norm(kernel - before) / np.linalg.norm(before))


def layer_health(
    name: str, epoch: int, kernel: Array, gradient: Array, h: Array, moved: float, activation: str | None
) -> LayerHealth:
    """What is read of a layer: kernel and gradient (inputs, units), h (rows times places, units), moved by `change`.

    `activation`: its name; None of the output, where no unit counts as dead.
    """
    known = ACTIVATE.get(activation or "")
    bounds = known.bounds if known else None
    mean = kernel.mean(1, keepdims=True)
    apart = np.linalg.norm(kernel - mean, axis=0) > _ALIKE * np.linalg.norm(mean)
    return LayerHealth(
        epoch, name, float(np.linalg.norm(kernel)), moved, float(np.linalg.norm(gradient)), float(h.mean()),
        float(h.std()), 0.0 if activation is None else float((h == 0).all(0).mean()),
        0.0 if bounds is None else float(((h < bounds[0]) | (h > bounds[1])).mean()),
        float(1 - apart.mean()) if kernel.shape[1] > 1 else 0.0,
    )  # fmt: skip
