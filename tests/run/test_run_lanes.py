"""Lanes: structures train side by side, and nothing that has ended is forgotten."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_support import Bench, FakeSession, bench, drain

import hpo.run.lanes
import hpo.training.engine
from hpo.records.rows import LeasedRun, Purpose
from hpo.run.lanes import Lanes
from hpo.run.trainer import Trainer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    with bench(tmp_path) as made:
        yield made


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_every_run_of_every_structure_is_trained_and_handed_in(here: Bench, lanes: int) -> None:
    stage = here.stage()
    for number, units in enumerate((8, 64, 200, 8, 300, 64)):
        here.trial(stage, number, runs=3, units=units, slots=2)
    worker = here.worker(lanes=lanes)
    assert drain(worker) == 18
    assert worker.idle
    assert {state for state, _ in here.runs(stage)} == {"done"}
    worker.close()


def test_a_structure_waits_for_no_other(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = here.stage()
    for number, units in enumerate((8, 64)):
        here.trial(stage, number, units=units, slots=2)
    both = threading.Barrier(2, timeout=20)

    class Meeting(FakeSession):
        def advance(self, epochs: int) -> None:
            both.wait()  # breaks, and so the run fails, where the lanes take turns
            super().advance(epochs)

    monkeypatch.setattr(hpo.training.engine, "open_session", Meeting)
    worker = here.worker(lanes=2)
    assert drain(worker) == 2
    worker.close()


@pytest.mark.parametrize(("purpose", "shared"), [("proof", [3, 2]), ("search", [5])])
def test_lanes_share_the_runs_that_none_follow(
    here: Bench, monkeypatch: pytest.MonkeyPatch, purpose: Purpose, shared: list[int]
) -> None:
    monkeypatch.setattr(hpo.run.lanes, "cores_here", lambda: 2)
    here.trial(here.stage(), 0, runs=5, slots=8, purpose=purpose, epochs=1)
    lanes = Lanes(Trainer(lambda run: run.request.configuration["units"], _open) for _ in range(3))
    lanes.take(lambda like, most: here.queue.lease(here.study.id, "w", most or 9, 60))
    lanes.go_on(begin=True)
    assert [len(lanes.advance()[1].ended) for _ in shared] == shared
    lanes.close()


def test_runs_in_one_slot_take_turns(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, inside = here.stage(), threading.Lock()
    for number, units in enumerate((8, 64, 200)):
        here.trial(stage, number, units=units, runs=2)

    class Alone(FakeSession):
        def advance(self, epochs: int) -> None:
            if not inside.acquire(blocking=False):
                raise RuntimeError("another is in training")
            time.sleep(0.02)
            super().advance(epochs)
            inside.release()

    monkeypatch.setattr(hpo.training.engine, "open_session", Alone)
    worker = here.worker(lanes=3)
    assert drain(worker) == 6
    worker.close()
    assert {state for state, _ in here.runs(stage)} == {"done"}


def test_lanes_with_results_that_nobody_has_taken_are_not_idle(here: Bench) -> None:
    stage = here.stage()
    for number, units in enumerate((8, 64)):
        here.trial(stage, number, units=units, slots=2, epochs=1)
    leases: list[list[LeasedRun]] = [here.queue.lease(here.study.id, "w", 9, 60) for _ in range(2)]
    lanes = Lanes(Trainer(lambda run: run.request.configuration["units"], _open) for _ in range(2))
    lanes.take(lambda like, most: leases.pop(0) if leases else [])
    ended = 0
    while not lanes.idle:
        lanes.go_on(begin=True)
        ended += len(lanes.advance()[1].ended)
        for lane in lanes._lanes:
            if lane.step is not None:
                lane.step.exception(20)
    assert ended == 2
    lanes.close()


def _open(run: LeasedRun, slots: int) -> FakeSession:
    return FakeSession(structure=dict(run.request.configuration), slots=slots)
