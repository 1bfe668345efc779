"""What a stage is given to do follows from the verdicts and the records alone."""

import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from run_support import SPACE

from hpo.recipe.flow import Done, Next
from hpo.recipe.stages import anything_varies
from hpo.run.budget import seconds_for, used_up
from hpo.run.proving import Repeated
from hpo.run.tasks import grown_space, inside, task_for
from hpo.space import Fixed, FloatRange, IntRange
from hpo.space.plain import range_to_plain, space_to_plain
from hpo.studyfile.spacefile import load_space
from hpo.studyfile.spec import SearchSpec
from hpo.values import Verdict

CONFIGURATION = {**SPACE.default(), "learning_rate": 0.05, "dropout": 0.9}


def done(stage: str, decision: str = "go on", *, attempt: int = 1, trials: int = 0, **hands_on: Any) -> Done:
    return Done(stage, attempt, Verdict(decision, "", {}, hands_on), trials)


def past(number: int, *, cost: float = 0.0, **values: float) -> Any:
    """A recorded trial of one run."""
    return SimpleNamespace(
        number=number, configuration={**SPACE.default(), **values}, state="complete", value=cost, training_loss=0.0,
        validation_loss=0.0, training_metric=0.0, validation_metric=0.0, parameters=1, diagnosis=None, origin="sampler",
        runs=(),
    )  # fmt: skip


def context(
    *stages: Any, trials: int | None = 60, seconds: float | None = None, space: Any = SPACE, led: float = 0.0,
    searched: float = 0.0,
) -> Any:  # fmt: skip
    """What tasks look at: (name, attempt, space, trials) of each recorded stage; seconds led in all, and since it."""
    rows = [
        SimpleNamespace(
            id=i, name=name, attempt=attempt, space=json.dumps(space_to_plain(searched)),
            direction="minimize" if name == "overfit" else "maximize", started_at=datetime(2026, 1, 1),
        )
        for i, (name, attempt, searched, _) in enumerate(stages)
    ]  # fmt: skip
    return SimpleNamespace(
        spec=SimpleNamespace(
            space=space, budget=SimpleNamespace(trials=trials, seconds=seconds), search=SearchSpec(portfolio=False)
        ), elsewhere=(),
        study=SimpleNamespace(id=1), workers=1, trainers=1,
        led_seconds=lambda since: led if since is None else searched,
        studies=SimpleNamespace(stages=lambda _: rows),
        queue=SimpleNamespace(trials=lambda stage_id, with_runs=True: stages[stage_id][3]),
    )  # fmt: skip


def test_a_stage_that_varies_nothing_trains_one_configuration() -> None:
    fixed = load_space(
        {"model": "mlp", "architecture": {"units": 8}, "regularization": {"dropout": {"float": [0, 0.5]}}}
    )
    task = task_for(context(space=fixed), Next("overfit", 1), ())
    assert (task.planned, len(task.starts)) == (1, 1)
    assert task_for(context(), Next("overfit", 1), ()).planned == 24


def test_what_depends_on_a_value_that_is_fixed_otherwise_does_not_vary() -> None:
    momentum = {"float": [0.5, 0.9], "when": {"name": ["nesterov"]}}
    for name, varies in (("adam", False), ("nesterov", True)):
        space = load_space(
            {"model": "mlp", "optimizer": {"name": {"choice": ["adam", "nesterov"]}, "momentum": momentum}}
        )
        chosen = space.fixed_at({**space.default(), "optimizer": name}, ["optimizer"])
        assert chosen.varying
        assert anything_varies(chosen) is varies


def test_what_is_handed_on_is_moved_into_the_stage() -> None:
    stopping, l2 = {"int": [2, 6]}, {"float": [1e-6, 1e-2], "log": True}
    space = load_space({"model": "mlp", "regularization": {"early_stopping": stopping, "l2": l2}})
    moved = inside(space, {**space.default(), "early_stopping": 0, "l2": 0.0})
    assert (moved["early_stopping"], moved["l2"]) == (6, 1e-6)


def test_widened_and_grown_ranges_stay_in_later_attempts() -> None:
    wide = range_to_plain(FloatRange(1e-3, 10.0, True))
    way = [
        done("overfit", "widen", ranges={"learning_rate": wide}),
        done("overfit", attempt=2, configuration=CONFIGURATION),
        done("regularize", "more capacity", configuration=CONFIGURATION),
    ]
    grown = grown_space(SPACE, way)
    assert grown["learning_rate"].range == FloatRange(1e-3, 10.0, True)
    assert grown["units"].range == IntRange(32, 512, True)
    task = task_for(context(), Next("overfit", 3), way)
    assert task.space["units"].range == IntRange(32, 512, True)
    assert task.space["dropout"].varies is False


