"""`hpo status`: how far a study is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StudyStatus:
    """A study's stages, its runs by state, and who works on it."""

    study: str
    state: str
    runs: "pd.DataFrame"
    workers: "pd.DataFrame"


def status(storage: str, study: str) -> StudyStatus:
    """Where a study stands now. Raises InputError for an unknown name."""
    from hpo.reports.frames import open_results

    found = open_results(storage)
    studies = found.studies()
    runs, workers = found.runs(study), found.workers(study)
    state = studies.loc[studies["study"] == study, "state"].iloc[0]
    return StudyStatus(study, str(state), runs, workers)
