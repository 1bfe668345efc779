"""A database's connections, and the one way to read and write.

- A *write* is one transaction: all of it or nothing, whatever kills the process. `transact` repeats it, a bounded
  number of times, where the database gave it up for another one's sake (deadlock, lock timeout, serialization).
- A *read* sees one moment of the database throughout.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from hpo.clock import utc_now
from hpo.errors import Fault, InputError, Problem
from hpo.records import bulk, urls

T = TypeVar("T")

ATTEMPTS = 8
"""Tries of one write before it is given up; the pauses between them sum to about four seconds."""
BUSY_SECONDS = 10.0
"""How long SQLite waits for another process's write."""
CONNECT_SECONDS = 10

_RETRY_STATES = {"40001", "40P01", "55P03"}  # PostgreSQL: serialization, deadlock, lock not available
_RETRY_CODES = {1205, 1213, 1020}  # MariaDB: lock wait timeout, deadlock, record changed since last read
_SQLITE_BUSY = {5, 6}  # SQLITE_BUSY, SQLITE_LOCKED; extended codes hold these in their low byte
_REFUSED_STATES = {"42501", "25006"}  # PostgreSQL: no privilege, read-only
_REFUSED_CODES = {1044, 1142, 1227, 1290}  # MariaDB: access denied to database, table or action; read-only
_SQLITE_REFUSED = {8, 14}  # SQLITE_READONLY, SQLITE_CANTOPEN


class Database:
    """A connected database. Close it, or use it in a `with` block."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self.label = urls.label(url)
        """The URL without password, for messages."""
        self.engine = _engine(url)
        self.optuna: Any = None
        """Optuna's tables as reflected by `optuna_tables`, once they are there."""

    @property
    def url(self) -> str:
        """The URL with its password, for Optuna and for workers; never for messages."""
        return self._url.render_as_string(hide_password=False)

    @property
    def dialect(self) -> str:
        """`sqlite`, `postgresql` or `mysql` (which MariaDB goes by)."""
        return self.engine.dialect.name

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database."""
        return Path(self._url.database or "") if self.dialect == "sqlite" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database. Raises Fault where the database fails."""
        try:
            with self.engine.connect() as connection:
                if self.dialect != "sqlite":  # SQLite's readers always see one moment
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection
        except DBAPIError as error:
            raise self.fault(error) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed when the block ends, rolled back where it raises. Not repeated: see `transact`."""
        with self.engine.connect().execution_options(hpo_write=True) as connection, connection.begin():
            yield connection

    def transact(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction, repeated where the database asks for that.

        `work` must do nothing but database work: it may run several times. Integrity errors pass through; every other
        failure of the database becomes a Fault. A connection lost at the commit itself is not repeated, since nobody
        knows whether it was done.
        """
        attempt = 1
        while True:
            worked = False
            try:
                with self.write() as connection:
                    result = work(connection)
                    worked = True
                return result
            except sa.exc.IntegrityError:
                raise
            except DBAPIError as error:
                again = _given_up(error) or (error.connection_invalidated and not worked)
                if not again or attempt == ATTEMPTS:
                    raise self.fault(error) from error
            time.sleep(min(0.02 * 2**attempt, 1.0))
            attempt += 1

    def fault(self, error: DBAPIError) -> Fault:
        """The failure in words, without the statement and without the password."""
        return Fault(f"{self.label}: the database failed: {self.words(error)}")

    def words(self, error: DBAPIError) -> str:
        """What the driver says, on one line."""
        text = " ".join(str(error.orig).split())
        secret = self._url.password
        return text.replace(str(secret), "***") if secret else text

    def close(self) -> None:
        """Give up all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def now(connection: Connection) -> datetime:
    """The moment by the database's clock, naive UTC: leases of several machines need one clock.

    SQLite lives on one machine, whose clock it uses. PostgreSQL's `now()` is the transaction's start, which may lie
    before a long wait for a lock; `clock_timestamp()` is the moment itself.
    """
    match connection.dialect.name:
        case "sqlite":
            return utc_now()
        case "postgresql":
            query = "SELECT clock_timestamp() AT TIME ZONE 'UTC'"
        case _:
            query = "SELECT UTC_TIMESTAMP(6)"
    moment: datetime = connection.exec_driver_sql(query).scalar_one()
    return moment


def _given_up(error: DBAPIError) -> bool:
    """Whether the database gave the transaction up for another one's sake, so that it may succeed when repeated."""
    return _is(error, _RETRY_STATES, _RETRY_CODES, _SQLITE_BUSY)


def refused(error: DBAPIError) -> bool:
    """Whether the database denies us the right to do that, which its owner can mend."""
    return _is(error, _REFUSED_STATES, _REFUSED_CODES, _SQLITE_REFUSED)


def _is(error: DBAPIError, states: set[str], codes: set[int], sqlite: set[int]) -> bool:
    """Whether a failure is one of those: by PostgreSQL's state, MariaDB's code, or SQLite's."""
    cause = error.orig
    state, code = getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in sqlite
    return state in states or (cause is not None and bool(cause.args) and cause.args[0] in codes)


def _engine(url: URL) -> Engine:
    """The engine with hpo's connection rules. Raises InputError where the driver is not installed."""
    backend = url.get_backend_name()
    try:
        if backend == "sqlite":
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        else:
            # Stale connections (a restarted server, MariaDB's eight idle hours) are noticed before they are used.
            # READ COMMITTED, whatever the server's default: after waiting for a lock, the guards of the queue's updates
            # must see what its holder committed. MariaDB's default would show them the past.
            limit = {"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in url.query else {}
            engine = sa.create_engine(
                url, pool_pre_ping=True, pool_recycle=3600, isolation_level="READ COMMITTED", connect_args=limit
            )
    except (ImportError, NoSuchModuleError):
        extra = urls.EXTRAS[backend]
        problem = Problem(
            urls.label(url), "", f"the driver of {backend} databases", "none installed", f'pip install "hpo[{extra}]"'
        )
        raise InputError(problem) from None
    if backend == "sqlite":
        event.listen(engine, "connect", _setup_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if backend == "postgresql":
        event.listen(engine, "do_executemany", bulk.copy_rows)
    return engine


def _setup_sqlite(connection: Any, _record: object) -> None:
    """Rules of every new SQLite connection."""
    # Python's driver would open transactions by itself, and commit before a CREATE TABLE: `_begin_sqlite` does it.
    connection.isolation_level = None
    # Readers and the one writer do not wait for each other. Stays in the file; Optuna's connections profit too.
    # Only asked for when it is not so yet: the change needs the file for itself.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    # A killed process loses nothing under WAL; FULL would only add a disk flush to every commit.
    connection.execute("PRAGMA synchronous = NORMAL")
    # SQLite does not check references unless asked to, on each connection.
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the write lock at once: one that first reads and then writes could only fail, not wait."""
    writes = connection.get_execution_options().get("hpo_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
