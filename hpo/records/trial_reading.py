"""Trials with their configuration and runs, as `Queue` reads them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.records import optuna_tables, schema
from hpo.records.bulk import batches
from hpo.records.connection import Database
from hpo.records.plain import finite, known, plain_json, scalar, untag
from hpo.records.rows import ArtifactRef, ClosedTrial, NewTrial, RunRow, SeenAtRung, TrialRow
from hpo.values import Configuration, Diagnosis, Scalar

_SCORES = ("training_loss", "validation_loss", "training_metric", "validation_metric", "gap")


def trials(
    db: Database, connection: Connection, stage_id: int, *, with_runs: bool, numbers: Iterable[int] | None
) -> list[TrialRow]:
    """A stage's trials by number; with `numbers`, those alone."""
    trial = schema.trial
    query = sa.select(trial).where(trial.c.stage_id == stage_id).order_by(trial.c.number)
    queries = [query] if numbers is None else [query.where(trial.c.number.in_(group)) for group in batches(numbers)]
    rows = [row for one in queries for row in connection.execute(one).all()]
    values, varied = configurations(connection, (row.id for row in rows))
    in_optuna = [row.optuna_trial_id for row in rows if row.optuna_trial_id is not None]
    attrs = optuna_tables.attributes(db, connection, in_optuna) if in_optuna else {}
    of_trials = runs(connection, {row.id: row.number for row in rows}) if with_runs else {}
    folds = {i: sum(r.purpose == "search" for r in of_trial) for i, of_trial in of_trials.items()}
    seen = rungs(connection, {row.id: folds.get(row.id, 1) for row in rows})
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
            **{name: known(getattr(row, name)) for name in _SCORES},
            parameters=row.parameters,
            diagnosis=_diagnosis(row),
            seconds=row.seconds or 0.0,
            optuna_attrs=attrs.get(row.optuna_trial_id, {}),
            runs=tuple(of_trials.get(row.id, ())),
            rungs=seen.get(row.id, {}),
        )
        for row in rows
    ]


def as_added(connection: Connection, stage_id: int, new: Sequence[NewTrial]) -> list[TrialRow]:
    """Running trials as they read back once they were added: what they are known to be is not read again."""
    trial = schema.trial
    query = sa.select(trial.c.number, trial.c.id, trial.c.optuna_trial_id).where(trial.c.stage_id == stage_id)
    rows = {
        row.number: row
        for numbers in batches(n.number for n in new)
        for row in connection.execute(query.where(trial.c.number.in_(numbers))).all()
    }
    of_trials = runs(connection, {row.id: row.number for row in rows.values()})
    return [
        TrialRow(
            id=(row := rows[n.number]).id,
            number=n.number,
            origin=n.origin,
            state="running",
            value=None,
            configuration=n.configuration,
            varied=n.varied,
            structure=n.structure,
            training_loss=nan,
            validation_loss=nan,
            training_metric=nan,
            validation_metric=nan,
            gap=nan,
            parameters=None,
            diagnosis=None,
            seconds=0.0,
            optuna_attrs={} if row.optuna_trial_id is None else n.optuna_attrs,
            runs=tuple(of_trials.get(row.id, ())),
        )
        for n in new
    ]


def configurations(
    connection: Connection, trial_ids: Iterable[int]
) -> tuple[dict[int, Configuration], dict[int, set[str]]]:
    """(configuration, names that were varied), each by trial."""
    param = schema.param
    values: defaultdict[int, dict[str, Scalar]] = defaultdict(dict)
    varied: defaultdict[int, set[str]] = defaultdict(set)
    columns = (param.c.trial_id, param.c.name, param.c.kind, param.c.value_number, param.c.value_text, param.c.varied)
    for ids in batches(trial_ids):
        query = sa.select(*columns).where(param.c.trial_id.in_(ids)).order_by(param.c.trial_id, param.c.name)
        for trial_id, name, kind, number, text, chosen in connection.execute(query).all():
            values[trial_id][name] = scalar(kind, number, text)
            if chosen:
                varied[trial_id].add(name)
    return dict(values), varied


