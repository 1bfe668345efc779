"""`hpo rm`: takes a study out of the database and its artifacts out of the store."""

from dataclasses import dataclass

from hpo.errors import InputError, Problem


@dataclass(frozen=True)
class Holdings:
    """What goes with a study."""

    trials: int
    runs: int
    artifacts: int
    size: int
    """Bytes of the artifacts."""
    store: str
    """Where the artifacts are looked for."""


def holdings(storage: str, study: str, artifacts: str | None = None) -> Holdings:
    """What a study holds. Raises InputError for an unknown name, and while a process leads the study."""
    from hpo.commands.status import LEASE_SECONDS
    from hpo.records.artifacts import default_store, total
    from hpo.records.database import connect
    from hpo.records.standing import standing
    from hpo.records.studies import Studies

    with connect(storage, create=False) as db:
        now = standing(db, study, lease=LEASE_SECONDS)
        if now.leader is not None and now.leader.lease >= 0:
            raise InputError(Problem(f"study {study!r}", "", "a study that no process runs",
                                     f"one that {now.leader.worker_id} leads",
                                     f"Stop it first: hpo stop {study} --wait"))  # fmt: skip
        trials, runs = sum(s.trials for s in now.stages), sum(sum(s.runs.values()) for s in now.stages)
        return Holdings(trials, runs, *total(db, Studies(db).get(study).id), artifacts or default_store(db))


def remove(storage: str, study: str, artifacts: str | None = None) -> None:
    """Removes a study with its trials, Optuna studies and artifacts. That its test rows were looked at stays recorded.

    Raises InputError while a process leads the study.
    """
    from hpo.records.artifacts import ArtifactStore, default_store
    from hpo.records.database import connect
    from hpo.run.leading import forget

    with connect(storage, create=False) as db:
        store = ArtifactStore(artifacts or default_store(db))
        forget(db, study, store)
        store.tidy(study)
