"""The ranges a hyperparameter can be drawn from, and what can be done to them."""

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from hpo.values import Scalar

Side = Literal["low", "high"]


@dataclass(frozen=True)
class FloatRange:
    """Real numbers in [low, high]; `log`: uniform in the logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class IntRange:
    """Whole numbers in [low, high], both included; `log`: uniform in the logarithm."""

    low: int
    high: int
    log: bool = False


R = TypeVar("R", FloatRange, IntRange)


@dataclass(frozen=True)
class Choice:
    """One of several values without order."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Fixed:
    """One value, stated by the user: no stage varies it."""

    value: Scalar


Range = FloatRange | IntRange | Choice | Fixed


def contains(range_: Range, value: Scalar) -> bool:
    """Whether `value` can be drawn from the range."""
    match range_:
        case FloatRange() | IntRange():
            if isinstance(value, (bool, str)):
                return False
            return range_.low <= value <= range_.high and (isinstance(range_, FloatRange) or value == int(value))
        case Choice(values):
            return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in values)
        case Fixed(only):
            return value == only


def position(range_: FloatRange | IntRange, value: float) -> float:
    """Where a value lies between the ends: 0 at `low`, 1 at `high`, on the range's own (linear or log) scale."""
    low, high, at = (
        (math.log(range_.low), math.log(range_.high), math.log(value))
        if range_.log
        else (range_.low, range_.high, value)
    )
    return 0.5 if high == low else (at - low) / (high - low)


def at_position(range_: FloatRange | IntRange, share: float) -> float | int:
    """The value that lies at `share` of the way from `low` to `high`: the inverse of `position`."""
    if range_.log:
        value = math.exp(math.log(range_.low) + share * (math.log(range_.high) - math.log(range_.low)))
    else:
        value = range_.low + share * (range_.high - range_.low)
    return round(value) if isinstance(range_, IntRange) else value


def widened(range_: R, side: Side, bound: float) -> R:
    """The range with one end moved outwards, no further than `bound`.

    On a log scale the end moves by the range's own width there, at least a factor of ten for real and of four for
    whole numbers; on a linear scale by half the width, at least one for whole numbers.
    """
    whole = isinstance(range_, IntRange)
    if range_.log:
        factor = max(4.0 if whole else 10.0, range_.high / range_.low)
        moved = range_.high * factor if side == "high" else range_.low / factor
    else:
        step = max((range_.high - range_.low) / 2, 1.0 if whole else 0.0)
        moved = range_.high + step if side == "high" else range_.low - step
    moved = min(moved, bound) if side == "high" else max(moved, bound)
    return _with_ends(range_, moved if side == "low" else range_.low, moved if side == "high" else range_.high)


def narrowed(range_: R, low: float, high: float) -> R:
    """The part of the range between two values, each moved inside it first."""
    low, high = (min(max(v, range_.low), range_.high) for v in (low, high))
    return _with_ends(range_, low, high)


def _with_ends(range_: R, low: float, high: float) -> R:
    """Whole numbers are rounded outwards, so that both values stay inside."""
    if isinstance(range_, IntRange):
        return replace(range_, low=math.floor(low), high=math.ceil(high))
    return replace(range_, low=low, high=high)


def at_start_value(range_: Range) -> Scalar:
    """A value to begin with where nothing better is known: the middle of a range, the first choice."""
    match range_:
        case FloatRange() | IntRange():
            return at_position(range_, 0.5)
        case Choice(values):
            return values[0]
        case Fixed(value):
            return value
