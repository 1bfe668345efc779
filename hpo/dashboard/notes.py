"""Our words in the dashboard: a note (markdown) for each Optuna study."""

from collections.abc import Mapping

import optuna
import optuna_dashboard
from optuna.storages import BaseStorage


def write_notes(storage: str | BaseStorage, notes: Mapping[str, str]) -> int:
    """Set the note of each named Optuna study where it differs, and return how many were written.

    `storage` is SQLAlchemy's URL, or a storage that is open already. Studies that do not exist (yet) are passed over.
    """
    if isinstance(storage, BaseStorage):
        return _write(storage, notes)
    opened = optuna.storages.RDBStorage(storage)
    try:
        return _write(opened, notes)
    finally:
        opened.remove_session()
        opened.engine.dispose()


def _write(storage: BaseStorage, notes: Mapping[str, str]) -> int:
    written = 0
    have = {study.study_name for study in storage.get_all_studies()}
    for name, text in notes.items():
        if name not in have:
            continue
        study = optuna.Study(name, storage)
        if optuna_dashboard.get_note(study) != text:
            optuna_dashboard.save_note(study, text)
            written += 1
    return written
