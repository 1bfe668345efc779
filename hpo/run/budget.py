"""A budget in seconds, kept over interruptions; and what of a budget is left for going back."""

from collections.abc import Sequence

from hpo.recipe.flow import Done, Next, seconds_share
from hpo.recipe.stages import SEARCHING
from hpo.run.context import Context


def seconds_left(ctx: Context) -> float | None:
    """Of the budget: wall-clock seconds in which nobody has led the study yet. None: no such budget."""
    if ctx.spec.budget.seconds is None:
        return None
    return max(0.0, ctx.spec.budget.seconds - ctx.led_seconds(None))


def seconds_for(ctx: Context, step: Next, done: Sequence[Done]) -> float | None:
    """Seconds that a stage may still search: its share, less what it used before an interruption or a widening."""
    left = seconds_left(ctx)
    if left is None:
        return None
    first = step.attempt
    for d in reversed(done):
        if d.stage != step.stage or d.verdict.decision != "widen":
            break
        first = d.attempt
    began = [r.started_at for r in ctx.studies.stages(ctx.study.id) if r.name == step.stage and r.attempt == first]
    used = ctx.led_seconds(began[0]) if began else 0.0
    return max(0.0, min(left, seconds_share(step.stage, left + used) - used))


AGAIN = 0.5
"""To search all stages again there must be this part of the time left that overfit and what followed it have taken."""


def used_up(ctx: Context, done: Sequence[Done], new: int) -> bool:
    """Whether too little is left to search all stages again. new: trials of the stage that is being judged."""
    trials, seconds = ctx.spec.budget.trials, seconds_left(ctx)
    if trials is not None and trials - sum(d.trials for d in done) - new < len(SEARCHING):
        return True
    if seconds is None:
        return False
    began = [r.started_at for r in ctx.studies.stages(ctx.study.id) if r.name == SEARCHING[0]]
    return seconds < AGAIN * ctx.led_seconds(began[-1])