def _diagnosis(row: sa.Row[Any]) -> Diagnosis | None:
    if row.diagnosis is None:
        return None
    return Diagnosis(row.diagnosis, row.diagnosis_sentence, json.loads(row.diagnosis_evidence))


def rungs(connection: Connection, folds: Mapping[int, int]) -> dict[int, dict[int, float]]:
    """What trials have come to, means over their folds (how many, by trial; a carried one has one), by epoch.

    Epochs that not all folds have reached are left out.
    """
    rung = schema.rung
    found: defaultdict[int, defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for ids in batches(folds):
        query = sa.select(rung.c.trial_id, rung.c.epoch, rung.c.value).where(rung.c.trial_id.in_(ids))
        for trial_id, epoch, value in connection.execute(query.order_by(rung.c.trial_id, rung.c.epoch)).all():
            found[trial_id][epoch].append(known(value))
    return {
        trial_id: {
            epoch: sum(values) / len(values) for epoch, values in by_epoch.items() if len(values) >= folds[trial_id]
        }
        for trial_id, by_epoch in found.items()
    }


def seen_at_rungs(connection: Connection, stage_id: int, since: int) -> tuple[list[SeenAtRung], int]:
    """(what runs of trials from number `since` on had come to, the lowest number of which more may come)."""
    rung, trial = schema.rung, schema.trial
    mine = (trial.c.stage_id == stage_id) & (trial.c.number >= since)
    query = (
        sa.select(trial.c.number, trial.c.structure, rung.c.fold, rung.c.epoch, rung.c.value)
        .join(trial, trial.c.id == rung.c.trial_id)
        .where(mine)
        .order_by(trial.c.number, rung.c.fold, rung.c.epoch)
    )
    found = [SeenAtRung(*row[:4], known(row.value)) for row in connection.execute(query).all()]
    going = sa.func.min(sa.case((trial.c.state == "running", trial.c.number)))
    first, last = connection.execute(sa.select(going, sa.func.max(trial.c.number)).where(mine)).one()
    return found, first if first is not None else since if last is None else last + 1


def runs(connection: Connection, numbers: Mapping[int, int]) -> dict[int, list[RunRow]]:
    """The runs of trials (id to number) by trial, oldest first."""
    run, artifact = schema.run, schema.artifact
    query = sa.select(run, artifact.c.uri, artifact.c.sha256, artifact.c.size).outerjoin(
        artifact, artifact.c.id == run.c.artifact_id
    )
    found: defaultdict[int, list[RunRow]] = defaultdict(list)
    rows = (
        row
        for ids in batches(numbers)
        for row in connection.execute(query.where(run.c.trial_id.in_(ids)).order_by(run.c.id)).all()
    )
    for r in rows:
        found[r.trial_id].append(
            RunRow(
                id=r.id,
                trial_number=numbers[r.trial_id],
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
                engine_reason=r.engine_reason,
                slots=r.slots,
                device=r.device,
                worker_id=r.worker_id,
                tries=r.tries,
                artifact=None if r.uri is None else ArtifactRef(r.uri, r.sha256, r.size),
                error=r.error,
            )
        )
    return found


def as_closed(trial: TrialRow, end: ClosedTrial) -> TrialRow:
    """A running trial as it reads back once it was closed so."""
    scores: dict[str, Any] = {name: known(finite(getattr(end, name))) for name in _SCORES[:-1]}
    d = end.diagnosis
    return replace(
        trial, state=end.state, value=end.value, **scores,
        gap=known(finite(end.validation_loss - end.training_loss)), parameters=end.parameters,
        diagnosis=d and Diagnosis(d.name, d.sentence, json.loads(plain_json(dict(d.evidence)))),
        seconds=finite(end.seconds) or 0.0, optuna_attrs={**trial.optuna_attrs, **end.optuna_attrs},
    )  # fmt: skip
