"""`hpo status`: how far a study is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SEEN_SECONDS = 120.0
"""A worker counts as at work when it was seen within so many seconds."""


@dataclass(frozen=True)
class StudyStatus:
    """A study's runs by state, and who works on it."""

    study: str
    state: str
    runs: "pd.DataFrame"
    """Columns of `Results.runs`."""
    workers: int
    """Processes at work now."""
    memory: int | None
    """Bytes of the largest of them; None where it is not known."""
    renewals: int
    """Processes replaced because they had grown too large."""


def status(storage: str, study: str) -> StudyStatus:
    """Where a study stands now. Raises InputError for an unknown name."""
    from hpo.records.database import connect
    from hpo.records.studies import Studies
    from hpo.records.workers import Workers
    from hpo.reports.frames import Results

    with connect(storage, create=False) as db:
        row = Studies(db).get(study)
        workers = Workers(db)
        at_work = workers.alive(row.id, SEEN_SECONDS)
        return StudyStatus(study, row.state, Results(db).runs(study), at_work, *workers.memory(row.id, SEEN_SECONDS))
