"""The schema's versions, by alembic alone.

The version stands in `hpo_alembic_version`: Optuna keeps its own in `alembic_version`, and refuses a database where
that one holds a revision it does not know. Where the database can, a migration is one transaction; MariaDB commits
every CREATE TABLE by itself, so there the steps are written so that they can be repeated after a kill.
"""

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from alembic import command
from hpo.bundled import bundled
from hpo.errors import Fault, InputError, Problem
from hpo.records.connection import Database
from hpo.records.retries import refused
from hpo.records.schema import PREFIX, VERSION_TABLE

OPTUNA_TABLE = "alembic_version"
_LOCK = 0x68706F  # "hpo"
_LOCK_SECONDS = 60
_one_thread = threading.Lock()
"""Alembic keeps the running migration in a global; the database's lock keeps processes apart, not threads."""


def head() -> str:
    """The newest version that this hpo knows."""
    revision = _script().get_current_head()
    if revision is None:
        raise Fault("The migrations that ship with hpo are missing. Install hpo again.")
    return revision


def version(connection: Connection, table: str = VERSION_TABLE) -> str | None:
    """The version that a database is at; None: none of ours, or of those whose version stands in that table."""
    return MigrationContext.configure(connection, opts={"version_table": table}).get_current_revision()


def check_known(db: Database) -> None:
    """Raises InputError where the database is of a version that this hpo does not know."""
    at = db.look(version)
    if at is not None and at not in known():
        newest = head()
        raise InputError(
            Problem(
                db.label, "", f"a database of schema version {newest} or older", f"version {at}, made by a newer hpo",
                "Install that version of hpo, or use another database.",
            )
        )  # fmt: skip


def ensure(db: Database, *, create: bool) -> None:
    """Make sure that the database is of the newest version; an empty one is made so. Raises InputError otherwise."""
    check_known(db)
    at = db.look(version)
    if at == head():
        return
    if at is not None:
        got = f"version {at}, made by an older hpo"
        remedy = "Run `hpo db upgrade --storage URL` with the same URL; make a copy of the database first."
        raise InputError(Problem(db.label, "", f"a database of schema version {head()}", got, remedy))
    if not create:
        remedy = "Check the URL, or begin a study there with `hpo run`."
        raise InputError(Problem(db.label, "", "a database with hpo's tables", "one without them", remedy))
    run(db, "upgrade", "head")


def run(db: Database, direction: str, revision: str) -> None:
    """Run migrations, one process at a time. Raises InputError for an unknown revision, or where we may not."""
    step = command.upgrade if direction == "upgrade" else command.downgrade
    try:
        with _one_thread, _exclusive(db) as connection:
            config = _config()
            config.attributes["connection"] = connection
            step(config, revision)
    except CommandError as error:
        expected = f"one of {', '.join(('base', *known(), 'head'))}"
        problem = Problem(db.label, "revision", expected, revision, f"The migrations say: {error}")
        raise InputError(problem) from error
    except DBAPIError as error:
        if refused(error):
            remedy = "Give the user the right to make tables there, or use another database."
            raise InputError(Problem(db.label, "", "a database that can be written", db.words(error), remedy)) from None
        raise db.fault(error) from error


def draft(db: Database, message: str, revision: str) -> Path:
    """Write a migration from the database's tables to those of `schema`, for a developer to read and mend."""
    with _one_thread, _exclusive(db) as connection:
        config = _config()
        config.attributes["connection"] = connection
        script = command.revision(config, message, autogenerate=True, rev_id=revision)
    if not isinstance(script, Script):
        raise Fault("Alembic drafted no migration, or several.")
    return Path(script.path)


@contextlib.contextmanager
def _exclusive(db: Database) -> Iterator[Connection]:
    """A write transaction that no other migration of this database runs beside."""
    with db.engine.connect().execution_options(hpo_write=True) as connection:
        if db.dialect == "sqlite":
            # Rebuilding a table drops it, which would delete what refers to it. Only outside a transaction can this be
            # set, hence on the driver's connection, before SQLAlchemy begins one.
            driver = connection.connection.driver_connection
            raw = driver.cursor() if driver is not None else None
            with contextlib.closing(raw) if raw is not None else contextlib.nullcontext():
                if raw is not None:
                    raw.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.invalidate()  # the pool makes a new one, with references checked again
            return
        with connection.begin():
            if db.dialect == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield connection
                return
            name = f"hpo:{connection.engine.url.database}"[:64]
            if (
                connection.execute(sa.text("SELECT GET_LOCK(:name, :s)"), {"name": name, "s": _LOCK_SECONDS}).scalar()
                != 1
            ):
                raise Fault(f"{db.label}: another process has been upgrading it for {_LOCK_SECONDS} s")
            try:
                yield connection
            finally:
                connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _config() -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(bundled("alembic")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def known() -> list[str]:
    """All revisions, oldest first."""
    return [r.revision for r in _script().walk_revisions()][::-1]


def is_ours(name: str | None, kind: str) -> bool:
    """Whether autogenerate is to look at something: Optuna's tables, and others', are none of its business."""
    return kind != "table" or (name or "").startswith(PREFIX)
