"""A worker trains what it leased in cohorts, and hands in what came out: what failed and why, nothing of another's."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from run_support import Bench, FakeSession, bench, drain, trained

import hpo.training.engine
from hpo.records.rows import LeasedRun


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what sessions are like from now on."""

    def use(**more: Any) -> None:
        monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, **more))

    monkeypatch.setattr(FakeSession, "log", [])
    use()
    return use


@pytest.fixture
def commits(here: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each commit held."""
    sizes: list[int] = []
    commit = here.queue.commit

    def counted(worker_id: str, finished: Any, reached: Any) -> None:
        sizes.append(len(finished))
        commit(worker_id, finished, reached)

    monkeypatch.setattr(here.queue, "commit", counted)
    return sizes


def opened() -> list[int]:
    return [slots for verb, slots in FakeSession.log if verb == "open"]


def slots_of(here: Bench, stage: Any) -> list[int | None]:
    return [r.slots for t in here.queue.trials(stage.id) for r in t.runs]


@pytest.mark.parametrize("slots", [1, 3])
def test_all_runs_of_a_lease_are_trained(here: Bench, sessions: Callable[..., None], slots: int) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=5, slots=slots)
    assert drain(here.worker()) == 5
    assert here.runs(stage) == [("done", None)] * 5
    assert opened() == [slots]


def test_runs_that_end_together_are_one_commit(here: Bench, sessions: Callable[..., None], commits: list[int]) -> None:
    here.trial(here.stage(), 0, runs=7, slots=4)
    worker = here.worker()
    assert [worker.step(), worker.step(), worker.step()] == [4, 3, 0]
    assert commits == [4, 3]


def test_a_slot_is_refilled_as_soon_as_its_run_has_ended(
    here: Bench, sessions: Callable[..., None], commits: list[int]
) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=1, slots=2, epochs=2)
    here.trial(stage, 1, runs=1, slots=2, epochs=5)
    here.trial(stage, 2, runs=1, slots=2, epochs=3)
    drain(here.worker())
    trained_together = [held for verb, held in FakeSession.log if verb == "advance"]
    assert trained_together == [2] * 5
    assert commits == [1, 2]


def test_a_lease_holds_runs_of_one_number_of_slots(here: Bench, sessions: Callable[..., None]) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=3, slots=2)
    here.trial(stage, 1, runs=3, slots=4)
    leases = [[r.slots for r in here.queue.lease(here.study.id, "w", 1, 60)] for _ in range(4)]
    assert leases == [[2, 2], [2], [4, 4, 4], []]


def test_without_memory_the_slots_are_halved_and_all_runs_begin_anew(
    here: Bench, sessions: Callable[..., None]
) -> None:
    sessions(room=3)
    stage = here.stage()
    here.trial(stage, 0, runs=7, slots=8)
    worker = here.worker()
    assert drain(worker) == 7
    assert opened() == [8, 4, 2]
    assert here.runs(stage) == [("done", None)] * 7
    assert slots_of(here, stage) == [2] * 7
    here.trial(stage, 1, runs=2, slots=8)
    drain(worker)
    assert opened() == [8, 4, 2], "the structure has its number of slots: the open session serves it"
    assert here.queue.slots(here.study.id, [t.structure for t in here.queue.trials(stage.id)]).popitem()[1] == 2


def test_without_memory_for_one_slot_the_runs_fail(here: Bench, sessions: Callable[..., None]) -> None:
    sessions(room=0)
    stage = here.stage()
    here.trial(stage, 0, runs=2, slots=4)
    drain(here.worker())
    assert [state for state, _ in here.runs(stage)] == ["failed", "failed"]


@pytest.mark.parametrize(("slots", "beside"), [(4, 4), (6, 1)])
def test_only_the_faulty_runs_fail_of_those_that_were_trained_together(
    here: Bench, sessions: Callable[..., None], slots: int, beside: int
) -> None:
    """Seed 8 cannot be put into a slot, which concerns no other; seed 9 breaks whatever is trained with it.

    With four slots nobody sits beside seed 9; with six, seeds 6 and 7 do, and are trained alone.
    """
    stage = here.stage()
    here.trial(stage, 0, runs=10, slots=slots)
    drain(here.worker())
    assert here.runs(stage)[:8] == [("done", None)] * 8
    assert here.runs(stage)[8] == ("failed", "ValueError: seed 8 fits into no slot")
    assert here.runs(stage)[9] == ("failed", "RuntimeError: seed 9 never trains")
    assert slots_of(here, stage)[:8] == [slots] * 6 + [beside] * 2


def test_a_run_that_raises_fails_with_its_reason_and_the_others_go_on(
    here: Bench, sessions: Callable[..., None]
) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=8)
    here.trial(stage, 1, runs=1)
    here.trial(stage, 2, runs=10)
    drain(here.worker(alone=True))
    assert here.runs(stage)[:17] == [("done", None)] * 17
    assert here.runs(stage)[18] == ("failed", "RuntimeError: seed 9 never trains")


@pytest.mark.parametrize("slots", [1, 4])
def test_a_structure_that_cannot_be_built_fails_its_runs_alone(
    here: Bench, sessions: Callable[..., None], slots: int
) -> None:
    sessions(breaks=(64,))
    stage = here.stage()
    here.trial(stage, 0, runs=2, units=64, slots=slots)
    here.trial(stage, 1, units=8, slots=slots)
    drain(here.worker(alone=True))
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


def test_of_runs_handed_in_together_those_that_went_to_another_are_dropped(
    here: Bench, sessions: Callable[..., None]
) -> None:
    stage = here.stage()
    here.trial(stage, 0, runs=3)
    told: list[int] = []
    worker = here.worker("slept", progress=lambda runs: told.extend(run.id for run in runs))
    (lost,) = here.queue.lease(here.study.id, "slept", 1, -1)  # lapsed as soon as lent
    here.queue.reclaim(here.study.id)
    (taken,) = here.queue.lease(here.study.id, "awake", 1, 60)
    assert taken.id == lost.id
    kept = here.queue.lease(here.study.id, "slept", 2, 60)
    worker._hand_in([trained(run) for run in (lost, *kept)])
    assert told == [run.id for run in kept]
    assert [state for state, _ in here.runs(stage)] == ["running", "done", "done"]
    worker._hand_in([trained(lost)])
    assert len(told) == 2


@pytest.mark.parametrize("slots", [1, 2])
def test_no_run_is_begun_when_the_time_is_up_and_those_in_training_end(
    here: Bench, sessions: Callable[..., None], slots: int
) -> None:
    stage = here.stage()
    for number, epochs in enumerate((3, 5, 3, 3, 3)):
        here.trial(stage, number, slots=slots, epochs=epochs)
    told: list[LeasedRun] = []
    drain(here.worker(enough=lambda: len(told) >= 1, progress=told.extend))
    # In a cohort, the one that moves into the free slot has begun before the other's end is told.
    done = 1 if slots == 1 else 3
    assert [state for state, _ in here.runs(stage)] == ["done"] * done + ["queued"] * (5 - done)
