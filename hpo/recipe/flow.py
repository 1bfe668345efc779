"""What comes next: a pure function of the verdicts given so far, so that a resumed study takes the same way."""

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.recipe.stages import SHARES, STAGES, share_of
from hpo.values import Verdict

SQUEEZE_RESERVE = 0.2
"""Share of a budget in seconds that the search leaves to squeeze."""


@dataclass(frozen=True)
class Done:
    """A stage with its verdict."""

    stage: str
    attempt: int
    verdict: Verdict
    trials: int = 0


@dataclass(frozen=True)
class Next:
    """A stage to do."""

    stage: str
    attempt: int


def next_stage(done: Sequence[Done]) -> Next | None:
    """The stage that follows; None at the end or after `stop`."""
    names = [stage.name for stage in STAGES]
    if not done:
        return Next(names[0], 1)
    last = done[-1]
    if last.verdict.decision == "stop" or last.stage == names[-1]:
        return None
    if last.verdict.decision == "widen":
        name = last.stage
    elif last.verdict.decision == "more capacity":
        name = "overfit"
    else:
        name = names[names.index(last.stage) + 1]
    return Next(name, 1 + sum(d.stage == name for d in done))


def latest(done: Sequence[Done], stage: str) -> Done | None:
    """The last attempt of a stage that handed on a configuration (or, for other stages, its facts)."""
    return next((d for d in reversed(done) if d.stage == stage and d.verdict.decision != "widen"), None)


def sent_back(done: Sequence[Done]) -> int:
    """How often regularize sent the study back for capacity."""
    return sum(d.verdict.decision == "more capacity" for d in done)


def allotment(done: Sequence[Done], stage: str, trials: int | None) -> int | None:
    """Trials that a stage may use: its share of what is left; what a widened attempt left over for its next one.

    None: no bound in trials. The same on every resume, since it depends on finished stages alone.
    """
    if trials is None:
        return None
    last = done[-1] if done else None
    if last is not None and last.verdict.decision == "widen":
        before = tuple(done[:-1])
        planned = allotment(before, stage, trials)
        return None if planned is None else max(1, planned - last.trials)
    return share_of(stage, max(0, trials - sum(d.trials for d in done)))


def seconds_share(stage: str, left: float) -> float:
    """Seconds that a searching stage may use of those that are left, squeeze's reserve taken off."""
    return left * (1 - SQUEEZE_RESERVE) * SHARES[stage]
