"""Tree-structured Parzen estimation for cohorts: densities are fitted once for all proposals asked for together.

Source and bandwidths: see `density`. As stock Optuna's `TPESampler(multivariate=True, group=True)`, with its 24
candidates a trial, its tenth of good trials (25 at most) and its weights by age. Where we differ, besides the speed:

- Hyperparameters under the same condition form a group with a joint density; Optuna infers groups from the trials.
- A batch is kept diverse by the constant liar, as in Optuna: each proposal joins the bad density before the next is
  chosen. It joins as one more kernel, while the widths of the others stay.
- Diverged trials are never counted among the good ones, however few have been completed.
- Of more than `KERNELS` bad trials that ended, as many stand for all, evenly by weight: a proposal's cost is bounded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.metrics import Direction
from hpo.search.density import Axis, Density, Floats, Points
from hpo.search.distributions import Row, Terms
from hpo.search.trials import CODES, Trials
from hpo.seeds import derive

CANDIDATES = 24
GOOD_SHARE, GOOD_MOST = 0.1, 25
KERNELS = 2000
NEWEST = 25
"""Trials that weigh one each; older ones weigh less, down to one in n."""


@dataclass(frozen=True)
class _Group:
    """Hyperparameters under one condition: columns of a row, and of these the ones that have more than one value."""

    columns: list[int]
    varying: list[int]
    gate: str
    """A member's name: while it is inactive, all are."""


@dataclass
class _Fitted:
    """A group's densities."""

    good: Density
    bad: Density