def test_a_widened_stage_carries_its_trials_on() -> None:
    searched = SPACE.fixed_at(SPACE.default(), ["units"])
    trials = [past(n) for n in range(3)]
    widening = done("tune", "widen", trials=3, ranges={"dropout": {"float": [0.0, 0.9], "log": False}})
    way = [done("overfit", trials=30), done("regularize", trials=20), widening]
    task = task_for(context(("tune", 1, searched, trials)), Next("tune", 2), way)
    assert task.carried == tuple(trials)
    assert (task.planned, task.starts) == (7, ())
    assert task.space["dropout"].range == FloatRange(0.0, 0.9)
    assert not task.space["units"].varies


def test_tune_keeps_what_regularize_widened_and_the_reference_in_it() -> None:
    """The best trials use the whole widened range, so that nothing is cut: the study's own end must not come back."""
    wider = SPACE.with_range("dropout", FloatRange(0.0, 0.95)).fixed_at(SPACE.default(), ["units", "learning_rate"])
    spread = [past(n, cost=1.0, dropout=d) for n, d in enumerate((0.0, 0.3, 0.6, 0.95))]
    overfit = SPACE.fixed_at(SPACE.default(), ["dropout"])
    rates = [past(n, learning_rate=r) for n, r in enumerate((0.04, 0.05, 0.05, 0.06))]
    way = [done("overfit", configuration=CONFIGURATION), done("regularize", configuration=CONFIGURATION)]
    records = (("overfit", 1, overfit, rates), ("regularize", 1, SPACE, spread), ("regularize", 2, wider, spread))
    task = task_for(context(*records), Next("tune", 1), way)
    assert task.space["dropout"].range == FloatRange(0.0, 0.95)
    rate = task.space["learning_rate"].range
    assert isinstance(rate, FloatRange)
    assert (rate.low, rate.high) == (pytest.approx(0.05 / 3), pytest.approx(0.1))
    assert task.starts[0][0] == "handed_on"
    assert task.starts[0][1]["dropout"] == 0.9


def test_tune_holds_what_hardly_mattered_to_regularize_at_the_value_handed_on() -> None:
    records = (("overfit", 1, SPACE, [past(0)]), ("regularize", 1, SPACE, [past(0)]))
    way = [
        done("overfit", configuration=CONFIGURATION, insight={"fix": {"learning_rate": 0.1}}),
        done("regularize", configuration=CONFIGURATION, insight={"fix": {"dropout": 0.25}}),
    ]
    task = task_for(context(*records), Next("tune", 1), way)
    assert task.space["dropout"].range == Fixed(0.25)
    assert task.space["learning_rate"].varies
    assert [start["dropout"] for _, start in task.starts] == [0.25] * len(task.starts)
    del way[1].verdict.hands_on["insight"]  # type: ignore[attr-defined]
    assert task_for(context(*records), Next("tune", 1), way).space["dropout"].varies


def test_seconds_are_kept_over_an_interruption() -> None:
    assert seconds_for(context(seconds=100.0), Next("overfit", 1), ()) == pytest.approx(100 * 0.8 * 0.4)
    begun = context(("overfit", 1, SPACE, []), seconds=100.0, led=25.0, searched=20.0)
    assert seconds_for(begun, Next("overfit", 1), ()) == pytest.approx(95 * 0.8 * 0.4 - 20)
    used = context(("overfit", 1, SPACE, []), seconds=100.0, led=100.0, searched=20.0)
    assert seconds_for(used, Next("overfit", 1), ()) == 0.0
    assert seconds_for(context(), Next("overfit", 1), ()) is None


def test_a_study_goes_back_only_with_something_left() -> None:
    way = [done("overfit", trials=4)]
    assert used_up(context(trials=10), way, 4)
    assert not used_up(context(trials=10), way, 3)
    searched = ("overfit", 1, SPACE, [])
    assert used_up(context(searched, trials=None, seconds=50.0, led=41.0, searched=20.0), way, 3)
    assert not used_up(context(searched, trials=None, seconds=50.0, led=39.0, searched=20.0), way, 3)


def test_a_loss_that_overflows_counts_as_diverged_though_the_metric_is_finite() -> None:
    def run(state: str) -> Any:
        return SimpleNamespace(state=state, validation_metric=1e30)

    seeds: Any = ((run("done"), run("stopped")), (run("done"), run("diverged")))
    assert Repeated(seeds).diverged
    assert Repeated(seeds).sound.runs == seeds[:1]
    assert not Repeated(seeds).sound.diverged
