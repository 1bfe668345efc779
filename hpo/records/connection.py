"""A database's connections, and the one way to read and write.

- A *write* is one transaction: all of it or nothing, whatever kills the process.
- A *read* sees one moment of the database throughout.

`transact` and `look` repeat them, within bounds, where the database asks for that or could not be reached: see
`hpo.records.retries`.
"""

import logging
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
from hpo.records import bulk, retries, urls
from hpo.records.retries import Patience

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long SQLite waits for another process's write."""
CONNECT_SECONDS = 10
LOCK_SECONDS = 20
"""How long a server lets a transaction wait for a lock; then it is repeated."""
IDLE_SECONDS = 30
"""When a server ends a transaction that nobody goes on with: its process was stopped or cut off, and holds locks."""
SILENT_SECONDS = 30
"""When a connection over which nothing comes back is given up for dead, in place of the system's quarter of an hour."""


class Database:
    """A connected database. Close it, or use it in a `with` block."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self.label = urls.label(url)
        """The URL without password, for messages."""
        self.engine = _engine(url)
        self.tell: Callable[[str], None] | None = None
        """Hears that the database does not answer, and that it answers again. With None it is not waited for long."""
        self._lost = False
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
        """A connection that sees one moment of the database. Not repeated: see `look`."""
        with self.engine.connect() as connection:
            if self.dialect != "sqlite":  # SQLite's readers always see one moment
                # Of this transaction alone. SQLAlchemy's option would be set back while the connection goes back to the
                # pool: a server that is lost in that moment raises the driver's own error, and its place stays taken.
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed when the block ends, rolled back where it raises. Not repeated: see `transact`."""
        with self.engine.connect().execution_options(hpo_write=True) as connection, connection.begin():
            yield connection

    def look(self, work: Callable[[Connection], T]) -> T:
        """`work` on one moment of the database, repeated where it could not be reached. Raises Fault where it fails."""

        def reading() -> T:
            with self.read() as connection:
                return work(connection)

        return self.patiently(reading)

    def transact(self, work: Callable[[Connection], T], done: Callable[[Connection], T | None] | None = None) -> T:
        """`work` in one transaction, repeated where the database asks for that or could not be reached.

        It must do nothing but database work, for it may run several times; and where a connection is lost in the very
        moment of the commit, nobody knows whether it was done. `work` must do no harm then when done twice; or `done`,
        asked first from then on, gives the result where it finds that it was. Integrity errors pass through; every
        other failure of the database becomes a Fault.
        """
        unsure = False

        def writing() -> T:
            nonlocal unsure
            worked = False
            try:
                with self.write() as connection:
                    if unsure and done is not None and (found := done(connection)) is not None:
                        return found
                    result = work(connection)
                    worked = True
                return result
            except DBAPIError:
                unsure |= worked
                raise

        return self.patiently(writing)

    def patiently(self, work: Callable[[], T]) -> T:
        """`work`, repeated as its failures ask for. Integrity errors pass through; others become a Fault in the end."""
        most = retries.READER_SECONDS if self.tell is None else retries.OUTAGE_SECONDS
        # Once waited for in vain, it is not waited for again until it has answered: what is left to do is to end.
        patience = Patience(self.tell or (lambda text: None), 0.0 if self._lost else most)
        while True:
            try:
                result = work()
            except sa.exc.IntegrityError:
                raise
            except DBAPIError as error:
                if not patience.again(error, self.words(error)):
                    self._lost = retries.outage(error)
                    raise self.fault(error) from error
            else:
                self._lost = False
                patience.over()
                return result

    def fault(self, error: DBAPIError) -> Fault:
        """The failure in words, without the statement and without the password."""
        return Fault(f"{self.label}: the database failed: {self.words(error)}")

    def words(self, error: DBAPIError) -> str:
        """What the driver says, on one line."""
        text = " ".join(str(error.orig).split())
        for secret in urls.passwords(self._url):
            text = text.replace(secret, "***")
        return text

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


def _engine(url: URL) -> Engine:
    """The engine with hpo's connection rules. Raises InputError where the driver is not installed."""
    backend = url.get_backend_name()
    try:
        if backend == "sqlite":
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        else:
            engine = sa.create_engine(
                url,
                # Below MariaDB's eight idle hours. A connection that the server dropped is replaced where it fails:
                # transactions are repeated, and asking before each would cost every one of them a round trip.
                pool_recycle=3600,
                # A process asks from two threads, the one that works and the one that renews leases. Connections are
                # what a server with many workers runs out of first: each of PostgreSQL's is a process.
                pool_size=2,
                max_overflow=2,
                # Whatever the server's default: after waiting for a lock, the guards of the queue's updates must see
                # what its holder committed. MariaDB's default would show them the past.
                isolation_level="READ COMMITTED",
                connect_args=_limits(backend, url),
            )
    except (ImportError, NoSuchModuleError):
        extra = urls.EXTRAS[backend]
        problem = Problem(
            urls.label(url), "", f"the driver of {backend} databases", "none installed", f'pip install "hpo[{extra}]"'
        )
        raise InputError(problem) from None
    # Of connections that are lost we tell ourselves, once: the pool would add a traceback for each.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    if backend == "sqlite":
        event.listen(engine, "connect", _setup_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if backend == "postgresql":
        event.listen(engine, "do_executemany", bulk.copy_rows)
    return engine


def _limits(backend: str, url: URL) -> dict[str, Any]:
    """How long to wait for whom, where the URL does not say it itself: a dead peer must not hold up the living."""
    if backend == "postgresql":
        options = {
            "lock_timeout": 1000 * LOCK_SECONDS,
            "idle_in_transaction_session_timeout": 1000 * IDLE_SECONDS,
            # The server's side of the same: a client that is cut off in the middle of a COPY is not idle.
            "tcp_user_timeout": 1000 * SILENT_SECONDS,
            "tcp_keepalives_idle": SILENT_SECONDS // 2,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
        }
        limits: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": 1000 * SILENT_SECONDS,
            "keepalives_idle": SILENT_SECONDS // 2,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        }
    else:
        settings = f"innodb_lock_wait_timeout = {LOCK_SECONDS}, net_read_timeout = {SILENT_SECONDS}"
        # Only MariaDB ends idle transactions; its comment hides that from MySQL.
        idle = f"/*M!100300 , idle_transaction_timeout = {IDLE_SECONDS} */"
        limits = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": 2 * SILENT_SECONDS,
            "write_timeout": SILENT_SECONDS,
            "init_command": f"SET SESSION {settings} {idle}",
        }
    return {key: value for key, value in limits.items() if key not in url.query}


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
