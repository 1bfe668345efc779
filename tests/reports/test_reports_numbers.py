"""Numbers as people read them."""

import math

import pandas as pd
import pytest

from hpo.numbers import count, duration, interval, moment, number, present


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (3, "3"), (3.0, "3"), (0.972222, "0.9722"), (0.1, "0.1"), (12.3456, "12.35"), (123456.7, "123457"),
        (0.001234567, "0.001235"),
        (0.0001, "0.0001"), (0.00001234, "1.23e-05"), (1e-5, "1e-05"), (-0.5, "-0.5"), (2.5e7, "2.5e+07"),
        (0.99996, "1"), (1000, "1000"), (1999.96, "2000"), (True, "yes"), (False, "no"), ("adam", "adam"), (None, "-"),
        (math.nan, "-"), (pd.NA, "-"), (pd.NaT, "-"), (math.inf, "infinite"), (-math.inf, "-infinite"),
    ],
)  # fmt: skip
def test_number(value: object, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.98056, 0.96389, 0.99444, "0.981 [0.964, 0.994]"),
        (54321.9, 53000.0, 56000.0, "54322 [53000, 56000]"),
        (0.5, 0.1, 0.9, "0.500 [0.100, 0.900]"),
        (52.34, 45.1, 59.0, "52.3 [45.1, 59.0]"),
        (3.2, 1.0, 60.0, "3.2 [1.0, 60.0]"),
        (1.0, 1.0, 1.0, "1.0000 [1.0000, 1.0000]"),
        (0.5, None, 0.9, "0.5"),
        (None, 0.1, 0.9, "-"),
    ],
)
def test_interval_shows_what_its_width_allows_and_three_digits_at_least(
    value: object, low: object, high: object, text: str
) -> None:
    assert interval(value, low, high) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599.6, "1 h 00 min"),
     (7860, "2 h 11 min"), (None, "-")],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_small_words() -> None:
    assert (count(1, "trial"), count(0, "trial")) == ("1 trial", "0 trials")
    assert moment(pd.Timestamp("2026-01-05 12:00:31")) == "2026-01-05 12:00"
    assert moment(pd.NaT) == "-"
    assert not present(pd.NA)
    assert present(0)
