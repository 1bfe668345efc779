"""The queue of runs: the protocol by which one leader and any number of workers share the training.

The leader adds trials with their runs; a worker leases runs, trains them, and commits what came out; the leader closes
the trial. The laws:

- *One transaction a verb.* Killed at any moment, a verb is done or not done. Trials go into both our
  tables and Optuna's.
- *One owner.* A run is leased to at most one worker at a time, on every database alike: leasing takes a lock on the
  study, and each change of a run states whose it must be.
- *No late write.* `commit` takes everything or nothing: it raises LeaseLost, and writes nothing, where one of the runs
  has passed to another. A run committed before by this same worker is left as it is, so that a commit may be repeated.
- *Nothing is lost.* `reclaim` gives runs of workers that are gone back to the queue. One whose workers died three
  times is leased by itself from then on: a run that kills its worker takes no others along, and only such a one fails
  in the end, after six tries, with the reason. Being given back by `release` is not a try.
- *No lease without its worker.* A worker renews the leases of those runs that it knows of. One that it does not, since
  the connection was lost in the moment of leasing, lapses.
- *Exact counts.* Adding a run that is there (same trial, purpose, fold, seed and epochs) adds none. Adding a trial
  whose number is taken raises Fault.

Leases are by the database's clock. With a `leader`, adding and closing first make sure that this worker still leads the
study, and raise LeaseLost otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hpo.errors import Fault
from hpo.records import run_rows, schema, trial_reading, trial_rows
from hpo.records.bulk import batches, by_first
from hpo.records.connection import Database, now
from hpo.records.rows import (
    ClosedTrial,
    FinishedRun,
    LeasedRun,
    NewRun,
    NewTrial,
    Reached,
    Reclaimed,
    RunRow,
    SeenAtRung,
    StageRow,
    TrialRow,
)
from hpo.records.workers import bury, hold_study
from hpo.values import Curve, LayerHealth

MAX_TRIES = 6
"""So often a run is begun before it is given up."""


class Queue:
    """The runs of a database's studies."""

    def __init__(self, db: Database, *, leader: str | None = None) -> None:
        self._db = db
        self._leader = leader

    def add_trials(self, stage: StageRow, trials: Sequence[NewTrial]) -> None:
        """Add trials with their runs, to Optuna's tables too where the stage has an Optuna study.

        Raises Fault where a number is taken or, with an Optuna study, does not follow on those that are there.
        """
        ordered = sorted(trials, key=lambda t: t.number)

        def work(connection: Connection) -> bool:
            hold_study(connection, stage.study_id, self._leader)
            trial_rows.add(self._db, connection, stage, ordered)
            return True

        def done(connection: Connection) -> bool | None:
            return trial_rows.states(connection, stage.id, [t.number for t in ordered]).keys() != set() or None

        try:
            self._db.transact(work, done)
        except IntegrityError as error:
            numbers = ", ".join(str(t.number) for t in ordered)
            raise Fault(
                f"{self._db.label}: of the trials {numbers} of stage {stage.name} one is there already"
            ) from error

    def add_runs(self, stage_id: int, trial_number: int, runs: Sequence[NewRun]) -> None:
        """Add runs to a trial; those it has already are left as they are. Raises Fault where there is no such trial."""
        trial, stage = schema.trial, schema.stage

        def work(connection: Connection) -> None:
            study = sa.select(stage.c.study_id).where(stage.c.id == stage_id)
            hold_study(connection, connection.execute(study).scalar_one(), self._leader)
            this = (trial.c.stage_id == stage_id) & (trial.c.number == trial_number)
            trial_id = connection.execute(sa.select(trial.c.id).where(this)).scalar_one_or_none()
            if trial_id is None:
                raise Fault(f"{self._db.label}: stage {stage_id} has no trial {trial_number}")
            trial_rows.add_runs(connection, trial_id, runs)

        self._db.transact(work)

    def lease(
        self, study_id: int, worker_id: str, limit: int, seconds: float, like: LeasedRun | None = None
    ) -> list[LeasedRun]:
        """The oldest queued runs of one stage, structure and number of slots, up to `limit` a slot, as this worker's.

        With `like`, runs that fit into the same session as this one, up to `limit` of them.
        Only while the study and the stage are running; otherwise, or where nothing is queued, none.
        """
        study, run = schema.study, schema.run

        def work(connection: Connection) -> list[LeasedRun]:
            # The lock makes leasing take turns: two workers never look at the same queued runs at once.
            lock = sa.select(study.c.state).where(study.c.id == study_id).with_for_update(key_share=True)
            if connection.execute(lock).scalar_one_or_none() != "running":
                return []
            wanted = None if like is None else run_rows.kind_of(like)
            ids = run_rows.oldest(connection, study_id, limit, wanted)
            if not ids:
                return []
            until = now(connection) + timedelta(seconds=seconds)
            taken = connection.execute(
                sa.update(run)
                .where(run.c.id.in_(ids), run.c.state == "queued")
                .values(state="running", worker_id=worker_id, lease_until=until, tries=run.c.tries + 1)
            )
            if taken.rowcount != len(ids):
                raise Fault(f"{self._db.label}: a queued run was taken under the study's lock")
            return run_rows.leased(connection, ids)

        return self._db.transact(work) if limit > 0 else []

    def waiting(self, study_id: int) -> bool:
        """Whether a run could be leased: a look that takes no lock, for workers that found nothing before."""
        study, stage, trial, run = schema.study, schema.stage, schema.trial, schema.run
        going = (study.c.id == study_id) & (study.c.state == "running") & (stage.c.state == "running")
        tables = run.join(trial, trial.c.id == run.c.trial_id).join(stage, stage.c.id == trial.c.stage_id).join(study)
        query = sa.select(run.c.id).select_from(tables).where(run.c.state == "queued", going).limit(1)
        return self._db.look(lambda c: c.execute(query).first() is not None)

    def held(self, worker_id: str) -> frozenset[int]:
        """The runs that are this worker's now."""
        query = sa.select(schema.run.c.id).where(_owned(worker_id))
        return frozenset(self._db.look(lambda c: c.execute(query).scalars().all()))

    def renew(self, worker_id: str, run_ids: Iterable[int], seconds: float) -> frozenset[int]:
        """Extend leases by `seconds` from now; gives those of the runs that are still this worker's."""
        wanted, run = frozenset(run_ids), schema.run

        def work(connection: Connection) -> frozenset[int]:
            held: set[int] = set()
            for ids in batches(wanted):
                mine = sa.select(run.c.id).where(run.c.id.in_(ids), _owned(worker_id)).order_by(run.c.id)
                held.update(connection.execute(mine.with_for_update()).scalars())
            until = now(connection) + timedelta(seconds=seconds)
            for ids in batches(held):
                connection.execute(sa.update(run).where(run.c.id.in_(ids)).values(lease_until=until))
            return frozenset(held)

        return self._db.transact(work)

    def commit(self, worker_id: str, finished: Sequence[FinishedRun], reached: Sequence[Reached] = ()) -> None:
        """Hand in finished runs, curves and artifacts, and what runs had come to at rungs: all of it or nothing.

        Raises LeaseLost (see the laws).
        """

        def work(connection: Connection) -> None:
            ids = sorted({*(f.id for f in finished), *(r.run.id for r in reached)})
            fresh = run_rows.still_mine(connection, worker_id, ids)
            run_rows.write_rungs(connection, [r for r in reached if r.run.id in fresh])
            run_rows.write(connection, [(fresh[f.id], f) for f in finished if f.id in fresh], now(connection))

        self._db.transact(work)

    def release(self, worker_id: str) -> int:
        """Give this worker's runs back to the queue; how many they were."""
        values = {"state": "queued", "worker_id": None, "lease_until": None, "tries": schema.run.c.tries - 1}
        return self._db.transact(
            lambda c: c.execute(sa.update(schema.run).where(_owned(worker_id)).values(values)).rowcount
        )

    def reclaim(self, study_id: int, max_tries: int = MAX_TRIES) -> Reclaimed:
        """Take runs from workers whose lease has lapsed, that have left, or that died on this machine."""
        run = schema.run

        def work(connection: Connection) -> Reclaimed:
            moment = now(connection)
            gone = bury(connection, study_id, moment)
            lapsed = _running(study_id).where((run.c.lease_until < moment) | run.c.worker_id.in_(gone))
            requeued: list[int] = []
            failed: list[int] = []
            for row in connection.execute(lapsed).all():
                # Whoever committed or renewed since our look keeps the run.
                same = (
                    (run.c.id == row.id) & (run.c.worker_id == row.worker_id) & (run.c.lease_until == row.lease_until)
                )
                change: dict[str, Any] = {"state": "queued", "worker_id": None, "lease_until": None}
                if row.tries >= max_tries:
                    reason = f"given up after {row.tries} tries: each time its worker died or fell silent"
                    change |= {"state": "failed", "error": reason, "finished_at": moment}
                update = sa.update(run).where(same, run.c.state == "running").values(change)
                if connection.execute(update).rowcount:
                    (failed if row.tries >= max_tries else requeued).append(row.id)
            return Reclaimed(tuple(requeued), tuple(failed))

        return self._db.transact(work)

    def drop(self, stage_id: int, reason: str) -> int:
        """Fail the stage's queued runs, which nobody is to train any more; how many they were."""
        run, trial = schema.run, schema.trial
        of_stage = run.c.trial_id.in_(sa.select(trial.c.id).where(trial.c.stage_id == stage_id))

        def work(connection: Connection) -> int:
            values = {"state": "failed", "error": reason, "finished_at": now(connection)}
            return connection.execute(sa.update(run).where(of_stage, run.c.state == "queued").values(values)).rowcount

        return self._db.transact(work)

    def outstanding(self, stage_id: int) -> dict[str, int]:
        """How many of the stage's runs are in each state; states without a run are left out."""
        run, trial = schema.run, schema.trial
        counts = (
            sa.select(run.c.state, sa.func.count())
            .join(trial, trial.c.id == run.c.trial_id)
            .where(trial.c.stage_id == stage_id)
            .group_by(run.c.state)
        )
        return self._db.look(lambda c: by_first(c, counts))

    def in_training(self, study_id: int) -> int:
        """How many of the study's runs are leased now."""
        return self._db.look(lambda c: len(c.execute(_running(study_id)).all()))

    def close_trials(self, stage: StageRow, closed: Sequence[ClosedTrial]) -> None:
        """End running trials, in Optuna's tables too. Where one is not running: Fault, and nothing is written."""

        def work(connection: Connection) -> bool:
            hold_study(connection, stage.study_id, self._leader)
            trial_rows.close(self._db, connection, stage, closed)
            return True

        def done(connection: Connection) -> bool | None:
            return "running" not in trial_rows.states(connection, stage.id, [c.number for c in closed]).values() or None

        if closed:
            self._db.transact(work, done)

    def trials(self, stage_id: int, with_runs: bool = True, numbers: Iterable[int] | None = None) -> list[TrialRow]:
        """The stage's trials by number, each with its runs in the order they were added.

        With `numbers` those trials alone, at a cost that does not grow with the stage; a number without a trial is
        left out.
        """
        wanted = None if numbers is None else list(numbers)
        return self._db.look(lambda c: trial_reading.trials(self._db, c, stage_id, with_runs=with_runs, numbers=wanted))

    def added(self, stage_id: int, new: Sequence[NewTrial]) -> list[TrialRow]:
        """Trials as `trials` gives them, that were just added; of running ones little has to be read for that."""
        return self._db.look(lambda c: trial_reading.as_added(c, stage_id, new))

    def progress(self, trials: Sequence[TrialRow]) -> list[TrialRow]:
        """Running trials as they are now: what they have come to at rungs, and once their search has ended their runs.

        A look at little, however many hyperparameters they have.
        """
        folds = {t.id: sum(r.purpose == "search" for r in t.runs) for t in trials}
        run = schema.run
        going = sa.select(run.c.trial_id).where(run.c.purpose == "search", run.c.state.in_(("queued", "running")))

        def read(connection: Connection) -> tuple[dict[int, list[RunRow]], dict[int, dict[int, float]]]:
            left = {
                trial_id
                for ids in batches(folds)
                for trial_id in connection.execute(going.where(run.c.trial_id.in_(ids))).scalars()
            }
            ended = {t.id: t.number for t in trials if t.id not in left}
            return trial_reading.runs(connection, ended), trial_reading.rungs(connection, folds)

        runs, rungs = self._db.look(read)
        return [replace(t, runs=tuple(runs.get(t.id, t.runs)), rungs=rungs.get(t.id, t.rungs)) for t in trials]

    def rungs(self, stage_id: int, since: int = 0) -> tuple[list[SeenAtRung], int]:
        """What the runs of trials from number `since` on had come to, by number, fold and epoch; the next `since`.

        Of trials below that number nothing more will come, so that a look costs what is new.
        """
        return self._db.look(lambda c: trial_reading.seen_at_rungs(c, stage_id, since))

    def slots(self, study_id: int, structures: Iterable[str]) -> dict[str, int]:
        """The fewest slots, more than one, that runs of a structure had in this study; without such runs left out."""
        run, trial, stage = schema.run, schema.trial, schema.stage
        query = (
            sa.select(trial.c.structure, sa.func.min(run.c.slots))
            .join(trial, trial.c.id == run.c.trial_id)
            .join(stage, stage.c.id == trial.c.stage_id)
            .where(stage.c.study_id == study_id, trial.c.structure.in_(set(structures)), run.c.slots > 1)
            .group_by(trial.c.structure)
        )
        return self._db.look(lambda c: by_first(c, query))

    def curves(self, run_ids: Iterable[int]) -> dict[int, Curve]:
        """Learning curves by run; a run without one is left out. What was not finite is NaN."""
        ids = list(run_ids)
        return self._db.look(lambda c: run_rows.curves(c, ids))

    def health(self, run_ids: Iterable[int]) -> dict[int, tuple[LayerHealth, ...]]:
        """The health of layers by run; a run without it is left out. What was not finite is NaN."""
        ids = list(run_ids)
        return self._db.look(lambda c: run_rows.health(c, ids))

    def curve(self, run_id: int) -> Curve:
        """The learning curve of one run; empty where it has none."""
        return self.curves([run_id]).get(run_id, run_rows.NO_CURVE)

    def forget_artifacts(self, study_id: int, run_ids: Iterable[int]) -> list[str]:
        """Drop the artifacts of runs of a study from the records; gives their URIs, which the caller may delete."""
        run, artifact, wanted = schema.run, schema.artifact, list(run_ids)

        def work(connection: Connection) -> list[str]:
            hold_study(connection, study_id, self._leader)
            uris: list[str] = []
            for ids in batches(wanted):
                rows = connection.execute(
                    sa.select(artifact.c.id, artifact.c.uri)
                    .join(run, run.c.artifact_id == artifact.c.id)
                    .where(run.c.id.in_(ids))
                ).all()
                uris += [row.uri for row in rows]
                connection.execute(sa.update(run).where(run.c.id.in_(ids)).values(artifact_id=None))
                connection.execute(sa.delete(artifact).where(artifact.c.id.in_([row.id for row in rows])))
            return uris

        return self._db.transact(work)


def _owned(worker_id: str) -> sa.ColumnElement[bool]:
    return (schema.run.c.worker_id == worker_id) & (schema.run.c.state == "running")


def _running(study_id: int) -> sa.Select[Any]:
    """Leased runs of a study."""
    run, trial, stage = schema.run, schema.trial, schema.stage
    return (
        sa.select(run.c.id, run.c.worker_id, run.c.lease_until, run.c.tries)
        .join(trial, trial.c.id == run.c.trial_id)
        .join(stage, stage.c.id == trial.c.stage_id)
        .where(stage.c.study_id == study_id, run.c.state == "running")
        .order_by(run.c.id)
    )
