"""How a study stands at this moment: a handful of aggregates, at a cost of milliseconds however many trials it has.

All of it is one look at one moment of the database, and all times are by the database's clock.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.records import schema
from hpo.records.connection import Database, now
from hpo.records.rows import RunState, StageState, StudyState
from hpo.records.studies import Studies
from hpo.records.workers import has_left

RECENT = 60.0
"""Seconds that the pace is taken from."""
FORGOTTEN = 600.0
"""Seconds after which a silent worker that holds nothing is no longer listed."""

WorkerState = Literal["leading", "training", "idle", "silent"]
Tried = tuple[int, float | None]
"""A trial's number, and its value where it has one."""


@dataclass(frozen=True)
class StageStanding:
    """One attempt at a stage."""

    stage: str
    """With its attempt: `tune`, `tune.2`."""
    state: StageState
    objective: str | None
    direction: str | None
    planned: int
    """Trials it may use; 0: no plan, or no search."""
    trials: int
    """All it has."""
    done: int
    """Those of them that it ran itself, not carried over from an earlier attempt, and that have ended."""
    recent: int
    """Those of them that ended within the last `RECENT` seconds."""
    age: float
    """Seconds since it began."""
    seconds: float | None
    """From its start to its end."""
    best: Tried | None
    chosen: Tried | None
    decision: str | None
    runs: Mapping[RunState, int]
    """Runs by state; states without a run are left out."""

    @property
    def seconds_left(self) -> float | None:
        """Until all planned trials have ended, at the pace of the last minute; None where nothing tells."""
        if not self.planned or not self.recent or self.state != "running":
            return None
        return max(self.planned - self.done, 0) * min(RECENT, self.age) / self.recent


@dataclass(frozen=True)
class Leader:
    """Who leads the study."""

    worker_id: str
    host: str
    lease: float
    """Seconds until its lease ends; below zero where it has lapsed."""


@dataclass(frozen=True)
class WorkerStanding:
    """A process at work on the study."""

    worker_id: str
    kind: str
    """`leader` or `worker`."""
    state: WorkerState
    """`silent`: it has ended without a word, or was not seen for longer than a lease."""
    held: int
    """Runs that are its own now."""
    handed_in: int
    """Runs that it has trained."""
    lease: float | None
    """Seconds until the first of its leases ends; None without one."""
    memory: int | None
    """Bytes, when it last said."""
    renewals: int
    """Processes that it has taken the place of, each grown too large."""
    seen: float
    """Seconds since it was last seen."""
    device: str | None
    """Where the runs that it has trained were trained."""


@dataclass(frozen=True)
class Standing:
    """A study at one moment."""

    study: str
    state: StudyState
    metric: str | None
    at: datetime
    """The moment by the database's clock, naive UTC."""
    stages: tuple[StageStanding, ...]
    """By position."""
    leader: Leader | None
    workers: tuple[WorkerStanding, ...]
    """At work: neither left nor long silent. In the order in which they came."""
    renewals: int
    """Of all its workers, those that have left included."""

    @property
    def stage(self) -> StageStanding | None:
        """The stage under way."""
        return next((s for s in reversed(self.stages) if s.state == "running"), None)

    @property
    def over(self) -> bool:
        """Whether nobody is to go on with it by himself."""
        return self.state not in ("running", "stopping")


def standing(db: Database, study: str, *, lease: float) -> Standing:
    """How a study stands. `lease`: seconds after which a worker that was not seen is silent.

    Raises InputError for an unknown name.
    """
    study_id = Studies(db).get(study).id
    return db.look(lambda c: _look(c, study_id, lease))


def _look(connection: Connection, study_id: int, lease: float) -> Standing:
    moment = now(connection)
    study = connection.execute(sa.select(schema.study).where(schema.study.c.id == study_id)).one()
    stages = _stages(connection, study_id)
    runs = _runs(connection, [s.id for s in stages])
    registered = connection.execute(
        sa.select(schema.worker).where(schema.worker.c.study_id == study_id).order_by(schema.worker.c.started_at)
    ).all()
    gone = {w.id for w in registered if has_left(w)}
    leader = next((w for w in registered if w.id == study.leader_worker_id and w.id not in gone), None)
    of_worker: dict[str | None, list[sa.Row[Any]]] = {}
    for row in runs:
        of_worker.setdefault(row.worker_id, []).append(row)
    workers = (_worker(w, of_worker.get(w.id, []), moment, lease, w.id in gone, w is leader) for w in registered)
    return Standing(
        study.name, study.state, study.metric, moment, tuple(_standings(connection, stages, runs, moment)),
        None if leader is None else Leader(leader.id, leader.host, (study.leader_until - moment).total_seconds()),
        tuple(w for w in workers if w is not None), sum(w.renewals for w in registered),
    )  # fmt: skip


