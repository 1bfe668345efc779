"""Stock Optuna, kept quiet, and the studies it opens in a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError

from hpo.errors import Fault, InputError, Problem
from hpo.metrics import Direction


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's notices stay inside: its own words ("a new study created in memory") mean nothing to our users."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def create_optuna_study(
    url: str, name: str, direction: Direction, attrs: Mapping[str, str | int | float] | None = None
) -> None:
    """Make Optuna's tables where they are missing, and the study where it is missing: by stock Optuna, its own way.

    `url` is SQLAlchemy's, with the driver named. `attrs` become user attributes, which the dashboard shows. Doing it
    again changes nothing. Raises Fault where the study exists with the other direction, InputError where the tables are
    another Optuna's, SQLAlchemy's own error where the database fails.
    """
    # A waiting writer holds SQLite's lock for longer than the driver's own five seconds now and then.
    settings = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with quiet():
        try:
            storage = optuna.storages.RDBStorage(url, engine_kwargs=settings)
        except RuntimeError as error:
            expected, got = f"Optuna's tables as Optuna {optuna.__version__} has them", str(error).partition(". ")[0]
            remedy = "Run `hpo db upgrade --storage URL` with the same URL; make a copy of the database first."
            raise InputError(Problem("the database", "", expected, got, remedy)) from None
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
            if study.direction.name.lower() != direction:
                raise Fault(
                    f"the Optuna study {name!r} exists and is to {study.direction.name.lower()} its objective, "
                    f"not to {direction} it; remove it or use another study name"
                )
            have = study.user_attrs
            for key, value in (attrs or {}).items():
                if have.get(key) != value:
                    study.set_user_attr(key, value)
        except StorageInternalError as error:
            raise error.__cause__ or error from None
        finally:
            storage.remove_session()
            storage.engine.dispose()
