"""Connecting: whoever does gets the schema of this version of `hpo`, or an `InputError` that says what to do."""

from sqlalchemy.exc import DBAPIError

from hpo.errors import InputError, Problem
from hpo.records import sqlite_files, urls, versions
from hpo.records.connection import Database, now

__all__ = ["Database", "connect", "now", "open_database"]

_NOT_A_DATABASE = 26  # SQLITE_NOTADB


def connect(url: str, *, create: bool = True) -> Database:
    """The database of a URL, with the schema of this version; an empty one gets it where `create`.

    Raises InputError for a URL, file, server or schema that will not do; nothing is left behind then. A new SQLite file
    appears only when it is complete, whatever happens.
    """
    db = open_database(url, create=create)
    try:
        versions.ensure(db, create=create)
    except BaseException:
        db.close()
        raise
    return db


def open_database(url: str, *, create: bool) -> Database:
    """The database of a URL whatever its schema, known to answer. Raises InputError as `connect` does."""
    parsed = urls.normalise(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite_files.prepare(parsed, create=create)
    db = Database(parsed)
    try:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1" if db.dialect != "sqlite" else "SELECT count(*) FROM sqlite_master")
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
