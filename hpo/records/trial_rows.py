"""Trials with their configuration, runs and Optuna's rows, as `Queue` reads and writes them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import Fault
from hpo.records import optuna_tables, schema
from hpo.records.bulk import batches, by_first, finite, insert_rows, known, plain_json, tag, untag
from hpo.records.connection import Database, now
from hpo.records.rows import ArtifactRef, ClosedTrial, NewRun, NewTrial, RunRow, StageRow, TrialRow
from hpo.values import Configuration, Diagnosis, Scalar

_SCORES = ("training_loss", "validation_loss", "training_metric", "validation_metric")
_CLOSED_COLUMNS = (
    "state", "value", "value_tag", *_SCORES, "gap", "parameters", "diagnosis", "diagnosis_sentence",
    "diagnosis_evidence", "seconds",
)  # fmt: skip
_EXACT = 2**53
"""Whole numbers up to here are exact as doubles."""


def add(db: Database, connection: Connection, stage: StageRow, trials: Sequence[NewTrial]) -> None:
    """Trials in the order of their numbers, with parameters, runs and Optuna's rows."""
    if not trials:
        return
    _check(trials)
    moment = now(connection)
    optuna: Mapping[int, int] = {}
    if stage.optuna_study is not None:
        study = optuna_tables.study_id(db, connection, stage.optuna_study)
        optuna = optuna_tables.add_trials(db, connection, study, trials, moment)
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
    ids = _ids(connection, stage.id, [t.number for t in trials])
    params = [
        (ids[t.number], name, *_stored(v), name in t.varied) for t in trials for name, v in t.configuration.items()
    ]
    insert_rows(connection, schema.param, ("trial_id", "name", "kind", "value_number", "value_text", "varied"), params)
    _insert_runs(connection, [(ids[t.number], r) for t in trials for r in t.runs])


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
    trial = schema.trial
    moment = now(connection)
    ids = _ids(connection, stage.id, [c.number for c in closed])
    if missing := [c.number for c in closed if c.number not in ids]:
        raise Fault(f"{db.label}: stage {stage.name} has no trial {missing[0]}")
    update = (
        sa.update(trial)
        .where(trial.c.id == sa.bindparam("b_id"), trial.c.state == "running")
        .values(finished_at=moment, **{name: sa.bindparam(f"b_{name}") for name in _CLOSED_COLUMNS})
    )
    values = [
        {"b_id": ids[c.number]} | {f"b_{k}": v for k, v in zip(_CLOSED_COLUMNS, _closed(c), strict=True)}
        for c in closed
    ]
    if connection.execute(update, values).rowcount != len(closed):
        numbers = ", ".join(str(c.number) for c in closed)
        raise Fault(f"{db.label}: of the trials {numbers} of stage {stage.name} one is not running any more")
    if stage.optuna_study is not None:
        study = optuna_tables.study_id(db, connection, stage.optuna_study)
        query = sa.select(trial.c.number, trial.c.optuna_trial_id).where(trial.c.stage_id == stage.id)
        of_optuna = by_first(connection, query)
        results = [(of_optuna[c.number], c) for c in closed]
        optuna_tables.close_trials(db, connection, study, results, moment)


def read(db: Database, connection: Connection, stage_id: int, *, with_runs: bool) -> list[TrialRow]:
    """A stage's trials by number."""
    trial = schema.trial
    rows = connection.execute(sa.select(trial).where(trial.c.stage_id == stage_id).order_by(trial.c.number)).all()
    values, varied = configurations(connection, {row.id for row in rows})
    in_optuna = [row.optuna_trial_id for row in rows if row.optuna_trial_id is not None]
    attrs = optuna_tables.attributes(db, connection, in_optuna) if in_optuna else {}
    runs = _runs(connection, stage_id) if with_runs else {}
    return [
        TrialRow(
            id=row.id,
            number=row.number,
            origin=row.origin,
            state=row.state,
            value=untag(row.value, row.value_tag),
            configuration=values.get(row.id, {}),
            varied=frozenset(varied.get(row.id, ())),
            structure=row.structure,
            **{name: known(getattr(row, name)) for name in (*_SCORES, "gap")},
            parameters=row.parameters,
            diagnosis=_diagnosis(row),
            seconds=row.seconds or 0.0,
            optuna_attrs=attrs.get(row.optuna_trial_id, {}),
            runs=tuple(runs.get(row.id, ())),
        )
        for row in rows
    ]


