"""A worker hands in what it trained, what failed and why, and nothing that went to another."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from run_support import Bench, FakeSession, bench

import hpo.training.engine


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what sessions are like from now on."""

    def use(**more: Any) -> None:
        monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, **more))

    use()
    return use


@pytest.mark.parametrize("slots", [1, 3])
def test_all_runs_of_a_lease_are_trained(here: Bench, sessions: Callable[..., None], slots: int) -> None:
    sessions(slots=slots)
    stage = here.stage()
    here.trial(stage, 0, runs=5)
    assert here.worker().step() == 5
    assert here.runs(stage) == [("done", None)] * 5


def test_a_run_that_raises_fails_with_its_reason_and_the_others_go_on(
    here: Bench, sessions: Callable[..., None]
) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=10)  # the tenth has seed 9
    worker = here.worker(grasp=10, alone=True)
    worker.step()
    assert here.runs(stage)[:9] == [("done", None)] * 9
    assert here.runs(stage)[9] == ("failed", "RuntimeError: seed 9 never trains")


def test_a_structure_that_cannot_be_built_fails_its_runs_alone(here: Bench, sessions: Callable[..., None]) -> None:
    sessions(breaks=(64,))
    stage = here.stage()
    here.trial(stage, 0, runs=2, units=64)
    here.trial(stage, 1, units=8)
    worker = here.worker(alone=True)
    assert (worker.step(), worker.step()) == (2, 1)
    assert [state for state, _ in here.runs(stage)] == ["failed", "failed", "done"]
    assert "no room for 64 units" in str(here.runs(stage)[0][1])


def test_alone_a_run_that_cannot_be_done_without_raises_and_stays_to_be_trained(
    here: Bench, sessions: Callable[..., None]
) -> None:
    sessions(breaks=(8,))
    stage = here.stage()
    here.trial(stage, 0, purpose="proof")
    worker = here.worker(alone=True)
    with pytest.raises(MemoryError, match="no room"):
        worker.step()
    worker.close()
    assert here.runs(stage) == [("queued", None)]
    here.worker("other").step()
    assert here.runs(stage)[0][0] == "failed"


def test_a_run_that_went_to_another_is_dropped(here: Bench, sessions: Callable[..., None]) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=2)
    told: list[int] = []
    worker = here.worker("slept", progress=lambda run: told.append(run.id))
    lent = here.queue.lease(here.study.id, "slept", 1, -1)  # lapsed as soon as lent
    here.queue.reclaim(here.study.id)
    (taken,) = here.queue.lease(here.study.id, "awake", 1, 60)
    assert taken.id == lent[0].id
    session = FakeSession(structure=dict(taken.request.configuration))
    worker._hand_in(lent[0], session.result(0))
    assert told == []
    assert here.runs(stage)[0][0] == "running"


def test_no_run_is_begun_when_the_time_is_up(here: Bench, sessions: Callable[..., None]) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=4)
    told: list[int] = []
    here.worker(enough=lambda: len(told) == 2, progress=lambda run: told.append(run.id)).step()
    assert [state for state, _ in here.runs(stage)] == ["done", "done", "queued", "queued"]
