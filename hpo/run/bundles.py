"""Exported networks that the records keep: given out again without loading Keras."""

import io
import zipfile
from pathlib import Path

from hpo.errors import InputError, Problem
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import connect
from hpo.records.studies import Studies

KIND = "bundle"
"""What the records call a packed bundle among the artifacts."""


def export_bundle_of(storage: str, study: str, to: str, artifacts: str | None = None) -> Path:
    """Unpack a finished study's bundle into a new or empty folder. Raises InputError where there is none to give."""
    with connect(storage, create=False) as database:
        studies = Studies(database)
        study_id = studies.get(study).id
        if not studies.artifacts(study_id, KIND):
            raise InputError(
                Problem(f"study {study!r}", "", "a finished study", "one without an exported network",
                        f"Finish it first: hpo run {study}")
            )  # fmt: skip
        if Path(to).exists() and (not Path(to).is_dir() or any(Path(to).iterdir())):
            raise InputError(
                Problem(to, "", "a new or empty folder", "one that holds something", "Name another folder with --to.")
            )
        return unpack_bundle(studies, ArtifactStore(artifacts or default_store(database)), study_id, to)


def unpack_bundle(studies: Studies, store: ArtifactStore, study_id: int, to: str) -> Path:
    """Unpack the newest bundle that a study has into a folder. Raises Fault where the store lacks it."""
    data = store.get(studies.artifacts(study_id, KIND)[-1])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(to)
    return Path(to)