def configurations(
    connection: Connection, trial_ids: Iterable[int]
) -> tuple[dict[int, Configuration], dict[int, set[str]]]:
    """(configuration, names that were varied), each by trial."""
    param = schema.param
    values: dict[int, dict[str, Scalar]] = {}
    varied: dict[int, set[str]] = {}
    columns = (param.c.trial_id, param.c.name, param.c.kind, param.c.value_number, param.c.value_text, param.c.varied)
    for ids in batches(trial_ids):
        query = sa.select(*columns).where(param.c.trial_id.in_(ids)).order_by(param.c.trial_id, param.c.name)
        for trial_id, name, kind, number, text, chosen in connection.execute(query):
            values.setdefault(trial_id, {})[name] = scalar(kind, number, text)
            if chosen:
                varied.setdefault(trial_id, set()).add(name)
    return dict(values), varied


def _check(trials: Sequence[NewTrial]) -> None:
    for trial in trials:
        if any(dict(r.request.configuration) != dict(trial.configuration) for r in trial.runs):
            raise ValueError(f"trial {trial.number} has a run of another configuration")
        if trial.closed is not None and trial.closed.number != trial.number:
            raise ValueError(f"trial {trial.number} is closed as trial {trial.closed.number}")


def _ids(connection: Connection, stage_id: int, numbers: Sequence[int]) -> dict[int, int]:
    """Our ids of trials, by number."""
    trial = schema.trial
    found: dict[int, int] = {}
    for group in batches(numbers):
        query = sa.select(trial.c.number, trial.c.id).where(trial.c.stage_id == stage_id, trial.c.number.in_(group))
        found |= by_first(connection, query)
    return found


def _insert_runs(connection: Connection, runs: Sequence[tuple[int, NewRun]]) -> None:
    columns = ("trial_id", "fold", "seed", "purpose", "epochs", "state", "tries")
    rows = [
        (i, int(r.request.fold), int(r.request.seed), r.purpose, int(r.request.epochs), "queued", 0) for i, r in runs
    ]
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


def _diagnosis(row: sa.Row[Any]) -> Diagnosis | None:
    if row.diagnosis is None:
        return None
    return Diagnosis(row.diagnosis, row.diagnosis_sentence, json.loads(row.diagnosis_evidence))


def _stored(value: Scalar) -> tuple[str, float | None, str | None]:
    """(kind, value_number, value_text): numbers for SQL to compute with, and enough to get the very value back."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "bool", float(value), None
    if isinstance(value, int):
        return "int", float(value), None if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        number = finite(value)
        return "float", number, None if number is not None else str(value)
    return "text", None, value


def scalar(kind: str, number: float | None, text: str | None) -> Scalar:
    """The value of a hyperparameter from its columns."""
    match kind:
        case "bool":
            return bool(number)
        case "int":
            return int(number or 0) if text is None else int(text)
        case "float":
            return float(text) if number is None and text is not None else known(number)
        case _:
            return text or ""


def _runs(connection: Connection, stage_id: int) -> dict[int, list[RunRow]]:
    """A stage's runs by trial, oldest first."""
    run, trial, artifact = schema.run, schema.trial, schema.artifact
    query = (
        sa.select(run, trial.c.number, artifact.c.uri, artifact.c.sha256, artifact.c.size)
        .join(trial, trial.c.id == run.c.trial_id)
        .outerjoin(artifact, artifact.c.id == run.c.artifact_id)
        .where(trial.c.stage_id == stage_id)
        .order_by(run.c.id)
    )
    found: defaultdict[int, list[RunRow]] = defaultdict(list)
    for r in connection.execute(query):
        found[r.trial_id].append(
            RunRow(
                id=r.id,
                trial_number=r.number,
                fold=r.fold,
                seed=r.seed,
                purpose=r.purpose,
                state=r.state,
                epochs=r.epochs,
                epochs_trained=r.epochs_trained or 0,
                best_epoch=r.best_epoch or 0,
                training_loss=known(r.training_loss),
                validation_loss=known(r.validation_loss),
                training_metric=known(r.training_metric),
                validation_metric=known(r.validation_metric),
                parameters=r.parameters,
                seconds=r.seconds or 0.0,
                engine=r.engine,
                device=r.device,
                worker_id=r.worker_id,
                tries=r.tries,
                artifact=None if r.uri is None else ArtifactRef(r.uri, r.sha256, r.size),
                error=r.error,
            )
        )
    return found
