"""Ranges that end too early, and ranges that can be narrowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from hpo.space import (
    Choice,
    Fixed,
    FloatRange,
    Hyperparameter,
    IntRange,
    Kind,
    SearchSpace,
    bound,
    narrowed,
    position,
    widened,
)
from hpo.space.ranges import Side
from hpo.values import Configuration, fingerprint

TOP = 0.2
"""The best trials of a stage: this share of those that count, at least `FEWEST`."""
FEWEST = 4
NEAR = 0.2
"""Near an end: within this share of the range, on its own scale; the best must be so on average."""
CHANCE = 0.01
"""Crowded: the best lie so far to one side, on average, that values without effect would do it this rarely. Or cost
still falls towards the end over the outer half of the range, more clearly than chance makes it (rank correlation)."""


@dataclass(frozen=True)
class Ranked:
    """A trial's configuration and value; the value is such that less is better."""

    configuration: Configuration
    cost: float


@dataclass(frozen=True)
class Edge:
    """A range whose best trials crowd one end."""

    name: str
    side: Side
    crowd: int
    best: int
    """So many of the `best` lie near the end: trials, or structures by their best trials."""
    old: FloatRange | IntRange
    new: FloatRange | IntRange
    of: str = "trials"
    slow: bool = False
    """The best trials need not lie at the end: their losses say that it is too low."""

    @property
    def sentence(self) -> str:
        end = self.old.high if self.side == "high" else self.old.low
        moved = self.new.high if self.side == "high" else self.new.low
        if self.slow:
            return (
                f"The losses of the {self.best} best trials fall as steadily at the end as at the beginning: the "
                f"{self.side} end of {self.name} ({end:g}) is too low, widened to {moved:g}."
            )
        return (
            f"{self.crowd} of the {self.best} best {self.of} lie at the {self.side} end of {self.name} ({end:g}): "
            f"widened to {moved:g}."
        )


STEADY = 0.5
"""A training loss that falls in its second half by this share of its first has not settled: see `diagnosis.pace`."""


def slow_rate_edge(space: SearchSpace, best: Sequence[tuple[Configuration, float]]) -> tuple[Edge, ...]:
    """The upper end of the learning rate, where every one of the best trials still falls as steadily as it began.

    best: configuration and pace of the best trials, `FEWEST` at least. Their values need not crowd the end: where all
    rates are far too low, what a trial reaches depends on its first weights more than on its rate. So far off, the end
    moves twice as far as that of a crowded range.
    """
    name = "learning_rate"
    if len(best) < FEWEST or name not in space or any(pace < STEADY for _, pace in best):
        return ()
    range_, end = space[name].range, bound(space, name, "high")
    if isinstance(range_, (Choice, Fixed)) or end is None:
        return ()
    near = sum(_near(position(range_, float(c[name])), "high") for c, _ in best)
    wider = widened(widened(range_, "high", end), "high", end)
    return (Edge(name, "high", near, len(best), range_, wider, slow=True),) if wider != range_ else ()


def crowded_edges(space: SearchSpace, trials: Sequence[Ranked]) -> tuple[Edge, ...]:
    """The varying numeric ranges whose best trials crowd one end, each with its wider range.

    A range that already reaches the end of the catalogue's domain, or whose end is a natural zero (no dropout, no
    penalty), is left alone, and so is one of a single value. Where a hyperparameter decides the structure, the best
    trial of each structure counts: a search keeps few open, so that their trials share its value by chance.
    """
    found: list[Edge] = []
    structures = _best_of_structures(space, trials)
    for h in space.varying:
        if isinstance(h.range, (Choice, Fixed)) or h.range.low == h.range.high:
            continue
        counted, of = (structures, "structures") if h.kind is Kind.STRUCTURE else (trials, "trials")
        if len(counted) < 2 * FEWEST:
            continue
        best = sorted(counted, key=lambda t: t.cost)[: max(FEWEST, ceil(TOP * len(counted)))]
        seen = [float(t.configuration[h.name]) for t in best if space.active(h.name, t.configuration)]
        at = [position(h.range, v) for v in seen]
        sides: tuple[Side, Side] = ("low", "high")
        for side in sides:
            end = bound(space, h.name, side)
            if len(at) < FEWEST or end is None:
                continue
            if not _crowded(at, h.range, side) and not _still_falling(h, h.range, side, at, space, counted):
                continue
            wider = widened(h.range, side, end) if end > 0 or not h.range.log else h.range
            if wider != h.range:
                found.append(Edge(h.name, side, sum(_near(p, side) for p in at), len(at), h.range, wider, of))
    return tuple(found)


