"""Trials with their configuration, runs and Optuna's rows, as `Queue` writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import Fault
from hpo.records import optuna_tables, schema
from hpo.records.bulk import batches, insert_rows, update_rows
from hpo.records.connection import Database, now
from hpo.records.plain import finite, plain_json, stored, tag
from hpo.records.rows import ALL_FOLDS, ClosedTrial, NewRun, NewTrial, StageRow

_SCORES = ("training_loss", "validation_loss", "training_metric", "validation_metric")
_CLOSED_COLUMNS = (
    "state", "value", "value_tag", *_SCORES, "gap", "parameters", "diagnosis", "diagnosis_sentence",
    "diagnosis_evidence", "seconds",
)  # fmt: skip


def add(db: Database, connection: Connection, stage: StageRow, trials: Sequence[NewTrial]) -> None:
    """Trials in the order of their numbers, with parameters, runs and Optuna's rows."""
    if not trials:
        return
    _check(trials)
    moment = now(connection)
    optuna: Mapping[int, int] = {}
    if stage.optuna_study is not None:
        study = optuna_tables.study_id(db, connection, stage.optuna_study)
        optuna = optuna_tables.add_trials(db, connection, study, _last(connection, stage.id), trials, moment)
    rows = [
        (
            stage.id,
            t.number,
            t.origin,
            t.structure,
            optuna.get(t.number),
            moment,
            t.closed and moment,
            *_closed(t.closed),
        )
        for t in trials
    ]
    columns = ("stage_id", "number", "origin", "structure", "optuna_trial_id", "started_at", "finished_at")
    insert_rows(connection, schema.trial, (*columns, *_CLOSED_COLUMNS), rows)
    ids = {number: i for number, (i, _) in _ids(connection, stage.id, [t.number for t in trials]).items()}
    params = [
        (ids[t.number], name, *stored(v), name in t.varied) for t in trials for name, v in t.configuration.items()
    ]
    insert_rows(connection, schema.param, ("trial_id", "name", "kind", "value_number", "value_text", "varied"), params)
    _insert_runs(connection, [(ids[t.number], r) for t in trials for r in t.runs])
    rungs = [(ids[t.number], ALL_FOLDS, e, finite(v)) for t in trials if t.closed for e, v in t.closed.rungs.items()]
    insert_rows(connection, schema.rung, ("trial_id", "fold", "epoch", "value"), rungs)


def add_runs(connection: Connection, trial_id: int, runs: Sequence[NewRun]) -> None:
    """Runs of a trial that is there; those it has already are left as they are."""
    run = schema.run
    query = sa.select(run.c.purpose, run.c.fold, run.c.seed, run.c.epochs).where(run.c.trial_id == trial_id)
    there = {tuple(row) for row in connection.execute(query)}
    fresh = {(r.purpose, r.request.fold, r.request.seed, r.request.epochs): r for r in runs}
    _insert_runs(connection, [(trial_id, r) for key, r in fresh.items() if key not in there])


def close(db: Database, connection: Connection, stage: StageRow, closed: Sequence[ClosedTrial]) -> None:
    """Results of running trials, in both sets of tables. Raises Fault where one is not running."""
    for one in closed:
        if one.state == "complete" and (one.value is None or one.value != one.value):
            raise ValueError(f"trial {one.number} is complete without a value: tell it as pruned or failed")
    moment = now(connection)
    ids = _ids(connection, stage.id, [c.number for c in closed])
    if missing := [c.number for c in closed if c.number not in ids]:
        raise Fault(f"{db.label}: stage {stage.name} has no trial {missing[0]}")
    rows = [(ids[c.number][0], moment, *_closed(c)) for c in closed]
    columns = ("id", "finished_at", *_CLOSED_COLUMNS)
    if update_rows(connection, schema.trial, columns, rows, only={"state": "running"}) != len(closed):
        numbers = ", ".join(str(c.number) for c in closed)
        raise Fault(f"{db.label}: of the trials {numbers} of stage {stage.name} one is not running any more")
    if stage.optuna_study is not None:
        study = optuna_tables.study_id(db, connection, stage.optuna_study)
        optuna_tables.close_trials(db, connection, study, [(ids[c.number][1], c) for c in closed], moment)


def states(connection: Connection, stage_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """The states of a stage's trials by number; a number without a trial is left out."""
    trial = schema.trial
    query = sa.select(trial.c.number, trial.c.state).where(trial.c.stage_id == stage_id)
    return {
        number: state
        for group in batches(numbers)
        for number, state in connection.execute(query.where(trial.c.number.in_(group))).all()
    }


def _check(trials: Sequence[NewTrial]) -> None:
    for trial in trials:
        if any(dict(r.request.configuration) != dict(trial.configuration) for r in trial.runs):
            raise ValueError(f"trial {trial.number} has a run of another configuration")
        if trial.closed is not None and trial.closed.number != trial.number:
            raise ValueError(f"trial {trial.number} is closed as trial {trial.closed.number}")


def _last(connection: Connection, stage_id: int) -> optuna_tables.Last:
    """The stage's last trial in Optuna's tables."""
    trial = schema.trial
    query = sa.select(trial.c.number, trial.c.optuna_trial_id).where(trial.c.stage_id == stage_id)
    row = connection.execute(query.order_by(trial.c.number.desc()).limit(1)).one_or_none()
    return optuna_tables.NONE_YET if row is None else optuna_tables.Last(row.number, row.optuna_trial_id)


def _ids(connection: Connection, stage_id: int, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """(our id, Optuna's id) of trials, by number; Optuna's is None in a stage without an Optuna study."""
    trial = schema.trial
    query = sa.select(trial.c.number, trial.c.id, trial.c.optuna_trial_id).where(trial.c.stage_id == stage_id)
    return {
        row.number: (row.id, row.optuna_trial_id)
        for group in batches(numbers)
        for row in connection.execute(query.where(trial.c.number.in_(group))).all()
    }


def _insert_runs(connection: Connection, runs: Sequence[tuple[int, NewRun]]) -> None:
    columns = ("trial_id", "fold", "seed", "purpose", "epochs", "slots", "judged", "state", "tries")
    rows = [
        (i, int(r.request.fold), int(r.request.seed), r.purpose, int(r.request.epochs), int(r.slots), r.judged,
         "queued", 0)
        for i, r in runs
    ]  # fmt: skip
    insert_rows(connection, schema.run, columns, rows)


def _closed(closed: ClosedTrial | None) -> tuple[Any, ...]:
    """The values of `_CLOSED_COLUMNS`."""
    if closed is None:
        return ("running", *[None] * (len(_CLOSED_COLUMNS) - 1))
    d = closed.diagnosis
    return (
        closed.state,
        finite(closed.value),
        tag(closed.value),
        *(finite(getattr(closed, name)) for name in _SCORES),
        finite(closed.validation_loss - closed.training_loss),
        closed.parameters,
        d.name if d else None,
        d.sentence if d else None,
        plain_json(dict(d.evidence)) if d else None,
        finite(closed.seconds),
    )
