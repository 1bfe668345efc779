"""The version of Optuna's own tables, which stock Optuna alone may change."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import optuna

from hpo.errors import InputError, Problem
from hpo.search.optuna_study import quiet


def head() -> str:
    """The version that the installed Optuna writes."""
    with _storage("sqlite://") as storage:
        return storage.get_head_version()


def upgrade(url: str, label: str) -> None:
    """Bring Optuna's tables, which are there, to the version of the installed Optuna.

    `url` is SQLAlchemy's, with the driver named; `label` stands for it in messages. Raises InputError for tables that
    a newer Optuna made.
    """
    with _storage(url, old=True) as storage:
        at = storage.get_current_version()
        if at not in storage.get_all_versions():
            expected = f"Optuna's tables of version {storage.get_head_version()} or older"
            remedy = "Install a newer Optuna, or use another database."
            raise InputError(Problem(label, "", expected, f"version {at}, made by a newer Optuna", remedy))
        if at != storage.get_head_version():
            storage.upgrade()


@contextmanager
def _storage(url: str, *, old: bool = False) -> Iterator[optuna.storages.RDBStorage]:
    """Optuna's storage, with whatever tables are there where they may be `old`.

    Silent: its migrations would set up logging for the whole process, and tell every step.
    """
    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)
    try:
        with quiet():
            storage = optuna.storages.RDBStorage(url, skip_compatibility_check=old, skip_table_creation=old)
            try:
                yield storage
            finally:
                storage.remove_session()
                storage.engine.dispose()
    finally:
        root.removeHandler(handler)
