"""Stock Optuna, kept quiet, and the studies it opens in a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna

from hpo.errors import Fault
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
    again changes nothing. Raises Fault where the study exists with the other direction.
    """
    # A waiting writer holds SQLite's lock for longer than the driver's own five seconds now and then.
    settings = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with quiet():
        storage = optuna.storages.RDBStorage(url, engine_kwargs=settings)
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
        finally:
            storage.remove_session()
            storage.engine.dispose()
