"""The ranges a hyperparameter can be drawn from, and what can be done to them."""

import math
from dataclasses import dataclass, replace
from typing import Literal

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


Numeric = FloatRange | IntRange


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
            return any(_same(value, v) for v in values)
        case Fixed(only):
            return _same(value, only)


def _same(a: Scalar, b: Scalar) -> bool:
    """Equal, where 1 is 1.0 but not true."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


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
    # exp(log(high)) may lie an ulp outside
    value = min(max(value, range_.low), range_.high)
    return round(value) if isinstance(range_, IntRange) else value


def widened(range_: Numeric, side: Side, bound: float) -> Numeric:
    """The range with one end moved outwards, no further than `bound`.

    On a log scale the end moves by a factor of ten for real and of four for whole numbers; on a linear scale by half
    the width, at least one for whole numbers.
    """
    whole = isinstance(range_, IntRange)
    if range_.log:
        factor = 4.0 if whole else 10.0
        moved = range_.high * factor if side == "high" else range_.low / factor
    else:
        step = max((range_.high - range_.low) / 2, 1.0 if whole else 0.0)
        moved = range_.high + step if side == "high" else range_.low - step
    moved = min(moved, bound) if side == "high" else max(moved, bound)
    return _with_ends(range_, moved if side == "low" else range_.low, moved if side == "high" else range_.high)


def narrowed(range_: Numeric, low: float, high: float) -> Numeric:
    """The part of the range between two values, each moved inside it first."""
    low, high = (min(max(v, range_.low), range_.high) for v in (low, high))
    return _with_ends(range_, low, high)


def _with_ends(range_: Numeric, low: float, high: float) -> Numeric:
    """Whole numbers are rounded outwards, so that both values stay inside."""
    if isinstance(range_, IntRange):
        # zero has no logarithm, also where a hyperparameter's domain begins there (`dense_units`)
        return replace(range_, low=max(math.floor(low), 1) if range_.log else math.floor(low), high=math.ceil(high))
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


def clamped(range_: Range, value: Scalar) -> Scalar:
    """The value of the range that is nearest; the first choice, or the fixed value, for what is not among them."""
    match range_:
        case FloatRange(low, high) if not isinstance(value, str):
            return float(min(max(value, low), high))
        case IntRange(low, high) if not isinstance(value, str):
            return round(min(max(value, low), high))
        case _:
            return value if contains(range_, value) else at_start_value(range_)
