"""The way through the recipe is a pure function of the verdicts."""

import pytest

from hpo.recipe.flow import Done, Next, allotment, latest, next_stage, sent_back
from hpo.values import Verdict


def done(stage: str, decision: str = "go on", attempt: int = 1, trials: int = 0) -> Done:
    return Done(stage, attempt, Verdict(decision, ""), trials)


def test_the_six_stages_follow_each_other() -> None:
    way: list[Done] = []
    while (step := next_stage(way)) is not None:
        way.append(done(step.stage, attempt=step.attempt))
    assert [d.stage for d in way] == ["data", "baseline", "overfit", "regularize", "tune", "squeeze"]


def test_a_fault_ends_the_study() -> None:
    assert next_stage([done("data", "stop")]) is None


def test_a_widened_stage_goes_on_as_its_second_attempt() -> None:
    assert next_stage([done("data"), done("baseline"), done("overfit", "widen")]) == Next("overfit", 2)


def test_lacking_capacity_goes_back_and_attempts_are_counted_over_the_study() -> None:
    way = [done("overfit", "widen"), done("overfit", attempt=2), done("regularize", "more capacity")]
    assert next_stage(way) == Next("overfit", 3)
    assert next_stage([*way, done("overfit", attempt=3)]) == Next("regularize", 2)
    assert sent_back(way) == 1


def test_a_widened_attempt_hands_nothing_on() -> None:
    last = done("overfit", attempt=2)
    assert latest([done("overfit", "widen"), last], "overfit") is last
    assert latest([done("overfit", "widen")], "overfit") is None


@pytest.mark.parametrize("total", [3, 10, 36, 60, 256, 1001])
def test_the_budget_in_trials_is_spent_exactly(total: int) -> None:
    way: list[Done] = []
    for stage in ("overfit", "regularize", "tune"):
        count = allotment(way, stage, total)
        assert count is not None
        way.append(done(stage, trials=count))
    assert sum(d.trials for d in way) == total


def test_a_widened_attempt_gets_what_the_first_left_over() -> None:
    planned = allotment([], "overfit", 60)
    first = done("overfit", "widen", trials=16)
    rest = allotment([first], "overfit", 60)
    assert planned == 24
    assert rest == 8
    assert allotment([first, done("overfit", attempt=2, trials=8)], "regularize", 60) == 18


def test_no_bound_in_trials_stays_none() -> None:
    assert allotment([], "tune", None) is None
