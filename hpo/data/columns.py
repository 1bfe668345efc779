"""Columns of a table: raw texts and numbers as values that are clean of blanks and of texts for "missing"."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hpo.values import Array


@dataclass(frozen=True, eq=False)
class Column:
    """One column of n rows.

    A column of numbers holds `numbers` (float64, NaN where missing); one of texts holds None there. `codes` (int32,
    position in `texts`, -1 where missing) is empty for a column that came as numbers and not as texts.
    """

    name: str
    numbers: Array | None
    codes: Array
    texts: tuple[str, ...]
    stray: tuple[tuple[str, int], ...] = ()
    """The values that are no numbers, with their first row, in a column of texts where others are numbers."""
    numeric_rows: int = 0
    """Rows whose value reads as a number."""

    @property
    def is_number(self) -> bool:
        return self.numbers is not None

    def __len__(self) -> int:
        return len(self.codes) if self.numbers is None else len(self.numbers)

    @property
    def missing(self) -> Array:
        """Which rows have no value, (n,) bool."""
        return self.codes < 0 if self.numbers is None else np.isnan(self.numbers)

    @property
    def distinct(self) -> int:
        """Different values, missing ones not counted."""
        if self.numbers is None:
            return len(np.unique(self.codes[self.codes >= 0]))
        return len(np.unique(self.numbers[~np.isnan(self.numbers)]))

    def take(self, rows: Array) -> "Column":
        """The same column with these rows only."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return replace(self, numbers=numbers, codes=self.codes[rows] if len(self.codes) else self.codes)

    def as_texts(self) -> "Column":
        """The same column read as texts; numbers that came as numbers are written by `label`."""
        if self.numbers is None or len(self.codes):
            return replace(self, numbers=None)
        values, inverse = np.unique(self.numbers, return_inverse=True)
        codes = inverse.astype(np.int32)
        codes[np.isnan(self.numbers)] = -1
        return replace(self, numbers=None, codes=codes, texts=tuple(label(v) for v in values if not math.isnan(v)))


def label(value: float) -> str:
    """A number as a class label or category: whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def number(text: str) -> float | None:
    """The number a text stands for, infinity and NaN included; None where it stands for none."""
    try:
        return float(text)
    except ValueError:
        return None


def parse_column(name: str, values: "pd.Series[Any]", missing: Sequence[str]) -> Column:
    """A column from a pandas series of texts, numbers, truth values or anything with a text form.

    Blanks around texts are stripped. Texts in `missing`, None, NaN and infinities are missing values. A column whose
    values all read as numbers (Python's `float`) is one of numbers; without any value it is one of numbers too.
    """
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
        return number_column(name, values.to_numpy(dtype=np.float64, na_value=np.nan))
    raw, uniques = pd.factorize(values)
    stripped = np.array([str(u).strip() for u in uniques], dtype=object)
    if len(stripped) == 0:
        return Column(name, np.full(len(values), np.nan), np.full(len(values), -1, np.int32), ())
    texts, merged = _merge(stripped, frozenset(missing))
    codes = np.r_[merged, np.int32(-1)][raw]
    read = [number(text) for text in texts]
    if all(v is not None for v in read):
        lookup = np.array([*(v if v is not None and math.isfinite(v) else np.nan for v in read), np.nan])
        return Column(name, lookup[codes], codes, texts)
    is_text = np.array([v is None for v in read] + [False])
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    numeric_rows = int(counts[~is_text[:-1]].sum())
    stray = tuple((texts[i], int(np.argmax(codes == i))) for i in np.flatnonzero(is_text)[:5]) if numeric_rows else ()
    return Column(name, None, codes, texts, stray, numeric_rows)


def number_column(name: str, numbers: Array) -> Column:
    """A column from numbers; infinities become missing values, as no network could take them."""
    clean = np.asarray(numbers, dtype=np.float64)
    clean = np.where(np.isfinite(clean), clean, np.nan)
    return Column(name, clean, np.empty(0, np.int32), ())


def _merge(stripped: Array, missing: frozenset[str]) -> tuple[tuple[str, ...], Array]:
    """The distinct texts that are not missing, sorted, and for each raw unique its position among them or -1."""
    texts = tuple(sorted({text for text in stripped if text not in missing}))
    position = {text: i for i, text in enumerate(texts)}
    return texts, np.array([position.get(text, -1) for text in stripped], dtype=np.int32)
