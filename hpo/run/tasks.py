"""What each searching stage is given to do: its space, its first configurations, what it carries on.

Pure functions of the study, the verdicts so far and the recorded trials, so that a resumed study gets the same tasks.
"""

import json
from collections.abc import Sequence

from hpo.recipe.edges import narrowed_around
from hpo.recipe.flow import Done, Next, allotment, latest
from hpo.recipe.insight import settled
from hpo.recipe.judging import ranked
from hpo.recipe.stages import anything_varies, stage_space, unregularized, with_more_capacity
from hpo.records.rows import Origin, TrialRow
from hpo.run.budget import seconds_for
from hpo.run.closing import tried
from hpo.run.context import Context
from hpo.run.searching import WIDENINGS, Task
from hpo.run.warm import warm_starts
from hpo.space import SearchSpace
from hpo.space.plain import range_from_plain, space_from_plain
from hpo.space.ranges import Choice, Fixed, clamped
from hpo.values import Configuration, Scalar


def task_for(ctx: Context, step: Next, done: Sequence[Done]) -> Task:
    """The task of a searching stage's attempt."""
    planned = allotment(done, step.stage, ctx.spec.budget.trials)
    seconds = seconds_for(ctx, step, done)
    may_widen = _widened_in_a_row(done, step.stage) < WIDENINGS
    if done and done[-1].verdict.decision == "widen":
        space, carried = _previous(ctx, step)
        for name, plain in done[-1].verdict.hands_on["ranges"].items():
            space = space.with_range(name, range_from_plain(plain))
        return Task(space, (), tuple(carried), planned, seconds, may_widen)
    if step.stage == "overfit":
        whole = grown_space(ctx.spec.space, done)
        base = unregularized(whole, whole.default())
        space = stage_space("overfit", whole, base)
        return _task(ctx, space, [("default", space.default())], planned, seconds, may_widen)
    before = latest(done, "overfit" if step.stage == "regularize" else "regularize")
    if before is None:
        raise ValueError(f"{step.stage} has nothing to build on")
    handed: Configuration = before.verdict.hands_on["configuration"]
    if step.stage == "tune":
        whole = settled(_narrowed(ctx, handed, done), before.verdict.hands_on)
    else:
        whole = grown_space(ctx.spec.space, done)
    space = stage_space(step.stage, whole, handed)
    reference = inside(space, handed)
    starts: list[tuple[Origin, Configuration]] = [("handed_on", reference)]
    default = space.default()
    if anything_varies(space) and default != reference:
        starts.append(("default", default))
    return _task(ctx, space, starts, planned, seconds, may_widen)


def _task(
    ctx: Context, space: SearchSpace, starts: Sequence[tuple[Origin, Configuration]], planned: int | None,
    seconds: float | None, may_widen: bool,
) -> Task:  # fmt: skip
    """A stage's first attempt; one that has nothing to vary trains its one configuration."""
    if not anything_varies(space):
        return Task(space, tuple(starts), (), 1, seconds, may_widen)
    more = warm_starts(
        space, [c for _, c in starts], planned, seconds, elsewhere=ctx.elsewhere, bundled=ctx.spec.search.portfolio
    )
    return Task(space, (*starts, *more), (), planned, seconds, may_widen)


def grown_space(space: SearchSpace, done: Sequence[Done]) -> SearchSpace:
    """The study's space with all that verdicts changed: widened ranges of overfit, capacity asked for by regularize."""
    for d in done:
        if d.verdict.decision == "more capacity":
            space, _ = with_more_capacity(space)
        elif d.stage == "overfit" and d.verdict.decision == "widen":
            for name, plain in d.verdict.hands_on["ranges"].items():
                space = space.with_range(name, range_from_plain(plain))
    return space


def inside(space: SearchSpace, configuration: Configuration) -> dict[str, Scalar]:
    """The configuration moved to the nearest point of the space: no regularization becomes the least there is.

    Early stopping that cannot be off becomes as patient as it can be.
    """
    moved = {}
    for h in space.hyperparameters:
        value = configuration.get(h.name, h.default)
        off = h.name == "early_stopping" and value == 0 and not isinstance(h.range, (Choice, Fixed))
        moved[h.name] = clamped(h.range, h.range.high if off and h.range.low > 0 else value)  # type: ignore[union-attr]
    return moved


def _narrowed(ctx: Context, handed: Configuration, done: Sequence[Done]) -> SearchSpace:
    """The study's space, cut to where the best trials of overfit's and regularize's last attempts lie.

    What an attempt searched counts, also where it was not cut: a range that was widened there stays wide.
    """
    space = grown_space(ctx.spec.space, done)
    last = {row.name: row for row in ctx.studies.stages(ctx.study.id)}
    for row in (last["overfit"], last["regularize"]):
        if row.space is None:
            continue
        searched = space_from_plain(json.loads(row.space))
        sign = 1.0 if row.direction == "maximize" else -1.0
        trials = ranked([tried(t) for t in ctx.queue.trials(row.id, with_runs=False)], sign)
        cut = narrowed_around(searched, trials, handed)
        for h in cut.varying:
            space = space.with_range(h.name, h.range)
    return space


def _previous(ctx: Context, step: Next) -> tuple[SearchSpace, list[TrialRow]]:
    """Space and trials of the attempt before."""
    row = next(r for r in ctx.studies.stages(ctx.study.id) if r.name == step.stage and r.attempt == step.attempt - 1)
    return space_from_plain(json.loads(row.space or "{}")), ctx.queue.trials(row.id, with_runs=False)


def _widened_in_a_row(done: Sequence[Done], stage: str) -> int:
    count = 0
    for d in reversed(done):
        if d.stage != stage or d.verdict.decision != "widen":
            break
        count += 1
    return count