class Sampler:
    """Proposes rows (see `Terms`) from the trials known."""

    def __init__(
        self, terms: Terms, trials: Trials, *, direction: Direction, seed: tuple[str | int, ...], startup: int | None,
        kernels: int = KERNELS,
    ) -> None:  # fmt: skip
        """`startup`: trials proposed at random before a model is used; None: always at random.

        `kernels`: so many bad trials that ended stand for all.
        """
        self._terms, self._trials, self._seed, self._startup = terms, trials, seed, startup
        self._kernels = kernels
        self._sign = 1.0 if direction == "minimize" else -1.0
        self._axes = [Axis.of(terms.distributions[name]) for name in terms.names]
        found: dict[object, list[int]] = {}
        for c, h in enumerate(terms.space.varying):
            found.setdefault(frozenset(h.when), []).append(c)
        # By first members: a condition's hyperparameters come before those that it rules.
        self._groups = [
            _Group(cs, [c for c in cs if not terms.distributions[terms.names[c]].single()], terms.names[cs[0]])
            for cs in found.values()
        ]

    def propose(
        self, numbers: Sequence[int], held: Mapping[int, Mapping[int, float]] | None = None, beside: Sequence[Row] = ()
    ) -> dict[int, list[float]]:
        """A row for each number, chosen one after another, each knowing those before it and `beside` as running.

        `held`: for numbers, columns with values they must take (NaN: free); the others are chosen given these.
        """
        held = held or {}
        rows = {number: [math.nan] * len(self._axes) for number in numbers}
        streams = {number: np.random.default_rng(derive(*self._seed, number)) for number in numbers}
        shares = {number: stream.random(len(self._axes)) for number, stream in streams.items()}
        split = self._split()
        for group in self._groups:
            active = [n for n in numbers if group.gate not in self._terms.inactive(self._terms.active_values(rows[n]))]
            modelled = group.varying if split is not None else []
            for c in (c for c in group.columns if c not in modelled and active):
                drawn = self._axes[c].uniform(np.array([shares[n][c] for n in active])).tolist()
                for n, value in zip(active, drawn, strict=True):
                    given = held.get(n, {}).get(c)
                    rows[n][c] = value if given is None else given
            if split is None or not active or not modelled:
                continue
            chosen = self._chosen(
                self._fitted(group, split),
                np.array([streams[n].random((CANDIDATES, len(group.varying) + 1)) for n in active]),
                np.array([[held.get(n, {}).get(c, math.nan) for c in group.varying] for n in active]),
                np.array([[r[c] for c in group.varying] for r in beside if not math.isnan(r[group.columns[0]])]),
            )
            for n, values in zip(active, chosen, strict=True):
                for c, value in zip(group.varying, values, strict=True):
                    rows[n][c] = float(value)
        return rows

    def _split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Places of the good trials and of all others, by number; None while proposals are random."""
        states = self._trials.states
        complete = np.flatnonzero(states == CODES["complete"])
        ended = len(complete) + np.count_nonzero(states == CODES["pruned"])
        if self._startup is None or ended < self._startup or not len(complete):
            return None
        order = np.argsort(self._sign * self._trials.values[complete], kind="stable")
        good = complete[order[: min(math.ceil(GOOD_SHARE * ended), GOOD_MOST)]]
        rest = states != CODES["failed"]
        rest[good] = False
        return np.sort(good), np.flatnonzero(rest)

    def _fitted(self, group: _Group, split: tuple[NDArray[np.intp], NDArray[np.intp]]) -> _Fitted:
        axes = [self._axes[c] for c in group.varying]
        good, bad = (side[~np.isnan(self._trials.rows[side, group.columns[0]])] for side in split)
        weights = by_age(len(bad))
        running = self._trials.states[bad] == CODES["running"]
        ended = np.flatnonzero(~running)
        if len(ended) > self._kernels:
            total = weights[ended].sum()
            kept = ended[_evenly(weights[ended], self._kernels)]
            weights = np.concatenate([np.full(self._kernels, total / self._kernels), weights[running]])
            bad = np.concatenate([bad[kept], bad[running]])
        rows = self._trials.rows[:, group.varying]
        return _Fitted(Density(axes, rows[good], by_age(len(good))), Density(axes, rows[bad], weights))

    @staticmethod
    def _chosen(fitted: _Fitted, shares: Floats, held: Floats, beside: Floats) -> Floats:
        """Of each number's candidates the one with the most of the good density for the bad one: (numbers, columns)."""
        each, columns = shares.shape[1], shares.shape[2] - 1
        drawn = _given(fitted.good, shares.reshape(-1, columns + 1), np.repeat(held, each, axis=0))
        # What runs beside comes first, so that it can be told to the candidates as they are told of each other.
        first = len(beside)
        points = Points(fitted.good.axes, np.concatenate([beside.reshape(-1, columns), drawn]))
        good, bad = np.log(fitted.good.pdf(points)), fitted.bad.pdf(points)
        for k in range(first):
            bad[first:] += fitted.bad.beside(k, points, first)
        chosen = []
        for start in range(first, len(points), each):
            stop = start + each
            chosen.append(start + int(np.argmax(good[start:stop] - np.log(bad[start:stop]))))
            bad[stop:] += fitted.bad.beside(chosen[-1], points, stop)
        return points.values[chosen]


def by_age(count: int) -> Floats:
    """Weights of trials from the oldest to the newest, as Optuna's `default_weights`."""
    old = max(count - NEWEST, 0)
    return np.concatenate([np.linspace(1 / max(count, 1), 1.0, old), np.ones(count - old)])


def _evenly(weights: Floats, count: int) -> NDArray[np.intp]:
    """`count` places at even steps of the weights added up."""
    cumulated = np.cumsum(weights)
    return np.asarray(np.searchsorted(cumulated, (np.arange(count) + 0.5) / count * cumulated[-1]))


def _given(density: Density, shares: Floats, held: Floats) -> Floats:
    """Points of the density given some of their values (NaN: free): kernels count by how well they explain these."""
    points = np.empty_like(held)
    free = np.isnan(held)
    for pattern in np.unique(free, axis=0):
        rows, known = (free == pattern).all(axis=1), np.flatnonzero(~pattern).tolist()
        if not known:
            points[rows] = density.sample(shares[rows])
            continue
        at = Points(density.axes, np.where(pattern, [axis.low for axis in density.axes], held[rows]))
        log = density.log_kernels(at, known)
        points[rows] = density.sample(shares[rows], density.weights * np.exp(log - log.max(axis=1, keepdims=True)))
        points[np.ix_(rows, known)] = held[np.ix_(rows, known)]
    return points
