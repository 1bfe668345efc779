"""Connecting: whoever does gets the schema of this version of `hpo`, or an `InputError` that says what to do."""

import contextlib
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from hpo.errors import Fault, InputError, Problem
from hpo.records import sqlite_files, urls, versions
from hpo.records.connection import Database, now
from hpo.records.retries import turned_away

__all__ = ["Database", "connect", "now", "open_database"]

_NOT_A_DATABASE = 26  # SQLITE_NOTADB


def connect(url: str, *, create: bool = True, tell: Callable[[str], None] | None = None) -> Database:
    """The database of a URL, with the schema of this version; an empty one gets it where `create`.

    With `tell`, a server that does not answer is waited for, now and later, and `tell` hears of it.

    Raises InputError for a URL, file, server or schema that will not do; nothing is left behind then. A new SQLite file
    appears only when it is complete, whatever happens.
    """
    db = open_database(url, create=create, tell=tell)
    try:
        versions.ensure(db, create=create)
    except BaseException:
        db.close()
        raise
    return db


def open_database(url: str, *, create: bool, tell: Callable[[str], None] | None = None) -> Database:
    """The database of a URL whatever its schema, known to answer. Raises InputError as `connect` does."""
    parsed = urls.normalise(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite_files.prepare(parsed, create=create)
    db = Database(parsed)
    db.tell = tell
    ping = sa.text("SELECT 1" if db.dialect != "sqlite" else "SELECT count(*) FROM sqlite_master")

    def look() -> None:
        with db.engine.connect() as connection:
            connection.execute(ping)

    try:
        try:
            look()
        except DBAPIError as error:
            if tell is None or turned_away(error):
                raise
            with contextlib.suppress(Fault):  # said below
                db.patiently(look)
            look()
    except DBAPIError as error:
        db.close()
        raise InputError(_unreachable(db, error)) from None
    return db


def _unreachable(db: Database, error: DBAPIError) -> Problem:
    got = db.words(error)
    if getattr(error.orig, "sqlite_errorcode", None) == _NOT_A_DATABASE:
        remedy = "Name another file; this one is left as it is."
        return Problem(db.label, "", "a SQLite database", "a file of another kind", remedy)
    if db.dialect == "sqlite":
        return Problem(db.label, "", "a SQLite database that can be read and written", got, "Check the file's rights.")
    remedy = "Check that the server runs, that the database exists, and user and password."
    return Problem(db.label, "", "a database server that lets us in", got, remedy)
