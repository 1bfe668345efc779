"""Parzen densities of tree-structured estimation (TPE), a whole cohort's candidates at once.

Source: Bergstra et al. (2011), Algorithms for hyper-parameter optimization; bandwidths and weights as Optuna 5.0 has
them in its multivariate form (Watanabe 2023, arXiv 2304.11127). A density is a mixture of products: one kernel for each
trial and one, the prior, over the whole range. In a kernel a real number is a normal truncated to the range, a whole
number the mass of such a normal over half a step to either side, a choice mostly the trial's own.

Optuna's own class costs ten times as much: it evaluates the candidates of one trial at a time and takes logarithms of
normal masses one by one. `tests/search/test_search_density.py` holds this one equal to it.

Symbols: n kernels, m points, d axes. Numbers are scaled so that their range, half a step beyond the ends for whole
ones, is [0, 1]; on that scale mu and sigma are a kernel's centre and width, each (n, d).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Whole = NDArray[np.intp]

_AT_ONCE = 100_000
"""Entries of (m, n) worked on together: few enough to stay in the processor's cache."""
_TINY = np.finfo(np.float64).tiny
_ROOT_TAU = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Axis:
    """One hyperparameter as kernels see it."""

    low: float
    high: float
    """Ends as Optuna stores values; of a choice 0 and the last position."""
    log: bool = False
    whole: bool = False
    choices: int = 0
    """How many, of a choice; 0 for a number."""

    @classmethod
    def of(cls, distribution: BaseDistribution) -> "Axis":
        match distribution:
            case CategoricalDistribution(choices=choices):
                return cls(0.0, len(choices) - 1.0, choices=len(choices))
            case FloatDistribution() | IntDistribution():
                whole = isinstance(distribution, IntDistribution)
                return cls(float(distribution.low), float(distribution.high), distribution.log, whole)
        raise TypeError(f"no axis for {distribution}")

    def scaled(self, values: Floats) -> Floats:
        """From values as Optuna stores them to [0, 1]."""
        start, end = self._ends()
        return ((np.log(values) if self.log else values) - start) / (end - start)

    def values(self, at: Floats) -> Floats:
        """The inverse of `scaled`, rounded to whole numbers where they are, never outside the ends."""
        start, end = self._ends()
        found = start + at * (end - start)
        found = np.exp(found) if self.log else found
        return np.clip(np.round(found) if self.whole else found, self.low, self.high)

    def uniform(self, shares: Floats) -> Floats:
        """Values for shares in [0, 1): even over the range, on its own scale."""
        if self.choices:
            return np.floor(shares * self.choices)
        return self.values(shares)

    def uniform_at(self, share: float) -> float:
        return float(self.uniform(np.array([share]))[0])

    def _ends(self) -> tuple[float, float]:
        half = 0.5 if self.whole else 0.0
        start, end = self.low - half, self.high + half
        return (float(np.log(start)), float(np.log(end))) if self.log else (start, end)


class Points:
    """Points (m, d) as Optuna stores values, with what several densities need of them."""

    def __init__(self, axes: Sequence[Axis], values: Floats) -> None:
        self.values = values
        self.at = np.empty_like(values)
        """Scaled; of a choice its position."""
        self.ends = np.zeros((2, *values.shape))
        """Half a step to either side of `at`, of whole numbers."""
        for c, axis in enumerate(axes):
            x = values[:, c]
            self.at[:, c] = x if axis.choices else axis.scaled(x)
            if axis.whole:
                self.ends[:, :, c] = axis.scaled(x - 0.5), axis.scaled(x + 0.5)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class _Factors:
    """What the logarithms of kernels at points add up from: a product of matrices, and rows of tables."""

    left: Floats
    right: Floats
    tables: list[tuple[Floats, Whole]]

    def log_kernels(self, rows: slice) -> Floats:
        found = self.left[rows] @ self.right
        for table, which in self.tables:
            found += table[which[rows]]
        return found


