"""The data after all decisions: what `Dataset` serves and `describe` looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.data.columns import Column
from hpo.data.split import Division
from hpo.values import Array, FloatArray, TaskFacts


@dataclass(frozen=True)
class Origin:
    """What was seen and decided on the way from the source."""

    source: str
    rows: int
    """In the source, its own test rows not counted."""
    columns: int
    """In the source, the target not counted."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    """Missing values by column, over all rows of the source, where there are any."""
    mixed: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    target: str = "target"
    guessed: bool = False
    """Whether the task was read off the target's values."""
    label_note: str = ""
    header_note: str = ""


@dataclass(frozen=True, eq=False)
class Prepared:
    """x of pool and test: encoded float32 (rows, features), or images (rows, height, width, channels) as they came.

    y: int32 class numbers, or float64 in the target's own unit.
    """

    facts: TaskFacts
    origin: Origin
    division: Division
    """Its `pool` and `test` count within the rows used, not within the source."""
    x: Array
    y: Array
    x_test: Array
    y_test: Array
    raw_test: Any
    """The test rows as they came: a DataFrame without the target, or an array."""
    is_number: Array
    """Which encoded features are numbers, (features,) bool; for images one True."""
    feature_names: tuple[str, ...]
    columns: tuple[Column, ...]
    """The pool's input columns before encoding, for the description; empty for images."""
    scale: str
    preprocessing: Mapping[str, Any]

    @property
    def is_image(self) -> bool:
        return self.x.ndim == 4

    def train_rows(self, fold: int) -> Array:
        return self.division.folds[fold][0]

    def valid_rows(self, fold: int) -> Array:
        return self.division.folds[fold][1]


def as_float(x: Array) -> FloatArray:
    """The same numbers as float32."""
    return np.asarray(x, dtype=np.float32)
