"""Laws of ranges: position and its inverse, widening, narrowing, membership."""

import math

import numpy as np
import pytest

from hpo.space import (
    Choice,
    Fixed,
    FloatRange,
    IntRange,
    at_position,
    contains,
    narrowed,
    position,
    range_to_plain,
    widened,
)

RANGES = [
    FloatRange(0.5, 0.99), FloatRange(-3.0, 7.0), FloatRange(1e-5, 1.0, log=True), FloatRange(1e-12, 3.3, log=True),
    FloatRange(0.1, 0.3, log=True), IntRange(1, 4), IntRange(-5, 5), IntRange(16, 512, log=True),
    IntRange(1, 3, log=True),
]  # fmt: skip


@pytest.mark.parametrize("range_", RANGES, ids=str)
def test_position_is_a_scale_from_end_to_end(range_):
    assert position(range_, range_.low) == 0
    assert position(range_, range_.high) == 1
    middle = math.sqrt(range_.low * range_.high) if range_.log else (range_.low + range_.high) / 2
    assert position(range_, middle) == pytest.approx(0.5)


@pytest.mark.parametrize("range_", RANGES, ids=str)
def test_at_position_is_the_inverse_and_never_leaves_the_range(range_):
    for share in np.linspace(0, 1, 101):
        value = at_position(range_, float(share))
        assert contains(range_, value)
        if isinstance(range_, FloatRange):
            assert position(range_, value) == pytest.approx(share, abs=1e-9)
        else:
            assert isinstance(value, int)
    ends = (at_position(range_, 0), at_position(range_, 1))
    assert ends == pytest.approx((range_.low, range_.high), rel=1e-12)


def test_a_range_of_one_value_has_a_middle():
    assert position(FloatRange(2.0, 2.0), 2.0) == 0.5
    assert at_position(IntRange(3, 3, log=True), 0.5) == 3


@pytest.mark.parametrize(
    ("range_", "side", "bound", "expected"),
    [
        (FloatRange(1e-4, 1e-3, log=True), "high", 1e4, FloatRange(1e-4, 1e-2, log=True)),
        (FloatRange(1e-4, 1e-1, log=True), "low", 1e-12, FloatRange(1e-5, 1e-1, log=True)),
        (FloatRange(1e-4, 1e-3, log=True), "high", 5e-3, FloatRange(1e-4, 5e-3, log=True)),
        (FloatRange(1e-3, 2e-3, log=True), "low", 0.0, FloatRange(1e-4, 2e-3, log=True)),
        (FloatRange(0.0, 0.5), "high", 0.95, FloatRange(0.0, 0.75)),
        (FloatRange(0.2, 0.5), "low", 0.1, FloatRange(0.1, 0.5)),
        (IntRange(16, 32, log=True), "high", 4096, IntRange(16, 128, log=True)),
        (IntRange(2, 64, log=True), "low", 0, IntRange(1, 64, log=True)),
        (IntRange(1, 2), "high", 64, IntRange(1, 3)),
        (IntRange(1, 4), "high", 64, IntRange(1, 6)),
    ],
)
def test_widened(range_, side, bound, expected):
    found = widened(range_, side, bound)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert type(found) is type(expected)
    assert found.log is expected.log


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("range_", RANGES, ids=str)
def test_widening_keeps_every_value_and_stops_at_the_bound(range_, side):
    low, high = (1e-15 if range_.log else -1e9), 1e9
    wide = widened(range_, side, low if side == "low" else high)
    assert contains(wide, range_.low)
    assert contains(wide, range_.high)
    assert widened(range_, side, getattr(range_, side)) == range_
    if not (isinstance(range_, IntRange) and range_.log and range_.low == 1 and side == "low"):
        assert getattr(wide, side) != getattr(range_, side)


@pytest.mark.parametrize("range_", RANGES, ids=str)
def test_narrowing_holds_both_values_and_stays_inside(range_):
    low, high = at_position(range_, 0.3), at_position(range_, 0.6)
    found = narrowed(range_, low, high)
    assert contains(found, low)
    assert contains(found, high)
    assert contains(range_, found.low)
    assert contains(range_, found.high)
    assert narrowed(range_, range_.low - 1, range_.high + 1) == range_


def test_narrowing_whole_numbers_rounds_outwards():
    assert narrowed(IntRange(1, 9), 2.4, 5.1) == IntRange(2, 6)


@pytest.mark.parametrize(
    ("range_", "inside", "outside"),
    [
        (FloatRange(0.0, 1.0), [0, 0.5, 1.0], [-0.1, 1.1, True, "a", float("nan"), float("inf")]),
        (IntRange(1, 4), [1, 4, 2.0], [0, 5, 2.5, True, "2"]),
        (Choice((1, "a", False)), [1, 1.0, "a", False], [True, 0, "b", 2]),
        (Fixed(1), [1, 1.0], [True, 2, "1"]),
        (Fixed(True), [True], [1, False]),
    ],
    ids=str,
)
def test_contains(range_, inside, outside):
    assert [v for v in inside if not contains(range_, v)] == []
    assert [v for v in outside if contains(range_, v)] == []


def test_the_plain_form_is_the_files_form():
    assert range_to_plain(FloatRange(0.1, 1.0, log=True)) == {"float": [0.1, 1.0], "log": True}
    assert range_to_plain(Choice(("a", 1))) == {"choice": ["a", 1]}
    assert range_to_plain(Fixed(False)) == {"value": False}
