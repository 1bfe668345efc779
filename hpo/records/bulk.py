"""Rows in bulk, and numbers as every database takes them."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.values import Array

IDS_AT_ONCE = 500
"""Most values in one `IN (...)`: SQLite may be built with a limit of 999 parameters."""


def insert_rows(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of plain values (numbers, texts, dates, None), in the order of `columns`."""
    if not rows:
        return
    dialect = connection.dialect
    names = ", ".join(dialect.identifier_preparer.quote(c) for c in columns)
    into = f"INSERT INTO {dialect.identifier_preparer.format_table(table)} ({names})"
    mark = "?" if dialect.name == "sqlite" else "%s"
    one = f"({', '.join([mark] * len(columns))})"
    connection.exec_driver_sql(f"{into} VALUES {one}", list(rows))


def batches(ids: Iterable[int]) -> Iterable[list[int]]:
    """The distinct ids in ascending order, in groups that fit into one statement."""
    ordered = sorted(set(ids))
    return (ordered[i : i + IDS_AT_ONCE] for i in range(0, len(ordered), IDS_AT_ONCE))


def by_first(connection: Connection, query: sa.Executable) -> dict[Any, Any]:
    """The second column of a query by its first."""
    return {row[0]: row[1] for row in connection.execute(query)}


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
