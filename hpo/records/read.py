"""Columns for reports: read-only lists of plain values by column name, one entry a row. NULL is None.

`stage` is a stage's label: its name, with `.2`, `.3` for later attempts. Every function that takes a study raises
InputError, with the nearest name, where there is none of that name. Each reads one moment of the database.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.records import schema
from hpo.records.connection import Database
from hpo.records.plain import scalar, untag
from hpo.records.studies import Studies

Columns = dict[str, list[object]]

_stage, _trial, _run, _epoch = schema.stage, schema.trial, schema.run, schema.epoch
_SCORES = ("training_loss", "validation_loss", "training_metric", "validation_metric")


def studies(db: Database) -> Columns:
    """study, state, task, metric, direction, data_source, data_fingerprint, seed, stages (done), trials, created_at,
    started_at, finished_at, fingerprint, spec (JSON text); in the order they were begun.
    """
    s = schema.study
    done = sa.select(sa.func.count()).where(_stage.c.study_id == s.c.id, _stage.c.state == "done").scalar_subquery()
    trials_ = (
        sa.select(sa.func.count())
        .select_from(_trial.join(_stage, _stage.c.id == _trial.c.stage_id))
        .where(_stage.c.study_id == s.c.id)
        .scalar_subquery()
    )
    plain = (
        "state", "task", "metric", "direction", "data_source", "data_fingerprint", "seed", "created_at", "started_at",
        "finished_at", "fingerprint", "spec",
    )  # fmt: skip
    columns = [s.c.name.label("study"), done.label("stages"), trials_.label("trials"), *(s.c[n] for n in plain)]
    return _columns(db, sa.select(*columns).order_by(s.c.id))


def stages(db: Database, study: str) -> Columns:
    """stage, name, attempt, position, state, objective, direction, trials_planned, trials, decision, verdict (its
    sentence), hands_on (JSON text), optuna_study, space (JSON text), fingerprint, started_at, finished_at; by position.
    """
    v = schema.verdict
    count = sa.select(sa.func.count()).where(_trial.c.stage_id == _stage.c.id).scalar_subquery()
    plain = (
        "name", "attempt", "position", "state", "objective", "direction", "trials_planned", "optuna_study", "space",
        "fingerprint", "started_at", "finished_at",
    )  # fmt: skip
    query = (
        sa.select(
            *_labels(),
            *(_stage.c[n] for n in plain),
            count.label("trials"),
            v.c.decision,
            v.c.sentence.label("verdict"),
            v.c.hands_on,
        )
        .outerjoin(v, v.c.stage_id == _stage.c.id)
        .where(_of(db, study))
        .order_by(*_order())
    )
    return _staged(_columns(db, query))


def trials(db: Database, study: str) -> Columns:
    """stage, trial_id, number, state, origin, value, training_loss, validation_loss, training_metric,
    validation_metric, gap, parameters, structure, diagnosis, diagnosis_sentence, runs, seconds, started_at,
    finished_at; by stage and number.

    `value` is NaN or infinite where the trial's was.
    """
    runs_ = sa.select(sa.func.count()).where(_run.c.trial_id == _trial.c.id).scalar_subquery()
    plain = (
        "number", "state", "origin", "value", "value_tag", *_SCORES, "gap", "parameters", "structure", "diagnosis",
        "diagnosis_sentence", "seconds", "started_at", "finished_at",
    )  # fmt: skip
    columns = [*_labels(), _trial.c.id.label("trial_id"), runs_.label("runs"), *(_trial.c[n] for n in plain)]
    query = sa.select(*columns).join(_stage, _stage.c.id == _trial.c.stage_id).where(_of(db, study))
    found = _staged(_columns(db, query.order_by(*_order(), _trial.c.number)))
    tags = found.pop("value_tag")
    found["value"] = [untag(v, t) for v, t in zip(found["value"], tags, strict=True)]  # type: ignore[arg-type]
    return found


def runs(db: Database, study: str) -> Columns:
    """stage, trial, run, fold, seed, purpose, state, epochs, epochs_trained, best_epoch, training_loss,
    validation_loss, training_metric, validation_metric, parameters, seconds, engine, engine_reason, slots, device,
    worker_id, tries, error, finished_at, artifact (its URI); by stage, trial and run.
    """
    a = schema.artifact
    plain = (
        "fold", "seed", "purpose", "state", "epochs", "epochs_trained", "best_epoch", *_SCORES, "parameters", "seconds",
        "engine", "engine_reason", "slots", "device", "worker_id", "tries", "error", "finished_at",
    )  # fmt: skip
    query = (
        sa.select(*_of_run(), *(_run.c[n] for n in plain), a.c.uri.label("artifact"))
        .select_from(_joined())
        .outerjoin(a, a.c.id == _run.c.artifact_id)
        .where(_of(db, study))
        .order_by(*_order(), _trial.c.number, _run.c.id)
    )
    return _staged(_columns(db, query))


def curves(db: Database, study: str) -> Columns:
    """stage, trial, run, fold, seed, purpose, epoch (from 1), training_loss, validation_loss, training_metric,
    validation_metric, learning_rate, gradient_norm; by stage, trial, run and epoch.
    """
    plain = ("epoch", *_SCORES, "learning_rate", "gradient_norm")
    query = (
        sa.select(*_of_run(), _run.c.fold, _run.c.seed, _run.c.purpose, *(_epoch.c[n] for n in plain))
        .select_from(_joined().join(_epoch, _epoch.c.run_id == _run.c.id))
        .where(_of(db, study))
        .order_by(*_order(), _trial.c.number, _run.c.id, _epoch.c.epoch)
    )
    return _staged(_columns(db, query))


def layer_health(db: Database, study: str) -> Columns:
    """stage, trial, run, fold, seed, epoch (0: with the first weights), layer, weight_norm, update_ratio,
    gradient_norm, activation_mean, activation_deviation, dead_share, saturated_share, alike_share; by stage, trial, run
    and epoch.
    """
    h = schema.layer_health
    plain = (
        "epoch", "layer", "weight_norm", "update_ratio", "gradient_norm", "activation_mean", "activation_deviation",
        "dead_share", "saturated_share", "alike_share",
    )  # fmt: skip
    query = (
        sa.select(*_of_run(), _run.c.fold, _run.c.seed, *(h.c[n] for n in plain))
        .select_from(_joined().join(h, h.c.run_id == _run.c.id))
        .where(_of(db, study))
        .order_by(*_order(), _trial.c.number, _run.c.id, h.c.id)
    )
    return _staged(_columns(db, query))


def checks(db: Database, study: str) -> Columns:
    """stage, position, check, status, expected, seen, sentence; by stage and position."""
    c = schema.check
    columns = [*_labels(), c.c.position, c.c.name.label("check"), c.c.status, c.c.expected, c.c.seen, c.c.sentence]
    query = sa.select(*columns).join(_stage, _stage.c.id == c.c.stage_id).where(_of(db, study))
    return _staged(_columns(db, query.order_by(*_order(), c.c.position)))


def figures(db: Database, study: str) -> Columns:
    """stage, name, value; the numbers that verdicts rest on."""
    f = schema.figure
    query = sa.select(*_labels(), f.c.name, f.c.value).join(_stage, _stage.c.id == f.c.stage_id).where(_of(db, study))
    return _staged(_columns(db, query.order_by(*_order(), f.c.name)))


def scores(db: Database, study: str) -> Columns:
    """look, opened_at, model, metric, value, low, high, rows; from the opening of the test set."""
    o, s = schema.opening, schema.score
    columns = [o.c.look, o.c.opened_at, s.c.model, s.c.metric, s.c.value, s.c.low, s.c.high, s.c.rows]
    query = sa.select(*columns).join(o, o.c.id == s.c.opening_id).where(o.c.study_id == Studies(db).get(study).id)
    return _columns(db, query.order_by(s.c.model, s.c.metric))


def params(db: Database, study: str) -> Columns:
    """stage, trial, name, value (bool, int, float or str), varied; by stage, trial and name."""
    p, plain = schema.param, ("name", "kind", "value_number", "value_text", "varied")
    query = (
        sa.select(*_labels(), _trial.c.number.label("trial"), *(p.c[n] for n in plain))
        .select_from(p.join(_trial, _trial.c.id == p.c.trial_id).join(_stage, _stage.c.id == _trial.c.stage_id))
        .where(_of(db, study))
        .order_by(*_order(), _trial.c.number, p.c.name)
    )
    found = _staged(_columns(db, query))
    parts = (found.pop(name) for name in ("kind", "value_number", "value_text"))
    found["value"] = [scalar(*row) for row in zip(*parts, strict=True)]
    return found


def _labels() -> list[sa.ColumnElement[object]]:
    """What `_staged` makes a stage's label of; two columns, since databases join texts in different ways."""
    return [_stage.c.name.label("_name"), _stage.c.attempt.label("_attempt")]


def _of_run() -> list[sa.ColumnElement[object]]:
    return [*_labels(), _trial.c.number.label("trial"), _run.c.id.label("run")]


def _joined() -> sa.Join:
    return _run.join(_trial, _trial.c.id == _run.c.trial_id).join(_stage, _stage.c.id == _trial.c.stage_id)


def _of(db: Database, study: str) -> sa.ColumnElement[bool]:
    return _stage.c.study_id == Studies(db).get(study).id


def _order() -> tuple[sa.ColumnElement[object], ...]:
    return (_stage.c.position, _stage.c.attempt, _stage.c.id)


def _columns(db: Database, query: sa.Executable) -> Columns:
    def read(connection: Connection) -> tuple[list[str], Sequence[sa.Row[Any]]]:
        result = connection.execute(query)
        return list(result.keys()), result.all()

    names, rows = db.look(read)
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _staged(columns: Columns) -> Columns:
    names, attempts = columns.pop("_name"), columns.pop("_attempt")
    labels: list[object] = [n if a == 1 else f"{n}.{a}" for n, a in zip(names, attempts, strict=True)]
    return {"stage": labels, **columns}