class Density:
    """A mixture of kernels around observed points, with the prior as its last kernel."""

    def __init__(self, axes: Sequence[Axis], observed: Floats, weights: Floats) -> None:
        """`observed`: (n - 1, d) as Optuna stores values. `weights`: (n - 1,), for a prior of weight one."""
        self.axes = tuple(axes)
        n = len(observed) + 1
        self.weights = np.append(weights, 1.0)
        self.mu = np.empty((n, len(self.axes)))
        self.sigma = np.ones((n, len(self.axes)))
        # A choice's kernel: its own position and every other position get these probabilities.
        self.own, self.other = np.ones((n, len(self.axes))), np.ones((n, len(self.axes)))
        for c, axis in enumerate(self.axes):
            if axis.choices:
                self.mu[:-1, c], self.mu[-1, c] = observed[:, c], -1.0
                self.own[:, c], self.other[:, c] = (1 + 1 / n) / (1 + axis.choices / n), 1 / (n + axis.choices)
                self.own[-1, c] = self.other[-1, c] = 1 / axis.choices
            else:
                self.mu[:-1, c], self.mu[-1, c] = axis.scaled(observed[:, c]), 0.5
                self.sigma[:-1, c] = _widths(self.mu[:-1, c])
        self._sorted = np.sort(self.mu[:-1].T, axis=1)

    def sample(self, shares: Floats, weights: Floats | None = None) -> Floats:
        """Points (m, d) as Optuna stores values, for `shares` (m, d + 1) in [0, 1): which kernel, and where in it.

        `weights`: (m, n) other weights of the kernels.
        """
        cumulated = np.cumsum(self.weights[None] if weights is None else weights, axis=1)
        i = (cumulated[:, :-1] <= shares[:, :1] * cumulated[:, -1:]).sum(axis=1)
        points = np.empty((len(shares), len(self.axes)))
        for c, axis in enumerate(self.axes):
            share, mu, sigma = shares[:, c + 1], self.mu[i, c], self.sigma[i, c]
            if axis.choices:
                each = np.where(np.arange(axis.choices) == mu[:, None], self.own[i, c, None], self.other[i, c, None])
                points[:, c] = np.minimum((np.cumsum(each, axis=1) <= share[:, None]).sum(axis=1), axis.choices - 1)
            else:  # mu lies in the range, so neither end is far out in a tail and the inverse is exact
                below, above = ndtr(-mu / sigma), ndtr((1 - mu) / sigma)
                points[:, c] = axis.values(np.clip(mu + sigma * ndtri(below + share * (above - below)), 0, 1))
        return points

    def pdf(self, points: Points) -> Floats:
        """Weighted sum of the kernels at each of the points: (m,). Divide by the weights' sum for a density."""
        step = max(1, _AT_ONCE // len(self.weights))
        factors = self._factors(points, range(len(self.axes)))
        found = np.empty(len(points))
        for k in range(0, len(points), step):
            kernels = factors.log_kernels(slice(k, k + step))
            found[k : k + step] = np.exp(kernels, out=kernels) @ self.weights
        return found

    def log_kernels(self, points: Points, columns: Sequence[int]) -> Floats:
        """Logarithm of each kernel at each point, over some of the axes: (m, n)."""
        return self._factors(points, columns).log_kernels(slice(None))

    def beside(self, point: int, points: Points, first: int) -> Floats:
        """What one more kernel at `points[point]`, of weight one, adds to `pdf` at `points[first:]`: the liar.

        It is as wide as if it had been fitted along with the others.
        """
        n = len(self.weights) + 1
        found = np.ones(len(points) - first)
        at = points.at[point]
        for c, axis in enumerate(self.axes):
            others = points.at[first:, c]
            if axis.choices:
                own, other = (1 + 1 / n) / (1 + axis.choices / n), 1 / (n + axis.choices)
                found *= np.where(others == at[c], own, other)
                continue
            k = int(np.searchsorted(self._sorted[c], at[c]))
            below, above = (self._sorted[c][k - 1] if k else 0.0), (self._sorted[c][k] if k < n - 2 else 1.0)
            sigma = min(max(at[c] - below, above - at[c], 1 / min(100.0, 1.0 + n)), 1.0)
            inside = ndtr((1 - at[c]) / sigma) - ndtr(-at[c] / sigma)
            if axis.whole:
                low, high = (points.ends[:, first:, c] - at[c]) / sigma
                found *= _between(low, high) / inside
            else:
                found *= np.exp(-0.5 * ((others - at[c]) / sigma) ** 2) / (sigma * inside * _ROOT_TAU)
        return found

    def _factors(self, points: Points, columns: Sequence[int]) -> _Factors:
        left, right, tables = [np.ones((len(points), 1))], [np.zeros((1, len(self.weights)))], []
        for c in columns:
            axis, mu, sigma = self.axes[c], self.mu[:, c], self.sigma[:, c]
            if axis.choices:
                log_own, log_other = np.log(self.own[:, c]), np.log(self.other[:, c])
                left.append(points.values[:, c, None] == np.arange(axis.choices))
                right.append(np.where(np.arange(axis.choices)[:, None] == mu, log_own, log_other))
            elif axis.whole:
                tables.append(_log_masses(points.ends[:, :, c], mu, sigma))
            else:
                # The square written out, so that all kernels at all points are one product of matrices. Widths are
                # a hundredth of the range or more: little is lost by cancelling.
                at, precision = points.at[:, c] - 0.5, 1 / sigma**2
                left.append(np.stack([at**2, at], axis=1))
                right.append(np.stack([-0.5 * precision, (mu - 0.5) * precision]))
                right[0] -= 0.5 * (mu - 0.5) ** 2 * precision + np.log(sigma * _mass(mu, sigma) * _ROOT_TAU)
        return _Factors(np.concatenate(left, axis=1), np.concatenate(right), tables)


def _widths(mu: Floats) -> Floats:
    """The distance to the farther neighbour (at the ends: to the only one), within [1 / min(100, n + 2), 1]."""
    order = np.argsort(mu, kind="stable")
    between = np.diff(np.concatenate([[0.0], mu[order], [1.0]]))
    widths = np.maximum(between[:-1], between[1:])
    if len(mu) >= 2:
        widths[0], widths[-1] = between[1], between[-2]
    found = np.empty_like(mu)
    found[order] = widths
    return np.clip(found, 1 / min(100.0, len(mu) + 2.0), 1.0)


def _mass(mu: Floats, sigma: Floats) -> Floats:
    """The share of each kernel that lies in the range."""
    return np.asarray(ndtr((1 - mu) / sigma) - ndtr(-mu / sigma))


def _between(low: Floats, high: Floats) -> Floats:
    """The standard normal's mass between two bounds; from the left tail, where the right one would round to nothing."""
    right = low > 0
    return np.asarray(ndtr(np.where(right, -low, high)) - ndtr(np.where(right, -high, low)))


def _log_masses(ends: Floats, mu: Floats, sigma: Floats) -> tuple[Floats, Whole]:
    """Logarithm of each kernel's mass around each whole number that occurs: (numbers, n), and which each point is.

    `ends`: (2, m).
    """
    _, first, which = np.unique(ends[0], return_index=True, return_inverse=True)
    # Equal kernels are worked out once. NumPy sorts complex numbers by both parts, far faster than rows.
    kernels, of = np.unique(mu + 1j * sigma, return_inverse=True)
    low, high = (ends[:, first, None] - kernels.real) / kernels.imag
    return np.log(np.maximum(_between(low, high), _TINY) / _mass(kernels.real, kernels.imag))[:, of], which
