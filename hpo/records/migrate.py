"""Bringing a database, given by its URL, to another version of our schema; of Optuna's, the version alone."""

from pathlib import Path

from hpo.records import urls, versions
from hpo.records.database import open_database
from hpo.records.versions import head

__all__ = ["current", "downgrade", "draft", "head", "optuna_place", "optuna_version", "upgrade"]


def current(url: str) -> str | None:
    """The version of a database that exists; None: no tables of ours. Raises InputError where it cannot be opened."""
    with open_database(url, create=False) as db:
        return db.look(versions.version)


def optuna_version(url: str) -> str | None:
    """The version of Optuna's tables in a database that exists; None: there are none."""
    with open_database(url, create=False) as db, db.read() as connection:
        return versions.version(connection, versions.OPTUNA_TABLE)


def optuna_place(url: str) -> tuple[str, str]:
    """What Optuna takes for the URL (its driver named, the password in it), and the label for messages."""
    parsed = urls.normalise(url)
    return parsed.render_as_string(hide_password=False), urls.label(parsed)


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database to a version, made where there is none. Raises InputError for an unknown version."""
    with open_database(url, create=True) as db:
        versions.check_known(db)
        versions.run(db, "upgrade", revision)


def downgrade(url: str, revision: str) -> None:
    """Take a database back to an older version; `base` drops all our tables. What only the newer one holds is lost."""
    with open_database(url, create=False) as db:
        versions.check_known(db)
        versions.run(db, "downgrade", revision)


def draft(url: str, message: str) -> Path:
    """For developers: a new migration file, from the tables of a database at the newest version to `schema`'s."""
    with open_database(url, create=False) as db:
        return versions.draft(db, message, f"{int(head()) + 1:04d}")
