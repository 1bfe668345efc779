"""Rows in bulk: the one place that writes to the three kinds of database in different ways.

PostgreSQL takes new rows by COPY, and changed ones in one statement with a binary array for each column: a quarter of
the time of a statement a row. The drivers of the others are quick with a statement that they repeat.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

IDS_AT_ONCE = 500
"""Most values in one `IN (...)`: SQLite may be built with a limit of 999 parameters."""

_COPY = "COPY "
_BINARY: tuple[tuple[type[sa.types.TypeEngine[Any]], str], ...] = (
    (sa.Boolean, "bool"), (sa.BigInteger, "int8"), (sa.Integer, "int4"), (sa.Float, "float8"),
    (sa.DateTime, "timestamp"),
)  # fmt: skip
"""PostgreSQL's names of types; all others go as text."""

Rows = Sequence[tuple[Any, ...]]
"""Rows of plain values: numbers, texts, dates, None."""


def insert_rows(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Rows, *, replace: Sequence[str] = ()
) -> None:
    """Insert rows, in the order of `columns`.

    `replace` names the columns of a unique constraint: a row that is there with the same values takes on the others.
    """
    if not rows:
        return
    into, names = connection.dialect.identifier_preparer.format_table(table), _quoted(connection, columns)
    if connection.dialect.name != "postgresql":
        marks = ", ".join([_mark(connection)] * len(names))
        insert = f"INSERT INTO {into} ({', '.join(names)}) VALUES ({marks}){_on_conflict(connection, columns, replace)}"
        connection.exec_driver_sql(insert, _sendable(connection, table, columns, rows))
    elif replace or len(rows) == 1:  # SQLAlchemy takes one row for a statement that is not to be repeated
        names, unnest, arrays = _unnest(connection, table, columns, rows)
        on_conflict = _on_conflict(connection, columns, replace)
        connection.exec_driver_sql(
            f"INSERT INTO {into} ({', '.join(names)}) SELECT * FROM {unnest}{on_conflict}", arrays
        )
    else:
        types = [_binary(table.c[name].type) for name in columns]
        connection.exec_driver_sql(
            f"{_COPY}{into} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)", list(rows), {"hpo_types": types}
        )


def update_rows(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Rows, *, only: Mapping[str, str | int]
) -> int:
    """Set columns of the rows whose first column is known; gives how many there were.

    The first of `columns` names a row and is left as it is. A row changes only where its columns hold what `only` says.
    """
    if not rows:
        return 0
    into = connection.dialect.identifier_preparer.format_table(table)
    mark, (key, *rest) = _mark(connection), _quoted(connection, columns)
    guard = "".join(f" AND {into}.{name} = {mark}" for name in _quoted(connection, only))
    if connection.dialect.name == "postgresql":
        names, unnest, arrays = _unnest(connection, table, columns, rows)
        sets = ", ".join(f"{name} = {f'fresh.{name}' if name in names else 'NULL'}" for name in rest)
        fresh = f"{unnest} AS fresh({', '.join(names)})"
        update = f"UPDATE {into} SET {sets} FROM {fresh} WHERE {into}.{key} = fresh.{key}{guard}"
        return connection.exec_driver_sql(update, (*arrays, *only.values())).rowcount
    update = f"UPDATE {into} SET {', '.join(f'{name} = {mark}' for name in rest)} WHERE {key} = {mark}{guard}"
    values = [(*row, first, *only.values()) for first, *row in _sendable(connection, table, columns, rows)]
    return connection.exec_driver_sql(update, values).rowcount


def copy_rows(cursor: Any, statement: str, rows: Sequence[tuple[Any, ...]], context: Any) -> bool:
    """PostgreSQL's way to run `COPY` with rows, for SQLAlchemy's event `do_executemany`; whether it was one."""
    if not statement.startswith(_COPY):
        return False
    with cursor.copy(statement) as copy:
        copy.set_types(context.execution_options["hpo_types"])
        for row in rows:
            copy.write_row(row)
    return True


def batches(ids: Iterable[int]) -> Iterable[list[int]]:
    """The distinct ids in ascending order, in groups that fit into one statement."""
    ordered = sorted(set(ids))
    return (ordered[i : i + IDS_AT_ONCE] for i in range(0, len(ordered), IDS_AT_ONCE))


def by_first(connection: Connection, query: sa.Executable) -> dict[Any, Any]:
    """The second column of a query by its first."""
    return {row[0]: row[1] for row in connection.execute(query).all()}


def _quoted(connection: Connection, columns: Iterable[str]) -> list[str]:
    return [connection.dialect.identifier_preparer.quote(name) for name in columns]


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"


def _on_conflict(connection: Connection, columns: Sequence[str], keys: Sequence[str]) -> str:
    if not keys:
        return ""
    rest = _quoted(connection, (name for name in columns if name not in keys))
    if connection.dialect.name == "mysql":
        return f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in rest)}"
    taken = ", ".join(_quoted(connection, keys))
    return f" ON CONFLICT ({taken}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rest)}"


def _sendable(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Rows) -> list[tuple[Any, ...]]:
    """The rows with dates in SQLAlchemy's form on SQLite: Python's driver has one of its own, deprecated since 3.12."""
    dates = {i for i, name in enumerate(columns) if isinstance(table.c[name].type, sa.DateTime)}
    if connection.dialect.name != "sqlite" or not dates:
        return list(rows)
    return [
        tuple(v.isoformat(" ", "microseconds") if i in dates and v is not None else v for i, v in enumerate(row))
        for row in rows
    ]


def _unnest(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Rows
) -> tuple[list[str], str, tuple[list[Any], ...]]:
    """PostgreSQL: (names, `unnest(...)` of an array for each, the arrays) of columns.

    Those of nothing but NULL are left out, since no driver knows a type for them.
    """
    filled = [
        (name, list(values))
        for name, values in zip(columns, zip(*rows, strict=True), strict=True)
        if any(value is not None for value in values)
    ]
    arrays = ", ".join(f"%b::{_array(connection, table.c[name].type)}" for name, _ in filled)
    return _quoted(connection, (name for name, _ in filled)), f"unnest({arrays})", tuple(v for _, v in filled)


def _array(connection: Connection, kind: sa.types.TypeEngine[Any]) -> str:
    """The array type of a column's values. Texts go as TEXT: a cast to VARCHAR(n) would cut them without a word."""
    if isinstance(kind, sa.Enum):
        return f"text[]::{kind.compile(connection.dialect)}[]"
    return "text[]" if isinstance(kind, sa.String) else f"{kind.compile(connection.dialect)}[]"


def _binary(kind: sa.types.TypeEngine[Any]) -> str:
    return next((name for known, name in _BINARY if isinstance(kind, known)), "text")
