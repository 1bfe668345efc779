"""Runs with their results and curves, as `Queue` reads and writes them."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from math import nan
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import LeaseLost
from hpo.records import schema, trial_reading
from hpo.records.bulk import IDS_AT_ONCE, batches, by_first, insert_rows, update_rows
from hpo.records.plain import finite, finite_list
from hpo.records.rows import FinishedRun, LeasedRun, Reached
from hpo.values import Curve, LayerHealth, RunRequest, RunResult

_EPOCH_COLUMNS = (
    "training_loss", "validation_loss", "training_metric", "validation_metric", "learning_rate", "gradient_norm",
)  # fmt: skip
_HEALTH_COLUMNS = tuple(f.name for f in fields(LayerHealth) if f.name not in ("epoch", "layer"))
_RESULT_COLUMNS = (
    "epochs_trained", "best_epoch", "training_loss", "validation_loss", "training_metric", "validation_metric",
    "parameters", "seconds", "engine", "engine_reason", "slots", "device",
)  # fmt: skip
_LONGEST_REASON = 10_000

NO_CURVE = Curve(*(np.empty(0) for _ in _EPOCH_COLUMNS))


ALONE_AFTER = 3
"""A run that was begun so often, and lost its worker each time, is leased by itself: it may be what kills them."""

Kind = tuple[int, str, int, int]
"""(stage, structure, slots, run that is leased by itself, or 0): what runs of one lease have in common."""


def oldest(connection: Connection, study_id: int, limit: int, wanted: Kind | None = None) -> list[int]:
    """The oldest queued run of the study's running stages, and others of its kind: up to `limit` a slot.

    With `wanted`, runs of that kind alone, up to `limit` of them.

    Three plain look-ups by an index, where one join would do: PostgreSQL plans the join by statistics that are minutes
    old, in a table that grows by thousands of rows a minute, and then goes through all runs of the study.
    """
    run, trial, stage = schema.run, schema.trial, schema.stage
    of_study = sa.select(stage.c.id).where(stage.c.study_id == study_id, stage.c.state == "running")
    stages = frozenset(connection.execute(of_study).scalars())
    slots = sa.func.coalesce(run.c.slots, 1)  # a run that was queued before slots were recorded
    columns = (run.c.id, run.c.trial_id, slots.label("slots"), run.c.tries)
    queued = sa.select(*columns).where(run.c.state == "queued").order_by(run.c.id)
    kinds = sa.select(trial.c.id, trial.c.stage_id, trial.c.structure)
    found, after = list[int](), 0
    while stages:
        page = connection.execute(queued.where(run.c.id > after).limit(IDS_AT_ONCE)).all()
        of_trial = {
            row.id: (row.stage_id, row.structure)
            for ids in batches(row.trial_id for row in page)
            for row in connection.execute(kinds.where(trial.c.id.in_(ids), trial.c.stage_id.in_(stages))).all()
        }
        for row in page:
            if row.trial_id in of_trial:
                kind = (*of_trial[row.trial_id], row.slots, row.id if row.tries >= ALONE_AFTER else 0)
                if wanted is None:
                    wanted, limit = kind, limit * row.slots
                if kind == wanted:
                    found.append(row.id)
        if len(page) < IDS_AT_ONCE or (found and len(found) >= limit):
            break
        after = page[-1].id
    return found[:limit]


def kind_of(run: LeasedRun) -> Kind:
    """The kind of a run in training, which this lease made one try more."""
    return run.stage_id, run.structure, run.slots, run.id if run.tries > ALONE_AFTER else 0


def leased(connection: Connection, ids: Sequence[int]) -> list[LeasedRun]:
    """The runs as a worker gets them, in the order of their ids."""
    run, trial = schema.run, schema.trial
    rows = [
        row
        for group in batches(ids)
        for row in connection.execute(
            sa.select(run, trial.c.stage_id, trial.c.number, trial.c.structure)
            .join(trial, trial.c.id == run.c.trial_id)
            .where(run.c.id.in_(group))
            .order_by(run.c.id)
        ).all()
    ]
    configurations, _ = trial_reading.configurations(connection, {row.trial_id for row in rows})
    return [
        LeasedRun(
            id=r.id,
            trial_id=r.trial_id,
            stage_id=r.stage_id,
            trial_number=r.number,
            request=RunRequest(configurations[r.trial_id], seed=r.seed, fold=r.fold, epochs=r.epochs),
            purpose=r.purpose,
            tries=r.tries,
            slots=r.slots or 1,
            structure=r.structure,
            judged=r.judged,
        )
        for r in rows
    ]


def still_mine(connection: Connection, worker_id: str, run_ids: Iterable[int]) -> dict[int, int]:
    """The trials of runs in training, by run, under a lock; those this worker committed before are left out.

    Raises LeaseLost where one of them is not this worker's.
    """
    run = schema.run
    states: dict[int, tuple[str, str | None, int]] = {}
    for ids in batches(run_ids):
        # The lock alone first, in the order of ids: a join would lock trial and stage as well.
        lock = sa.select(run.c.id, run.c.state, run.c.worker_id, run.c.trial_id).where(run.c.id.in_(ids))
        held = connection.execute(lock.order_by(run.c.id).with_for_update()).all()
        states |= {r.id: (r.state, r.worker_id, r.trial_id) for r in held}
    if lost := [i for i in run_ids if i not in states or states[i][1] != worker_id]:
        runs = ", ".join(map(str, lost))
        raise LeaseLost(f"the runs {runs} are no longer those of worker {worker_id}; nothing was written")
    return {i: trial_id for i, (state, _, trial_id) in states.items() if state == "running"}


def write(connection: Connection, finished: Sequence[tuple[int, FinishedRun]], moment: datetime) -> None:
    """Results, artifacts and curves of (trial, run)."""
    artifacts = _write_artifacts(connection, finished, moment)
    ended = ("id", "finished_at", "lease_until", "artifact_id", "state", "error")
    done: list[tuple[Any, ...]] = []
    failed: list[tuple[Any, ...]] = []
    for _, f in finished:
        both = (f.id, moment, None, f.artifact and artifacts[f.artifact.uri])
        if f.result is None:
            failed.append((*both, "failed", _reason(f)))
        else:
            done.append((*both, f.result.outcome.value, f.error, *_result(f.result)))
    update_rows(connection, schema.run, ended, failed, only={"state": "running"})
    update_rows(connection, schema.run, (*ended, *_RESULT_COLUMNS), done, only={"state": "running"})
    rows: list[tuple[Any, ...]] = []
    for _, f in finished:
        if f.result is not None:
            columns = [finite_list(getattr(f.result.curve, name)) for name in _EPOCH_COLUMNS]
            rows += [(f.id, epoch, *numbers) for epoch, numbers in enumerate(zip(*columns, strict=True), start=1)]
    insert_rows(connection, schema.epoch, ("run_id", "epoch", *_EPOCH_COLUMNS), rows)
    health = [
        (f.id, h.epoch, h.layer, *(finite(getattr(h, name)) for name in _HEALTH_COLUMNS))
        for _, f in finished if f.result is not None for h in f.result.health
    ]  # fmt: skip
    insert_rows(connection, schema.layer_health, ("run_id", "epoch", "layer", *_HEALTH_COLUMNS), health)


def write_rungs(connection: Connection, reached: Sequence[Reached]) -> None:
    """What runs had come to; a run that is trained again after an interruption says the same once more."""
    rows = [(r.run.trial_id, int(r.run.request.fold), int(r.epoch), finite(r.value)) for r in reached]
    key = ("trial_id", "fold", "epoch")
    insert_rows(connection, schema.rung, (*key, "value"), rows, replace=key)


def curves(connection: Connection, run_ids: Iterable[int]) -> dict[int, Curve]:
    """Learning curves by run; a run without one is left out. What was not finite is NaN."""
    epoch = schema.epoch
    query = sa.select(epoch.c.run_id, *(epoch.c[name] for name in _EPOCH_COLUMNS)).order_by(
        epoch.c.run_id, epoch.c.epoch
    )
    found: dict[int, Curve] = {}
    for ids in batches(run_ids):
        rows = connection.execute(query.where(epoch.c.run_id.in_(ids))).all()
        if rows:
            owners, *columns = zip(*rows, strict=True)
            runs, starts = np.unique(owners, return_index=True)
            parts = [np.split(np.array(column, dtype=np.float64), starts[1:]) for column in columns]
            found |= {run: Curve(*curve) for run, curve in zip(runs.tolist(), zip(*parts, strict=True), strict=True)}
    return found


def health(connection: Connection, run_ids: Iterable[int]) -> dict[int, tuple[LayerHealth, ...]]:
    """The health of layers by run, from the first epoch looked at; a run without it is left out."""
    table = schema.layer_health
    columns = (table.c.run_id, table.c.epoch, table.c.layer, *(table.c[name] for name in _HEALTH_COLUMNS))
    found: dict[int, list[LayerHealth]] = {}
    for ids in batches(run_ids):
        query = sa.select(*columns).where(table.c.run_id.in_(ids)).order_by(table.c.id)
        for run, epoch, layer, *numbers in connection.execute(query).all():
            scores = [nan if number is None else number for number in numbers]
            found.setdefault(run, []).append(LayerHealth(epoch, layer, *scores))
    return {run: tuple(rows) for run, rows in found.items()}


def _reason(failed: FinishedRun) -> str:
    """PostgreSQL's texts hold no zero bytes; a traceback of many megabytes helps nobody."""
    return (failed.error or "no reason was given").replace("\0", "")[:_LONGEST_REASON]


