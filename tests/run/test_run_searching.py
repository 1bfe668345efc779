"""A search ends when it should, and in between asks for no more than it was given."""

from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_support import SPACE, Bench, FakeSession, bench

import hpo.training.engine
from hpo.metrics import METRICS
from hpo.recipe.judging import Bar, Baseline
from hpo.recipe.noise import Noise
from hpo.records.rows import StageRow
from hpo.run.events import TrialFinished
from hpo.run.searching import StageSearch, Task
from hpo.studyfile.spec import BudgetSpec, SearchSpec

BAR = Bar(METRICS["accuracy"], Noise(0.01, 0.01, 0.01, 0.01), 1.0, 0.0, {"prior": Baseline(0.5, 1.0)})
STARTS: Any = (("handed_on", SPACE.default()), ("default", {**SPACE.default(), "dropout": 0.3}))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    with bench(tmp_path) as made:
        yield made


def context(here: Bench, *, batch: int = 4, plateau: int = 99, folds: int = 1) -> Any:
    ctx = SimpleNamespace(
        spec=SimpleNamespace(seed=0, search=SearchSpec("random", batch, plateau), budget=BudgetSpec(epochs=3)),
        dataset=SimpleNamespace(folds=folds), queue=here.queue, workers=1, deadline=inf, heard=[],
    )  # fmt: skip
    ctx.listener = ctx.heard.append
    worker = here.worker(alone=True, enough=lambda: ctx.deadline < 0)
    ctx.work = worker.step
    return ctx


def search(ctx: Any, stage: StageRow, **task: Any) -> Any:
    return StageSearch(ctx, stage, Task(SPACE, STARTS, **task), BAR).run()


@pytest.mark.parametrize(("planned", "batch"), [(1, 4), (3, 64), (7, 4)])
def test_just_the_planned_trials_are_trained(here: Bench, planned: int, batch: int) -> None:
    ctx = context(here, batch=batch)
    found = search(ctx, here.stage(), planned=planned)
    assert (found.new, found.ended) == (planned, f"all {planned} planned trials were used")
    assert [t.number for t in found.trials] == list(range(planned))
    told = [e for e in ctx.heard if isinstance(e, TrialFinished)]
    assert [e.done for e in told][-1] == planned
    assert told[-1].seconds_left == 0.0


def test_a_plateau_ends_a_search_without_a_bound_in_trials(here: Bench) -> None:
    found = search(context(here, plateau=6), here.stage())
    assert found.ended == "the last 6 trials brought nothing better"
    assert found.new == 10  # the start, and two batches of four: every value is the same


def test_without_time_the_starts_alone_are_trained(here: Bench) -> None:
    found = search(context(here), here.stage(), seconds=0.0)
    assert (found.new, found.ended) == (2, "no time was left for more")
    assert all(t.value is not None for t in found.trials)


def test_what_is_not_begun_when_the_time_is_up_is_dropped_and_no_fault(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("hpo.run.searching.monotonic", lambda: clock[0])
    ctx, stage = context(here, batch=12), here.stage()
    worker = here.worker(alone=True, enough=lambda: clock[0] > ctx.deadline)

    def work() -> None:
        worker.step()
        clock[0] += 4.0  # the starts and a lease of the batch; then the ten seconds are over

    ctx.work = work
    found = search(ctx, stage, seconds=10.0)
    assert found.ended == "its 10 s were used up"
    trained = [t for t in found.trials if t.value is not None]
    assert 2 < len(trained) < found.new == 14
    assert {t.state for t in here.queue.trials(stage.id)} == {"complete", "failed"}
    assert ctx.deadline == inf


def test_an_interrupted_search_goes_on_with_the_same_proposals(here: Bench) -> None:
    whole = search(context(here), here.stage("tune"), planned=9)
    other: Any = here.stage("overfit")
    stage: Any = SimpleNamespace(**{**vars(other), "name": "tune"})  # the same seeds, in a stage of its own
    ctx, worker, calls = context(here), here.worker("w2", alone=True, grasp=1), list[int]()

    def work() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        worker.step()

    ctx.work = work
    with pytest.raises(KeyboardInterrupt):
        search(ctx, stage, planned=9)
    worker.close()
    again = search(context(here), stage, planned=9)
    assert [t.configuration for t in again.trials] == [t.configuration for t in whole.trials]


def test_one_worker_closes_trials_in_the_order_of_their_numbers(here: Bench) -> None:
    stage, ctx = here.stage(), context(here)
    running = StageSearch(ctx, stage, Task(SPACE, STARTS, planned=2), BAR)
    first, second = here.queue.lease(here.study.id, "w", 2, 60)
    worker = here.worker()
    session = FakeSession(structure=dict(second.request.configuration))
    worker._hand_in(second, session.result(0))
    running._close_finished()
    assert ctx.heard == []
    worker._hand_in(first, session.result(0))
    running._close_finished()
    assert [e.number for e in ctx.heard] == [0, 1]


def test_where_most_trials_fail_the_reason_is_given(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> FakeSession:
        raise RuntimeError("no such device")

    monkeypatch.setattr(hpo.training.engine, "open_session", refuse)
    with pytest.raises(hpo.errors.Fault, match="3 of 3 trials of tune failed; the last reason: RuntimeError: no such"):
        search(context(here, batch=1), here.stage(), planned=9)
