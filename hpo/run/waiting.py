"""Waiting for runs: the same loop whether this process trains them or others do."""

import json
from collections.abc import Callable, Iterable, Sequence

from hpo.errors import Fault
from hpo.records.rows import Purpose, RunRow, StageRow, TrialRow
from hpo.run.cohorts import new_runs
from hpo.run.context import Context
from hpo.run.events import RunsFinished
from hpo.seeds import derive
from hpo.space.plain import space_from_plain
from hpo.values import Configuration, RunRequest


def requests(
    ctx: Context, configuration: Configuration, seeds: Sequence[int], *, epochs: int | None = None
) -> list[RunRequest]:
    """One run for each seed and fold, seeds first. The fold enters the seed, so that folds differ by more than rows."""
    return [
        RunRequest(configuration, derive(seed, "fold", fold), fold, epochs or ctx.spec.budget.epochs)
        for seed in seeds
        for fold in range(ctx.dataset.folds)
    ]


def seeds_for(ctx: Context, stage: StageRow, purpose: Purpose, count: int) -> list[int]:
    """Seeds of a stage's extra runs: fresh, since the purpose is part of what they are derived from."""
    return [derive(ctx.spec.seed, stage.name, stage.attempt, purpose, k) for k in range(count)]


def queue_extra(
    ctx: Context, stage: StageRow, asked: Sequence[tuple[int, Sequence[RunRequest]]], purpose: Purpose
) -> None:
    """Queue the requested runs of existing trials, but for those that are recorded already (an interrupted stage)."""
    space = space_from_plain(json.loads(stage.space or "{}"))
    # Of all that was asked for, also what is recorded already, so that an interruption changes no number of slots.
    new = iter(new_runs(ctx, space, [r for _, runs in asked for r in runs], purpose))
    there = {(r.trial_number, r.seed, r.fold) for r in extra_runs(ctx, stage, purpose, [n for n, _ in asked])}
    for number, runs in asked:
        mine = [next(new) for _ in runs]
        missing = [run for run in mine if (number, run.request.seed, run.request.fold) not in there]
        if missing:
            ctx.queue.add_runs(stage.id, number, missing)


def train_extra(
    ctx: Context, stage: StageRow, asked: Sequence[tuple[int, Sequence[RunRequest]]], purpose: Purpose
) -> dict[int, list[RunRow]]:
    """Train the requested runs of existing trials, and read them back by trial number, in the order of the requests."""
    queue_extra(ctx, stage, asked, purpose)
    wanted = {number: [(r.seed, r.fold) for r in runs] for number, runs in asked}
    planned = sum(map(len, wanted.values()))
    wait(ctx, lambda: extra_runs(ctx, stage, purpose, wanted), lambda done: ctx.listener(
        RunsFinished(stage.name, stage.attempt, purpose, done, planned)))  # fmt: skip
    found = {(r.trial_number, r.seed, r.fold): r for r in extra_runs(ctx, stage, purpose, wanted)}
    return {number: [found[number, seed, fold] for seed, fold in keys] for number, keys in wanted.items()}


def wait(ctx: Context, runs: Callable[[], list[RunRow]], tell: Callable[[int], None]) -> None:
    """Work, or let others work, until all runs have ended; `tell` hears how many have whenever that changes."""
    told = -1
    while True:
        rows = runs()
        done = sum(r.finished for r in rows)
        if done != told:
            told = done
            tell(done)
        if done == len(rows):
            return
        ctx.work()


def extra_runs(ctx: Context, stage: StageRow, purpose: Purpose, numbers: Iterable[int]) -> list[RunRow]:
    """What is recorded of the runs of a purpose."""
    return [r for t in ctx.queue.trials(stage.id, numbers=numbers) for r in t.runs if r.purpose == purpose]


def by_number(trials: Sequence[TrialRow]) -> dict[int, TrialRow]:
    """Trials by their number."""
    return {t.number: t for t in trials}


def failure(run: RunRow) -> Fault:
    """The fault that a failed run stands for."""
    return Fault(
        f"a run of trial {run.trial_number} failed, which this stage cannot do without (try {run.tries}): "
        f"{run.error or 'no reason recorded'}. Mend it, and begin anew with --fresh."
    )