def _stages(connection: Connection, study_id: int) -> Sequence[sa.Row[Any]]:
    """The study's stages with their decisions."""
    stage, verdict = schema.stage, schema.verdict
    query = (
        sa.select(stage, verdict.c.decision, verdict.c.hands_on)
        .outerjoin(verdict, verdict.c.stage_id == stage.c.id)
        .where(stage.c.study_id == study_id)
        .order_by(stage.c.position, stage.c.attempt, stage.c.id)
    )
    return connection.execute(query).all()


def _runs(connection: Connection, stages: Iterable[int]) -> Sequence[sa.Row[Any]]:
    """Runs counted by stage, worker and state: `runs`, with `device` and the first `lease_until`."""
    run, trial = schema.run, schema.trial
    by = (trial.c.stage_id, run.c.worker_id, run.c.state)
    told = (sa.func.max(run.c.device).label("device"), sa.func.min(run.c.lease_until).label("lease_until"))
    query = sa.select(*by, sa.func.count().label("runs"), *told).join(trial, trial.c.id == run.c.trial_id)
    return connection.execute(query.where(trial.c.stage_id.in_(list(stages))).group_by(*by)).all()


def _standings(
    connection: Connection, stages: Sequence[sa.Row[Any]], runs: Sequence[sa.Row[Any]], moment: datetime
) -> Iterable[StageStanding]:
    trial = schema.trial
    own_ended = (trial.c.state != "running") & (trial.c.origin != "carried")
    recent = own_ended & (trial.c.finished_at > moment - timedelta(seconds=RECENT))
    counts = (sa.func.count(sa.case((condition, 1))) for condition in (sa.true(), own_ended, recent))
    ids = [s.id for s in stages]
    query = sa.select(trial.c.stage_id, *counts).where(trial.c.stage_id.in_(ids)).group_by(trial.c.stage_id)
    counted = {row[0]: row[1:] for row in connection.execute(query)}
    for s in stages:
        by_state: dict[RunState, int] = {}
        for r in runs:
            if r.stage_id == s.id:
                by_state[r.state] = by_state.get(r.state, 0) + r.runs
        trials, done, lately = counted.get(s.id, (0, 0, 0))
        yield StageStanding(
            s.name if s.attempt == 1 else f"{s.name}.{s.attempt}", s.state, s.objective, s.direction,
            s.trials_planned, trials, done, lately, (moment - s.started_at).total_seconds(),
            s.finished_at and (s.finished_at - s.started_at).total_seconds(), _best(connection, s),
            _chosen(connection, s), s.decision, by_state,
        )  # fmt: skip


def _best(connection: Connection, stage: sa.Row[Any]) -> Tried | None:
    """Optuna's `best_trial`: of equals the first."""
    trial = schema.trial
    if stage.optuna_study is None:
        return None
    query = sa.select(trial.c.number, trial.c.value).where(trial.c.stage_id == stage.id, trial.c.state == "complete")
    order = trial.c.value.desc() if stage.direction == "maximize" else trial.c.value
    row = connection.execute(query.where(trial.c.value.is_not(None)).order_by(order, trial.c.number).limit(1)).first()
    return None if row is None else (row.number, row.value)


def _chosen(connection: Connection, stage: sa.Row[Any]) -> Tried | None:
    """The trial that the verdict hands on."""
    trial, number = schema.trial, json.loads(stage.hands_on).get("chosen") if stage.hands_on else None
    if not isinstance(number, int):
        return None
    this = (trial.c.stage_id == stage.id) & (trial.c.number == number)
    return number, connection.execute(sa.select(trial.c.value).where(this)).scalar_one_or_none()


def _worker(
    worker: sa.Row[Any], runs: Sequence[sa.Row[Any]], moment: datetime, lease: float, gone: bool, leads: bool
) -> WorkerStanding | None:
    """A worker with its runs; None: it has left, or is as good as gone, and holds nothing."""
    held, ended = [r for r in runs if r.state == "running"], [r for r in runs if r.state != "running"]
    seen = (moment - worker.seen_at).total_seconds()
    if not held and not leads and (gone or seen > FORGOTTEN):
        return None
    state: WorkerState = "training" if held else "leading" if leads else "idle"
    return WorkerStanding(
        worker.id, worker.kind, "silent" if gone or seen > lease else state,
        sum(r.runs for r in held), sum(r.runs for r in ended),
        min(((r.lease_until - moment).total_seconds() for r in held), default=None), worker.memory, worker.renewals,
        max(seen, 0.0), max((r.device for r in ended if r.device), default=None),
    )  # fmt: skip
