"""What a source gives before anything is decided about it."""

from dataclasses import dataclass

import pandas as pd

from hpo.values import Array


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table as read: every cell of a text file is text, a parquet file keeps its types."""

    frame: pd.DataFrame
    header: bool
    """Whether the column names come from the source; else they are `column_0`, `column_1`, ..."""
    content: str
    """Fingerprint of the bytes or values it was read from."""
    separator: str | None = None
    """Of a text file."""
    test: pd.DataFrame | None = None
    """Test rows that came with it."""


@dataclass(frozen=True, eq=False)
class RawArrays:
    """Arrays as read. x: (rows, features) or images (rows, height, width) or (rows, height, width, channels)."""

    x: Array
    y: Array
    content: str
    test: tuple[Array, Array] | None = None
    """x and y of test rows that came with it."""
    names: tuple[str, ...] = ()
    """Names of the features, where the source has them."""
    classifies: bool | None = None
    """Whether y holds classes, where the source says so."""
    labels: tuple[str, ...] = ()
    """Names of the classes 0, 1, ..., where the source has them."""


Raw = RawTable | RawArrays
