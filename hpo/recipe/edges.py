"""Ranges that end too early, and ranges that can be narrowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, comb, log

from hpo.space import Choice, Fixed, FloatRange, IntRange, SearchSpace, bound, narrowed, position, widened
from hpo.space.ranges import Side
from hpo.values import Configuration

TOP = 0.25
"""The best trials of a stage: this share of those that count, at least `FEWEST`."""
FEWEST = 4
NEAR = 0.2
"""Near an end: within this share of the range, on its own scale."""
CHANCE = 0.01
"""Crowded: so many of the best lie near one end that values without effect would do it this rarely (binomial)."""


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
    """So many of the `best` lie near the end."""
    old: FloatRange | IntRange
    new: FloatRange | IntRange

    @property
    def sentence(self) -> str:
        end = self.old.high if self.side == "high" else self.old.low
        moved = self.new.high if self.side == "high" else self.new.low
        return (
            f"{self.crowd} of the {self.best} best trials lie at the {self.side} end of {self.name} ({end:g}): "
            f"widened to {moved:g}."
        )


def crowded_edges(space: SearchSpace, trials: Sequence[Ranked]) -> tuple[Edge, ...]:
    """The varying numeric ranges whose best trials crowd one end, each with its wider range.

    A range that already reaches the end of the catalogue's domain, or whose end is a natural zero (no dropout, no
    penalty), is left alone, and so is one of a single value.
    """
    best = sorted(trials, key=lambda t: t.cost)[: max(FEWEST, ceil(TOP * len(trials)))]
    found: list[Edge] = []
    if len(best) < FEWEST or len(trials) < 2 * FEWEST:
        return ()
    for h in space.varying:
        if isinstance(h.range, (Choice, Fixed)) or h.range.low == h.range.high:
            continue
        seen = [float(t.configuration[h.name]) for t in best if space.active(h.name, t.configuration)]
        at = [position(h.range, v) for v in seen]
        sides: tuple[Side, Side] = ("low", "high")
        for side in sides:
            crowd = sum(_near(p, side) for p in at)
            end = bound(space, h.name, side)
            if len(at) < FEWEST or end is None or _tail(crowd, len(at), _by_chance(h.range, side)) > CHANCE:
                continue
            wider = widened(h.range, side, end) if end > 0 or not h.range.log else h.range
            if wider != h.range:
                found.append(Edge(h.name, side, crowd, len(at), h.range, wider))
    return tuple(found)


def _tail(k: int, n: int, p: float) -> float:
    """Chance of at least k hits in n independent tries of chance p."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def _near(position_: float, side: Side) -> bool:
    return position_ <= NEAR if side == "low" else position_ >= 1 - NEAR


def _by_chance(range_: FloatRange | IntRange, side: Side) -> float:
    """How likely a value drawn from the range lies near one end: more than NEAR where there are few whole numbers."""
    if isinstance(range_, FloatRange) or range_.high - range_.low > 50:
        return NEAR
    values = range(range_.low, range_.high + 1)
    weights = [log((v + 0.5) / (v - 0.5)) if range_.log else 1.0 for v in values]
    near = sum(w for v, w in zip(values, weights, strict=True) if _near(position(range_, v), side))
    return near / sum(weights)


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
