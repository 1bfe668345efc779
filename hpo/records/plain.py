"""Numbers and values as every database takes them, and back."""

import json
import math
from collections.abc import Mapping
from typing import SupportsFloat

import numpy as np

from hpo.values import Array, Scalar

_EXACT = 2**53
"""Whole numbers up to here are exact as doubles."""


def finite(value: SupportsFloat | None) -> float | None:
    """The number, or None where there is none that a database takes."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def finite_list(values: Array) -> list[float | None]:
    """The same for a whole column."""
    numbers = np.asarray(values, dtype=np.float64)
    return [v if ok else None for v, ok in zip(numbers.tolist(), np.isfinite(numbers).tolist(), strict=True)]


def known(value: float | None) -> float:
    """A score as it is read back: NaN where the database holds none."""
    return math.nan if value is None else value


def tag(value: float | None) -> str | None:
    """What a trial's value was, for the numbers a database cannot hold."""
    if value is None:
        return None
    if math.isnan(value):
        return "nan"
    return "finite" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def untag(value: float | None, kind: str | None) -> float | None:
    """The inverse: (stored number, tag) to the trial's value."""
    return value if kind in (None, "finite") else float(kind)


def plain_json(value: object) -> str:
    """JSON text of plain values; NumPy's numbers, tuples and mappings count as plain. Raises TypeError for others."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no plain value")


def stored(value: Scalar) -> tuple[str, float | None, str | None]:
    """(kind, value_number, value_text): numbers for SQL to compute with, and enough to get the very value back."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "bool", float(value), None
    if isinstance(value, int):
        return "int", float(value), None if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        number = finite(value)
        return "float", number, None if number is not None else str(value)
    return "text", None, value


def scalar(kind: str, number: float | None, text: str | None) -> Scalar:
    """The value of a hyperparameter from its columns: the inverse of `stored`."""
    match kind:
        case "bool":
            return bool(number)
        case "int":
            return int(number or 0) if text is None else int(text)
        case "float":
            return float(text) if number is None and text is not None else known(number)
        case _:
            return text or ""