def _best_of_structures(space: SearchSpace, trials: Sequence[Ranked]) -> Sequence[Ranked]:
    found: dict[str, Ranked] = {}
    for trial in sorted(trials, key=lambda t: t.cost):
        found.setdefault(fingerprint(space.structure(trial.configuration)), trial)
    return list(found.values())


def _crowded(at: Sequence[float], range_: FloatRange | IntRange, side: Side) -> bool:
    """Whether the mean position lies near the end, and further out than chance takes it (normal approximation)."""
    mean = sum(at) / len(at)
    centre, variance = _by_chance(range_)
    beyond = (mean - centre if side == "high" else centre - mean) / sqrt(variance / len(at))
    return _near(mean, side) and NormalDist().cdf(-beyond) < CHANCE


def _still_falling(
    h: Hyperparameter, range_: FloatRange | IntRange, side: Side, at: Sequence[float], space: SearchSpace,
    trials: Sequence[Ranked],
) -> bool:  # fmt: skip
    """Whether the best lie in the outer third, and cost falls all the way there (Spearman's t over the outer half)."""
    mean = sum(at) / len(at)
    if not (mean >= 2 / 3 if side == "high" else mean <= 1 / 3):
        return False
    active = [(position(range_, float(t.configuration[h.name])), t.cost) for t in trials
              if space.active(h.name, t.configuration)]  # fmt: skip
    outer = [(p, c) for p, c in active if (p >= 0.5 if side == "high" else p <= 0.5)]
    if len(outer) < 2 * FEWEST or len({p for p, _ in outer}) < FEWEST:
        return False
    rho = _rank_correlation([p if side == "high" else -p for p, _ in outer], [c for _, c in outer])
    degrees = len(outer) - 2
    t = rho * sqrt(degrees / max(1e-12, 1 - rho**2))
    return bool(t < -stdtrit(degrees, 1 - CHANCE))


def _rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    ranks = np.array([np.argsort(np.argsort(values)) for values in (a, b)])
    return float(np.corrcoef(ranks)[0, 1])


def _near(position_: float, side: Side) -> bool:
    return position_ <= NEAR if side == "low" else position_ >= 1 - NEAR


def _by_chance(range_: FloatRange | IntRange) -> tuple[float, float]:
    """Mean and variance of the position of a value drawn from the range; few whole numbers are counted out."""
    if isinstance(range_, FloatRange) or range_.high - range_.low > 50:
        return 0.5, 1 / 12
    values = range(range_.low, range_.high + 1)
    weights = [log((v + 0.5) / (v - 0.5)) if range_.log else 1.0 for v in values]
    at = [position(range_, v) for v in values]
    mean = sum(w * p for w, p in zip(weights, at, strict=True)) / sum(weights)
    return mean, sum(w * (p - mean) ** 2 for w, p in zip(weights, at, strict=True)) / sum(weights)


def widen(space: SearchSpace, edges: Sequence[Edge]) -> SearchSpace:
    """The space with every crowded range carried further."""
    for edge in edges:
        space = space.with_range(edge.name, edge.new)
    return space


def narrowed_around(space: SearchSpace, trials: Sequence[Ranked], best: Configuration) -> SearchSpace:
    """The space with numeric ranges cut to where the best trials lie, with a margin of a quarter of their spread.

    Never narrower than a fifth of the range around the best value; learning-rate-like log ranges keep a factor of
    three to each side. A range with fewer than `FEWEST` active best trials stays as it is.
    """
    top = sorted(trials, key=lambda t: t.cost)[: max(FEWEST, ceil(TOP * len(trials)))]
    for h in space.varying:
        if isinstance(h.range, (Choice, Fixed)) or h.name not in best:
            continue
        values = [float(t.configuration[h.name]) for t in top if space.active(h.name, t.configuration)]
        if len(values) < FEWEST:
            continue
        centre = float(best[h.name])
        if h.range.log:
            low, high = min(*values, centre / 3), max(*values, centre * 3)
        else:
            spread = max(values) - min(values)
            margin = max(spread / 4, (h.range.high - h.range.low) / 10)
            low, high = min(*values, centre) - margin, max(*values, centre) + margin
        space = space.with_range(h.name, narrowed(h.range, low, high))
    return space
