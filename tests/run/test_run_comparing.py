"""Runs are compared at rungs: who gives up its slot, what is recorded of it, and in which order things are heard."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from run_support import SPACE, Bench, FakeSession, bench, drain

import hpo.training.engine
from hpo.recipe.rungs import Rule
from hpo.records.rows import ClosedTrial, LeasedRun, NewRun, NewTrial, Reached
from hpo.run.comparing import Comparing, Comparison
from hpo.run.lanes import Lanes
from hpo.run.trainer import AtRung, Ended, Trainer
from hpo.values import Outcome, RunRequest, fingerprint

RULE = Rule(3, 2)
SCORES = (0.5, 0.6, 0.9, 0.8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    with bench(tmp_path) as made:
        yield made


def run(number: int, *, fold: int = 0, structure: str = "s", judged: bool = True, epochs: int = 18) -> LeasedRun:
    request = RunRequest({}, number, fold, epochs)
    return LeasedRun(10 * number + fold, number, 1, number, request, "search", 1, 4, structure, judged)


def comparing(*, folds: int = 1, of_training: bool = False) -> Comparing:
    queue: Any = None
    return Comparing(queue, RULE, folds, lambda stage: Comparison(of_training, "maximize"), alone=lambda: True)


def test_in_regularize_nothing_is_compared_before_its_end() -> None:
    queue: Any = None
    one = Comparing(queue, RULE, 1, lambda stage: Comparison(False, "maximize", False), alone=lambda: True)
    assert one.rungs(run(0)) == ()


def test_when_the_time_is_up_what_may_gives_up_its_slot(here: Bench) -> None:
    stage, configuration = here.stage(), SPACE.default()
    structure = fingerprint(SPACE.structure(configuration))
    here.queue.add_trials(stage, [
        NewTrial(n, "sampler", configuration, frozenset(), structure,
                 (NewRun(RunRequest(configuration, 10 * n, 0, 9), slots=2, judged=n == 1),)) for n in range(2)
    ])  # fmt: skip
    steps: list[int] = []
    drain(here.worker(alone=True, late=lambda: len(steps) > 3 or steps.append(1) is not None))
    first, second = (t.runs[0] for t in here.queue.trials(stage.id))
    assert (first.state, second.state, second.epochs_trained) == ("done", "dropped", 5)


def at(runs: list[LeasedRun], epoch: int, values: list[float]) -> list[Reached]:
    return [Reached(one, epoch, value) for one, value in zip(runs, values, strict=True)]


def test_rungs_are_for_the_runs_that_are_judged_alone() -> None:
    assert comparing().rungs(run(0)) == (2, 6)
    assert comparing().rungs(run(0, judged=False)) == ()


def test_of_those_that_come_to_a_rung_together_one_in_three_goes_on() -> None:
    runs = [run(n) for n in range(6)]
    given_up = comparing().judge([], at(runs, 2, [0.5, 0.6, 0.7, 0.8, 0.9, 0.4]))
    assert given_up == {(1, n) for n in (0, 1, 2, 5)}


def test_a_trial_is_compared_by_its_mean_over_folds_once_all_have_come() -> None:
    both = comparing(folds=2)
    firsts, seconds = ([run(n, fold=fold) for n in range(3)] for fold in (0, 1))
    assert both.judge([], at(firsts, 2, [0.9, 0.5, 0.1])) == set()
    assert both.judge([], at(seconds, 2, [0.1, 0.7, 0.1])) == {(1, 0), (1, 2)}


def test_in_overfit_runs_are_held_against_those_of_their_structure() -> None:
    small, large = [run(n, structure="small") for n in range(3)], [run(n, structure="large") for n in range(3, 6)]
    values = at(small + large, 2, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    assert comparing(of_training=True).judge([], values) == {(1, 0), (1, 1), (1, 3), (1, 4)}
    assert comparing().judge([], values) == {(1, 0), (1, 1), (1, 2), (1, 3)}


def test_what_ended_is_worth_its_end_at_the_rungs_that_it_did_not_see(here: Bench) -> None:
    stage = here.stage()
    here.trial(stage, 0, epochs=18)
    (leased,) = here.queue.lease(here.study.id, "w", 1, 60)
    session = FakeSession(structure={"units": 8})
    session.put(0, leased.request)
    session.advance(4)
    leased = replace(leased, judged=True)
    for outcome, expected in ((Outcome.STOPPED, [(6, 0.8), (18, 0.8)]), (Outcome.DROPPED, [])):
        result = replace(session.result(0), outcome=outcome)
        assert [(r.epoch, r.value) for r in comparing().at_end([Ended(leased, result)])] == expected
    diverged = comparing().at_end([Ended(leased, replace(session.result(0), outcome=Outcome.DIVERGED))])
    assert [r.epoch for r in diverged] == [6, 18]
    assert all(isnan(r.value) for r in diverged)


def test_what_is_recorded_is_known_to_whoever_joins(here: Bench) -> None:
    stage = here.stage()
    for number in range(4):
        here.trial(stage, number, epochs=18)
    leased = [r for _ in range(4) for r in here.queue.lease(here.study.id, "w", 1, 60)]
    here.queue.commit("w", [], [Reached(r, 2, v) for r, v in zip(leased[:3], (0.7, 0.8, nan), strict=True)])
    here.queue.commit("w", [], [Reached(leased[0], 2, 0.7)])  # trained again after an interruption
    assert [(s.number, s.epoch) for s in here.queue.rungs(stage.id)[0]] == [(0, 2), (1, 2), (2, 2)]
    fourth = replace(leased[3], judged=True)
    joined = Comparing(here.queue, RULE, 1, lambda _: Comparison(False, "maximize"), alone=lambda: False)
    joined.learn(fourth)
    assert joined.judge([], [Reached(fourth, 2, 0.75)]) == {(stage.id, 3)}
    again = replace(leased[0], judged=True)
    assert joined.judge([], [Reached(again, 2, 0.7)]) == set(), "it went on there before"


def test_a_look_at_rungs_begins_where_more_may_come(here: Bench) -> None:
    stage = here.stage()
    assert here.queue.rungs(stage.id) == ([], 0)
    for number in range(3):
        here.trial(stage, number, epochs=18)
    leased = [r for _ in range(3) for r in here.queue.lease(here.study.id, "w", 1, 60)]
    here.queue.commit("w", [], [Reached(r, 2, 0.7) for r in leased])
    here.queue.close_trials(stage, [ClosedTrial(0, "complete", 0.7, 0.1, 0.1, 0.7, 0.7, 9)])
    found, since = here.queue.rungs(stage.id)
    assert ([s.number for s in found], since) == ([0, 1, 2], 1)
    here.queue.close_trials(stage, [ClosedTrial(2, "complete", 0.7, 0.1, 0.1, 0.7, 0.7, 9)])
    here.queue.commit("w", [], [Reached(leased[1], 6, 0.8)])
    found, since = here.queue.rungs(stage.id, since)
    assert ([(s.number, s.epoch) for s in found], since) == ([(1, 2), (1, 6), (2, 2)], 1)
    here.queue.close_trials(stage, [ClosedTrial(1, "complete", 0.8, 0.1, 0.1, 0.7, 0.7, 9)])
    assert here.queue.rungs(stage.id, since)[1] == 3
    assert here.queue.rungs(stage.id, 3) == ([], 3)


def test_a_late_value_is_refused_with_all_that_comes_with_it(here: Bench) -> None:
    stage = here.stage()
    here.trial(stage, 0)
    (lost,) = here.queue.lease(here.study.id, "slept", 1, -1)
    here.queue.reclaim(here.study.id)
    here.queue.lease(here.study.id, "awake", 1, 60)
    with pytest.raises(hpo.errors.LeaseLost):
        here.queue.commit("slept", [], [Reached(lost, 2, 0.5)])
    assert here.queue.rungs(stage.id)[0] == []


def trainer(slots: int, rungs: tuple[int, ...] = (2, 6)) -> Trainer:
    return Trainer(lambda _: "s", lambda _, n: FakeSession(structure={"units": 8}, slots=n), lambda r: rungs)


@pytest.mark.parametrize("slots", [1, 4])
def test_a_run_that_gives_up_ends_where_it_stands_and_its_slot_is_free(slots: int) -> None:
    one, at_rungs = trainer(slots), list[AtRung]()
    runs = [LeasedRun(n, n, 1, n, RunRequest({}, 10 * n, 0, 18), "search", 1, slots, "s", True) for n in range(slots)]
    one.add(runs)
    steps = 0
    while not at_rungs:
        at_rungs, steps = one.advance().at_rungs, steps + 1
    assert [(a.run.id, a.epoch) for a in at_rungs] == [(n, 2) for n in range(slots)]
    assert steps == (1 if slots == 1 else 2), "a lone run pauses at rungs alone"
    (ended,) = one.give_up([runs[0]])
    assert ended.result is not None
    assert (ended.result.outcome, len(ended.result.curve)) == (Outcome.DROPPED, 2)
    assert len(one.in_training) == slots - 1
    assert one.give_up([runs[0]]) == []


def lanes_told(seed: int) -> list[tuple[int, list[int]]]:
    """What two lanes tell in turn, on a machine whose speed varies."""
    dice = random.Random(seed)

    class Uneven(FakeSession):
        def advance(self, epochs: int) -> None:
            time.sleep(dice.random() * 0.004)
            super().advance(epochs)

    def open_(_: LeasedRun, slots: int) -> Any:
        return Uneven(structure={"units": 8}, slots=slots)

    made = [Trainer(lambda r: r.structure, open_) for _ in range(2)]
    lanes = Lanes(made, lambda r: 0.1 if r.structure == "a" else 0.25)
    waiting = {s: [run(n, structure=s, epochs=3 + n % 4) for n in range(12)] for s in ("a", "b")}

    def lease(like: LeasedRun | None, most: int) -> list[LeasedRun]:
        name = like.structure if like else next((s for s, left in waiting.items() if left), "a")
        taken, waiting[name] = waiting[name][: most or 4], waiting[name][most or 4 :]
        return taken

    told = []
    lanes.take(lease)
    while not lanes.idle:
        lanes.go_on(begin=True)
        which, found = lanes.advance()
        told.append((made.index(which), [e.run.id for e in found.ended]))
        lanes.go_on(begin=True)
        lanes.take(lease)
    lanes.close()
    return told


def test_lanes_are_heard_in_an_order_that_no_clock_decides() -> None:
    told = [lanes_told(seed) for seed in range(6)]
    assert all(one == told[0] for one in told)
    assert sum(len(ended) for _, ended in told[0]) == 24
    first = [lane for lane, _ in told[0]][:9]
    assert first.count(0) > first.count(1), "the cheaper cohort comes further"


def test_dropped_runs_are_recorded_with_what_they_had_come_to(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", varied())
    stage = here.stage()
    configuration = SPACE.default()
    here.queue.add_trials(stage, [
        NewTrial(n, "sampler", configuration, frozenset(), fingerprint(SPACE.structure(configuration)),
                 (NewRun(RunRequest(configuration, 10 * n, 0, 18), slots=8, judged=True),)) for n in range(6)
    ])  # fmt: skip
    drain(here.worker(alone=True))
    trials = here.queue.trials(stage.id)
    assert [t.runs[0].state for t in trials].count("dropped") >= 4
    for trial in trials:
        (one,) = trial.runs
        assert one.artifact is None or one.state == "done"
        assert set(trial.rungs) == ({2, 6, 18} if one.state == "done" else {2, 6} & set(range(one.epochs_trained + 1)))
        assert len(here.queue.curve(one.id)) == one.epochs_trained


def varied() -> Callable[..., FakeSession]:
    """Sessions whose runs score differently."""
    return lambda **more: FakeSession(**more, spread=0.2)
