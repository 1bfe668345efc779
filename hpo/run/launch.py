"""From a study file's values to a finished study: the leader's side."""

import time
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from hpo.data.dataset import Dataset
from hpo.data.load import load
from hpo.errors import Fault, InputError, Problem
from hpo.hiding import hidden
from hpo.metrics import METRICS
from hpo.recipe.flow import Done, Next, next_stage
from hpo.recipe.stages import SEARCHING
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.rows import StageRow, StudyRow
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run.context import Context
from hpo.run.events import Joined, Listener, Note, StageFinished, StudyFinished
from hpo.run.leading import forget, led
from hpo.run.ray_pool import Placement
from hpo.run.warm import chosen_elsewhere
from hpo.run.workforce import training
from hpo.studyfile.code import code_folder
from hpo.studyfile.guidance import check_loss
from hpo.studyfile.spec import StudySpec, identity, to_plain
from hpo.values import Verdict, fingerprint


def launch(
    spec: StudySpec, *, storage: str, data_dir: str | None = None, artifacts: str | None = None, workers: int = 1,
    export: str | None = None, fresh: bool = False, warm_start: bool = False, place: Placement | None = None,
    listener: Listener = lambda event: None,
) -> StudyRow:  # fmt: skip
    """Run a study to its end, or go on with it where it stopped.

    `workers`: local processes that train; 1 is this very process, 0 leaves the training to workers elsewhere.
    `place`: workers on a Ray cluster instead (`hpo.run.ray_pool.cluster`).
    `warm_start`: stages begin with what other studies in the database ended with, too.

    Raises InputError for what the user can mend, Stopped on Ctrl-C (everything finished is kept), Fault otherwise.
    """
    if workers < 0:
        raise InputError(Problem("command line", "--workers", "at least 0", str(workers), "Leave it out for one."))
    dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=data_dir)
    check_loss(spec.space, dataset.facts.task, f"study {spec.name!r}")
    for warning in spec.warnings:
        listener(Note(warning))
    if artifacts is not None:
        ArtifactStore(artifacts).prepare()  # before a database is made that nothing will go into
    with connect(storage) as database:
        database.tell = lambda text: listener(Note(text))
        store_url = artifacts or default_store(database)
        store = ArtifactStore(store_url)
        store.prepare()
        if fresh:
            forget(database, spec.name, store)
        study = Studies(database).open(spec.name, to_plain(spec), fingerprint(identity(spec)), spec.seed)
        with led(database, study, lambda text: listener(Note(text))) as lead, code_folder(spec):
            listener(Joined(lead.worker_id, "leader"))
            ctx = _context(spec, dataset, database, store, study, lead.worker_id, listener, export,
                           0 if place is not None else workers)  # fmt: skip
            if warm_start:
                ctx.elsewhere = chosen_elsewhere(ctx.studies, spec.name, str(dataset.facts.task), spec.space.model)
            with training(ctx, lead, data_dir, store_url, place):
                return _follow(ctx)


def _context(
    spec: StudySpec, dataset: Dataset, database: Database, store: ArtifactStore, study: StudyRow, leader: str,
    listener: Listener, export: str | None, workers: int,
) -> Context:  # fmt: skip
    studies, queue = Studies(database, leader=leader), Queue(database, leader=leader)
    metric = METRICS[dataset.metric]
    studies.describe_data(
        study.id, str(dataset.facts.task), metric.name, metric.direction, hidden(spec.data.source), dataset.fingerprint
    )
    return Context(
        spec=spec, dataset=dataset, database=database, studies=studies, queue=queue, store=store, study=study,
        worker_id=leader, listener=listener, storage=database.url, work=lambda: None,
        bundle=export or f"{spec.name}-bundle", workers=workers,
        led_seconds=partial(Workers(database).led_seconds, study.id, leader),
    )  # fmt: skip


def _follow(ctx: Context) -> StudyRow:
    """Stage after stage until the recipe has nothing more to ask."""
    done: list[Done] = []
    while (step := next_stage(done)) is not None:
        began = time.monotonic()
        row, verdict, trials = _stage(ctx, step, done)
        done.append(Done(step.stage, step.attempt, verdict, trials))
        ctx.listener(
            StageFinished(step.stage, step.attempt, verdict, time.monotonic() - began, reused=row.verdict is not None)
        )
    if done[-1].verdict.decision == "stop":
        _refuse(ctx, done[-1])
    ctx.studies.set_state(ctx.study.id, "finished")
    ctx.listener(StudyFinished(ctx.spec.name, ctx.bundle, time.monotonic() - ctx.started))
    return ctx.studies.get(ctx.spec.name)


def _refuse(ctx: Context, last: Done) -> NoReturn:
    """End a study that a verdict stopped: data is the user's to mend, as `hpo check` says too."""
    if last.stage == "data":
        remedy = "Mend the data, or what [data] says of it; hpo check shows every check."
        raise InputError(
            Problem(ctx.spec.data.source, "", "data to learn from", last.verdict.sentence.rstrip("."), remedy)
        )
    raise Fault(f"stage {last.stage}: {last.verdict.sentence}")


def _stage(ctx: Context, step: Next, done: Sequence[Done]) -> tuple[StageRow, Verdict, int]:
    # Loading these loads what trains: only once the user's input has been found good, and the data.
    if step.stage in SEARCHING:
        from hpo.run.judge import search_stage

        return search_stage(ctx, step, done)
    if step.stage == "squeeze":
        from hpo.run.squeeze import squeeze_stage

        return *squeeze_stage(ctx, step, done), 0
    from hpo.run.baseline import baseline_stage, data_stage

    return *(data_stage if step.stage == "data" else baseline_stage)(ctx, step, done), 0
