"""First weights that look at training rows: each layer in turn is scaled by what it makes of them, with NumPy.

Symbols: z = h W + b the pre-activations of a layer over rows (and places of an image), for the first weights below it.

`lsuv` (Mishkin and Matas 2015): an orthogonal kernel is divided by the deviation of z over all units. z is linear in W,
so that one division does what the paper repeats until the variance is one. `data_dependent` (Krähenbühl et al. 2015,
the step within layers; the one between layers evens out rates, which an adaptive optimizer does anyway): each unit is
divided by its own deviation, and its bias takes off its mean. A unit that is the same for all rows stays as it was.
"""

from collections.abc import Sequence

import numpy as np

from hpo.training.constants import BATCH_NORMALIZATION_EPSILON
from hpo.training.initializers import BY_DATA
from hpo.training.inspection.activations import ACTIVATE
from hpo.values import Array, Configuration

ROWS = 128
"""Looked at; the paper of LSUV takes a batch of about as many."""


def looks_at_rows(configuration: Configuration) -> bool:
    """Whether first weights follow from training rows."""
    return configuration["initializer"] in BY_DATA


def adapted(configuration: Configuration, kernels: Sequence[Array], x: Array) -> tuple[list[Array], list[Array]]:
    """(kernels, biases) of a bundled model, float64, the output's last.

    `kernels`: as drawn, (inputs, units) or (side, side, channels, filters). x (rows, ...): scaled training rows, of
    which the first `ROWS` are looked at.
    """
    h: Array = x[:ROWS].astype(np.float64)
    each_unit = configuration["initializer"] == "data_dependent"
    scaled, biases = [], []
    for w in kernels:
        z = _convolved(h, w) if w.ndim == 4 else h.reshape(len(h), -1) @ w
        axes = tuple(range(z.ndim - 1)) if each_unit else None
        deviation, mean = z.std(axes), z.mean(axes) if each_unit else np.zeros(z.shape[-1])
        divisor = np.where(deviation > 0, deviation, 1.0)
        scaled.append(w / divisor)
        biases.append(np.where(deviation > 0, -mean / divisor, 0.0) * np.ones(z.shape[-1]))
        if len(scaled) < len(kernels):
            h = _behind(configuration, z / divisor + biases[-1], pooled=w.ndim == 4)
    return scaled, biases


def _behind(configuration: Configuration, z: Array, *, pooled: bool) -> Array:
    """What the next layer is given."""
    place, activation = configuration["batch_normalization"], ACTIVATE[str(configuration["activation"])]
    h = activation.value(_normalized(z) if place == "before" else z)
    h = _normalized(h) if place == "after" else h
    return _pooled(h, largest=configuration["pooling"] == "max") if pooled else h


def _normalized(a: Array) -> Array:
    axes = tuple(range(a.ndim - 1))
    return np.asarray((a - a.mean(axes)) / np.sqrt(a.var(axes) + BATCH_NORMALIZATION_EPSILON))


def _convolved(h: Array, w: Array) -> Array:
    """Keras's `same` convolution with stride one: (rows, height, width, channels) to (rows, height, width, filters)."""
    side = len(w)
    before = (side - 1) // 2
    around = (before, side - 1 - before)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(h, ((0, 0), around, around, (0, 0))), (side, side), (1, 2)
    )
    return np.asarray(np.tensordot(windows, w.transpose(2, 0, 1, 3), axes=3))


def _pooled(h: Array, *, largest: bool) -> Array:
    """Keras's `same` pooling of two by two: an odd last row or column stands for itself."""
    rows, height, width, channels = h.shape
    odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    padded = np.pad(h, odd, constant_values=np.nan).reshape(rows, -(-height // 2), 2, -(-width // 2), 2, channels)
    return np.asarray((np.nanmax if largest else np.nanmean)(padded, axis=(2, 4)))
