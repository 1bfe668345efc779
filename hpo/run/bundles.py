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
        refs = studies.artifacts(studies.get(study).id, KIND)
        if not refs:
            raise InputError(
                Problem(f"study {study!r}", "", "a finished study", "one without an exported network",
                        f"Finish it first: hpo run {study}")
            )  # fmt: skip
        target = Path(to)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(
                Problem(to, "", "a new or empty folder", "one that holds something", "Name another folder with --to.")
            )
        data = ArtifactStore(artifacts or default_store(database)).get(refs[-1])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(target)
    return target
