"""How far a signal comes through a deep dense network without normalization, forwards and backwards, before training.

The experiment is Glorot and Bengio's (2010), as Stanford's CS231n teaches it. Symbols: rows X of standard normal
numbers, h_0 = X, z_l = h_(l-1) W_l, h_l = f(z_l) for layers l = 1 ... L of one width, without biases. Backwards a
standard normal gradient enters at the top, g(h_L), and

    g(z_l) = g(h_l) f'(z_l),    g(h_(l-1)) = g(z_l) W_l^T

Gradients are told with respect to the pre-activations z_l. With NumPy alone, so that no framework is loaded.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hpo.seeds import derive
from hpo.training.initializers import kernel
from hpo.training.inspection.activations import ACTIVATE, Activation
from hpo.values import Array

KEPT = 10.0
"""A deviation that changes by less than this factor from the first layer to the last counts as kept."""
MOST = 0.5
"""More than this share of a layer's numbers makes a layer dead or saturated."""
GRADIENT_ROWS = 256
"""Gradients are taken of so many rows at most: with a layer's width of numbers each that is accurate enough, and
backwards is what takes the time."""
_DEEP = 20
"""Deeper networks are computed in 64 bits: in 32, powers of a layer's factor would leave the range of numbers."""


@dataclass(frozen=True, eq=False)
class Signals:
    """What one initializer and activation do to the signal; one entry a layer, from the input on, float64 (layers,)."""

    initializer: str
    activation: str
    activations: Array
    """Standard deviation of h_l over all rows and units."""
    gradients: Array
    """Standard deviation of g(z_l) over all units and the first `GRADIENT_ROWS` rows."""
    dead: Array
    """Share of units that are zero for every row."""
    saturated: Array
    """Share of numbers at the flat ends: |tanh| above 0.99, sigmoid outside [0.01, 0.99]; NaN where there are none."""
    alike: Array
    """Whether all units of the layer give the same number for every row, bool (layers,)."""

    @property
    def gradient_ratio(self) -> float:
        """Deviation of the gradient at the first layer over that at the last; NaN where no gradient came in."""
        return float(self.gradients[0] / self.gradients[-1]) if self.gradients[-1] else float("nan")

    @property
    def reading(self) -> str:
        """One word, the first that holds.

        `dies`: most units of the last layer are zero for every row. `alike`: all units of each layer give the same
        number, which training cannot part. `saturates`: most numbers of the last layer lie at the flat ends.
        `explodes`, `collapses`: the deviation of activations from the first layer to the last, or of gradients from the
        last to the first, changes by more than a factor of ten. `keeps`: none of these.
        """
        if self.dead[-1] > MOST:
            return "dies"
        if self.alike.all():
            return "alike"
        if self.saturated[-1] > MOST:
            return "saturates"
        forward = self.activations[-1] / self.activations[0] if self.activations[0] else 0.0
        changes = np.array([forward, self.gradient_ratio])
        if not np.isfinite(changes).all() or (changes > KEPT).any():
            return "explodes"
        return "collapses" if (changes < 1 / KEPT).any() else "keeps"


def drawable(initializer: str) -> bool:
    """Whether an initializer follows from a kernel's shape alone: `match` follows the activation, others the data."""
    try:
        kernel(initializer, (2, 2), 0)
    except ValueError:
        return False
    return True


def signals(
    initializers: Sequence[str], activations: Sequence[str], *, layers: int, width: int, rows: int, seed: int
) -> list[Signals]:
    """Every initializer with every activation, in this order; each activation meets the same kernels and rows.

    Raises ValueError for an unknown initializer, KeyError for an unknown activation.
    """
    dtype = np.float32 if layers <= _DEEP else np.float64
    x: Array = np.random.default_rng(derive(seed, "inspect", "rows")).standard_normal((rows, width)).astype(dtype)
    top: Array = np.random.default_rng(derive(seed, "inspect", "gradient")).standard_normal((rows, width))
    top = top[:GRADIENT_ROWS].astype(dtype)

    def of(initializer: str) -> list[Signals]:
        kernels: list[Array] = [
            kernel(initializer, (width, width), derive(seed, "inspect", "kernel", n)).astype(dtype)
            for n in range(layers)
        ]
        entry = x @ kernels[0]  # the same for every activation
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return [_through(initializer, name, ACTIVATE[name], kernels, entry, top) for name in activations]

    # A product of this size is too small to be shared among threads: where others are at work on the machine, the
    # threads of a BLAS wait for each other five times as long as they compute. So a whole initializer is a thread's.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return [s for found in threads.map(of, initializers) for s in found]


def _through(
    initializer: str, name: str, activation: Activation, kernels: Sequence[Array], entry: Array, top: Array
) -> Signals:
    h, slopes, told = entry, [], []
    for layer, w in enumerate(kernels):
        z = h @ w if layer else entry
        h = activation.value(z)
        slopes.append(activation.slope(z[: len(top)], h[: len(top)]))
        told.append((_deviation(h), _dead(h), _saturated(h, activation.bounds), _alike(h)))
    gradients, g = np.empty(len(kernels)), top
    for layer in reversed(range(len(kernels))):
        g = g * slopes[layer]
        gradients[layer] = _deviation(g)
        if layer:
            g = g @ kernels[layer].T
    deviation, dead, saturated, alike = (np.array(column) for column in zip(*told, strict=True))
    return Signals(initializer, name, deviation, gradients, dead, saturated, alike)


def _deviation(a: Array) -> float:
    """Of all numbers; scaled first, since the squares of large ones would overflow 32 bits."""
    largest = float(max(a.max(), -a.min()))
    if largest == 0 or not np.isfinite(largest):
        return abs(largest)
    scaled = (a / largest).ravel()
    mean = float(scaled.mean())
    return largest * float(np.sqrt(max(float(scaled @ scaled) / scaled.size - mean * mean, 0.0)))


def _dead(h: Array) -> float:
    # A unit that lives in the first rows need not be looked at in all of them.
    alive = (h[:32] != 0).any(axis=0)
    alive[~alive] = (h[:, ~alive] != 0).any(axis=0)
    return float(1 - alive.mean())


def _saturated(h: Array, bounds: tuple[float, float] | None) -> float:
    if bounds is None:
        return float("nan")
    return float(((h < bounds[0]) | (h > bounds[1])).mean())


def _alike(h: Array) -> bool:
    """Several units, equal up to the rounding of sums, which may be added in another order for another column."""
    first = h[:, :1]
    if h.shape[1] == 1:
        return False
    return bool(np.allclose(h[:4], first[:4], rtol=1e-4, atol=0) and np.allclose(h, first, rtol=1e-4, atol=0))
