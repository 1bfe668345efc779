"""Database URLs: what a user writes, made into what the drivers and Optuna take, or refused with a remedy."""

import difflib
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.errors import InputError, Problem
from hpo.hiding import hidden

# Optuna writes its MariaDB attributes by the dialect's name `mysql`, so MariaDB goes by that name too.
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
EXTRAS = {"postgresql": "postgres", "mysql": "mariadb"}
_FORMS = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mariadb://USER@HOST/DATABASE"


def normalise(text: str) -> URL:
    """The URL with the driver that hpo uses and, for SQLite, `~` expanded. Raises InputError."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        plain = "://" not in text and "@" not in text
        remedy = f"Write sqlite:///{text} for a file." if plain else "Check the URL's form."
        shown = text if plain else "something else"
        raise InputError(Problem("--storage", "", f"a database URL ({_FORMS})", shown, remedy)) from None
    scheme = url.drivername.partition("+")[0]
    if scheme not in _DRIVERS:
        near = difflib.get_close_matches(scheme, _DRIVERS, n=1)
        remedy = f"Did you mean {near[0]}://?" if near else "Use one of the three."
        raise InputError(Problem("--storage", "", f"a database URL ({_FORMS})", f"{url.drivername}://", remedy))
    url = url.set(drivername=_DRIVERS[scheme])
    return _sqlite(url) if scheme == "sqlite" else _server(url)


def _sqlite(url: URL) -> URL:
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:") or url.host:
        got = "a database in memory" if not name or name == ":memory:" else label(url)
        remedy = "Write sqlite:///hpo.db, or sqlite:////data/hpo.db for a path from the root."
        raise InputError(Problem("--storage", "", "a SQLite database in a file (sqlite:///FILE)", got, remedy))
    return url.set(database=str(Path(name).expanduser()))


def _server(url: URL) -> URL:
    if "@" in (url.host or ""):  # what follows it would pass for the host, and be shown
        expected = "a URL whose password is percent-encoded"
        raise InputError(Problem("--storage", "", expected, "more than one @", "Write %40 for an @ in a password."))
    if not url.database:
        remedy = "Put the database's name after the host, as in postgresql://user@host/hpo."
        raise InputError(Problem(label(url), "", "the name of a database", "none", remedy))
    return url


def passwords(url: URL) -> tuple[str, ...]:
    """What messages of drivers must not hold: the password, and options that name one."""
    options = {key: text for key, text in url.query.items() if hidden(f"?{key}=x") != f"?{key}=x"}
    texts = [url.password, *(t for v in options.values() for t in ([v] if isinstance(v, str) else v))]
    return tuple(str(text) for text in texts if text)


def label(url: URL) -> str:
    """The URL for messages: without password, and without the options that could hold one."""
    shown = url.set(drivername=url.drivername.partition("+")[0], query={})
    return shown.render_as_string(hide_password=True)
