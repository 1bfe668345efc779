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
    if dialect.name == "postgresql":
        _insert_arrays(connection, table, columns, rows)
        return
    names = ", ".join(map(dialect.identifier_preparer.quote, columns))
    marks = ", ".join(["?" if dialect.name == "sqlite" else "%s"] * len(columns))
    into = dialect.identifier_preparer.format_table(table)
    if dialect.name == "sqlite":
        rows = _dates_as_text(table, columns, rows)
    connection.exec_driver_sql(f"INSERT INTO {into} ({names}) VALUES ({marks})", list(rows))


def _dates_as_text(
    table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> Sequence[tuple[Any, ...]]:
    """SQLite: dates in SQLAlchemy's form. Python's driver has one of its own, deprecated since Python 3.12."""
    dates = {i for i, name in enumerate(columns) if isinstance(table.c[name].type, sa.DateTime)}
    if not dates:
        return rows
    return [
        tuple(v.isoformat(" ", "microseconds") if i in dates and v is not None else v for i, v in enumerate(row))
        for row in rows
    ]


def _insert_arrays(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """PostgreSQL: one statement with a binary array for each column, a quarter of the time of a statement a row."""
    filled = [
        (n, list(v)) for n, v in zip(columns, zip(*rows, strict=True), strict=True) if any(x is not None for x in v)
    ]
    quote = connection.dialect.identifier_preparer
    names = ", ".join(quote.quote(name) for name, _ in filled)
    arrays = ", ".join(f"%b::{_array(connection, table.c[name].type)}" for name, _ in filled)
    insert = f"INSERT INTO {quote.format_table(table)} ({names}) SELECT * FROM unnest({arrays})"
    connection.exec_driver_sql(insert, tuple(values for _, values in filled))


def _array(connection: Connection, kind: sa.types.TypeEngine[Any]) -> str:
    """The array type of a column's values. Texts go as TEXT: a cast to VARCHAR(n) would cut them without a word."""
    if isinstance(kind, sa.Enum):
        return f"text[]::{kind.compile(connection.dialect)}[]"
    return "text[]" if isinstance(kind, sa.String) else f"{kind.compile(connection.dialect)}[]"


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