def _result(result: RunResult) -> tuple[Any, ...]:
    """The values of `_RESULT_COLUMNS`."""
    return (
        len(result.curve),
        int(result.best_epoch),
        finite(result.training_loss),
        finite(result.validation_loss),
        finite(result.training_metric),
        finite(result.validation_metric),
        int(result.parameters),
        finite(result.seconds),
        result.engine,
        result.engine_reason or None,
        int(result.slots),
        result.device[:128],
    )


def _write_artifacts(
    connection: Connection, finished: Sequence[tuple[int, FinishedRun]], moment: datetime
) -> dict[str, int]:
    """Artifacts of runs, one row a file; their ids by URI."""
    table = schema.artifact
    refs = {f.artifact.uri: (trial_id, f.artifact) for trial_id, f in finished if f.artifact is not None}
    if not refs:
        return {}
    trial, stage = schema.trial, schema.stage
    of_trials = sa.select(trial.c.id, stage.c.study_id).join(stage, stage.c.id == trial.c.stage_id)
    studies = by_first(connection, of_trials.where(trial.c.id.in_({trial_id for trial_id, _ in refs.values()})))
    # MySQL has no RETURNING. Ids ascend, so that ours lie above all that are there now; others' may lie there as well.
    before = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one() or 0
    rows = [(studies[i], "run", uri, ref.sha256, ref.size, moment) for uri, (i, ref) in refs.items()]
    insert_rows(connection, table, ("study_id", "kind", "uri", "sha256", "size", "created_at"), rows)
    query = sa.select(table.c.uri, table.c.id).where(table.c.id > before)
    return {uri: i for uri, i in by_first(connection, query).items() if uri in refs}
