"""A search ends when it should, and in between asks for no more than it was given."""

from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_support import FACTS, SPACE, Bench, FakeSession, bench, trained

import hpo.training.engine
from hpo.metrics import METRICS
from hpo.recipe.edges import Edge
from hpo.recipe.judging import Bar, Baseline
from hpo.recipe.noise import Noise
from hpo.records.rows import StageRow
from hpo.run.events import TrialFinished
from hpo.run.feeds import sampler_of
from hpo.run.searching import StageSearch, Task
from hpo.run.tally import Tally
from hpo.search.search import Search
from hpo.space import FloatRange
from hpo.studyfile.spec import BudgetSpec, SearchSpec, TrainingSpec
from hpo.values import fingerprint

BAR = Bar(METRICS["accuracy"], Noise(0.01, 0.01, 0.01, 0.01), 1.0, 0.0, {"prior": Baseline(0.5, 1.0)})
STARTS: Any = (("handed_on", SPACE.default()), ("default", {**SPACE.default(), "dropout": 0.3}))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 1)
    with bench(tmp_path) as made:
        yield made


def context(
    here: Bench,
    *,
    batch: int | None = 4,
    plateau: int = 99,
    folds: int = 1,
    sampler: str = "random",
    halving: bool = False,
) -> Any:
    ctx = SimpleNamespace(
        spec=SimpleNamespace(
            seed=0, search=SearchSpec(sampler, halving, batch=batch, plateau=plateau), budget=BudgetSpec(epochs=3),
            training=TrainingSpec(),
        ),
        dataset=SimpleNamespace(folds=folds, facts=FACTS), folds=(SimpleNamespace(x_train=range(9)),) * folds,
        study=here.study, queue=here.queue, workers=1, joined=0, alone=True,
        trainers=1, own_cohorts=1, cohorts=1, deadline=inf, heard=[], slots={},
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
    found = search(ctx, here.stage(), planned=planned, may_widen=False)
    assert (found.new, found.ended) == (planned, f"all {planned} planned trials were used")
    assert [t.number for t in found.trials] == list(range(planned))
    told = [e for e in ctx.heard if isinstance(e, TrialFinished)]
    assert [e.done for e in told][-1] == planned
    assert told[-1].seconds_left == 0.0


def test_a_plateau_ends_a_search_without_a_bound_in_trials(here: Bench) -> None:
    found = search(context(here, plateau=6), here.stage())
    assert found.ended == "the last 6 trials brought nothing better than the noise (0.014)"
    assert found.new == 10  # the start, and two batches of four: every value is the same


def test_a_search_that_settles_early_looks_at_the_ends_of_its_ranges_first(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every trial is alike because the range ends too early, stopping would hide it."""
    looked: list[int] = []
    edge = Edge("learning_rate", "high", 4, 4, FloatRange(1e-5, 1e-3, True), FloatRange(1e-5, 1e-1, True))
    monkeypatch.setattr(StageSearch, "_edges", lambda _, trials: looked.append(len(trials)) or (edge,))
    found = search(context(here, plateau=6), here.stage(), planned=40)
    assert found.edges == (edge,)
    assert found.new == looked[0] == 10
    looked.clear()
    found = search(context(here, plateau=6), here.stage("tune"), planned=40, may_widen=False)
    assert (found.ended, looked) == ("the last 6 trials brought nothing better than the noise (0.014)", [])


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
        clock[0] += 3.0  # both starts and two of the batch; then the ten seconds are over

    ctx.work = work
    found = search(ctx, stage, seconds=10.0)
    assert found.ended == "its 10 s were used up"
    trained = [t for t in found.trials if t.value is not None]
    assert 2 < len(trained) < found.new == 14
    assert {t.state for t in here.queue.trials(stage.id)} == {"complete", "failed"}
    assert ctx.deadline == inf


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of searches: numbers, structures, and the open ones by their widths."""
    calls: list[Any] = []
    ask = Search.ask

    def noted(self: Search, numbers: Any, *, structures: int | None = None, open_: Any = ()) -> Any:
        calls.append((list(numbers), structures, [c["units"] for c in open_]))
        return ask(self, numbers, structures=structures, open_=open_)

    monkeypatch.setattr(Search, "ask", noted)
    return calls


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("cut_at", [2, 5, 8, 11])
def test_an_interrupted_search_goes_on_with_the_same_batches_and_proposals(
    here: Bench, asked: list[Any], monkeypatch: pytest.MonkeyPatch, sampler: str, cut_at: int
) -> None:
    """Cut off with a part of a batch trained, and of that a part closed."""
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2))

    def ctx() -> Any:
        return context(here, sampler=sampler)

    whole = search(ctx(), here.stage("tune"), planned=14, may_widen=False)
    of_whole = asked.copy()
    asked.clear()
    other: Any = here.stage("overfit")
    stage: Any = SimpleNamespace(**{**vars(other), "name": "tune"})  # the same seeds, in a stage of its own
    broken, worker, calls = ctx(), here.worker("w2", alone=True, grasp=1), list[int]()

    def work() -> None:
        calls.append(1)
        if len(calls) == cut_at:
            raise KeyboardInterrupt
        worker.step()

    broken.work = work
    with pytest.raises(KeyboardInterrupt):
        search(broken, stage, planned=14, may_widen=False)
    worker.close()
    again = search(ctx(), stage, planned=14, may_widen=False)
    assert asked == of_whole
    assert [(t.configuration, t.value) for t in again.trials] == [(t.configuration, t.value) for t in whole.trials]
    assert [len(numbers) for numbers, _, _ in asked] == [3, 3, 3]  # and a remedy for what it began with in each
    assert all(structures == 2 for _, structures, _ in asked)


def test_the_structure_used_last_is_offered_first(here: Bench, asked: list[Any]) -> None:
    found = search(context(here), here.stage(), planned=10, may_widen=False)
    for numbers, _, widths in asked:
        before = [t.configuration for t in found.trials if t.number < numbers[0]]
        last: dict[str, object] = {}
        for c in reversed(before):
            last.setdefault(fingerprint(SPACE.structure(c)), c["units"])
        assert widths == list(last.values())


def test_what_a_search_reads_as_it_goes_is_what_it_would_read_anew(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    trials = here.queue.trials

    def counted(*args: Any, **more: Any) -> Any:
        rows = trials(*args, **more)
        reads.append(len(rows))
        return rows

    monkeypatch.setattr(here.queue, "trials", counted)
    stage = here.stage()
    running = StageSearch(context(here), stage, Task(SPACE, STARTS, planned=30, may_widen=False), BAR)
    running.run()
    assert max(reads) <= 4, "a batch, never the stage"
    whole = Tally(here.queue, stage.id, running._cost)
    kept = running._tally
    assert kept.rows == whole.rows
    assert list(kept.rows) == list(whole.rows)
    for name in ("running", "failed", "costs", "new", "closed", "any_value", "next_number", "best"):
        assert getattr(kept, name) == getattr(whole, name), name


def test_one_worker_closes_trials_in_the_order_of_their_numbers(here: Bench) -> None:
    stage, ctx = here.stage(), context(here)
    running = StageSearch(ctx, stage, Task(SPACE, STARTS, planned=2), BAR)
    first, second = here.queue.lease(here.study.id, "w", 2, 60)
    worker = here.worker()
    worker._hand_in([trained(second)])
    running._close_finished()
    assert ctx.heard == []
    worker._hand_in([trained(first)])
    running._close_finished()
    assert [e.number for e in ctx.heard] == [0, 1]


def test_where_most_trials_fail_the_reason_is_given(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> FakeSession:
        raise RuntimeError("no such device")

    monkeypatch.setattr(hpo.training.engine, "open_session", refuse)
    with pytest.raises(hpo.errors.Fault, match="3 of 3 trials of tune failed; the last reason: RuntimeError: no such"):
        search(context(here, batch=1), here.stage(), planned=9)


def slotted(here: Bench, *, lanes: int = 1, epochs: int = 18, sampler: str = "tpe", folds: int = 1) -> Any:
    ctx = context(here, sampler=sampler, halving=True, folds=folds)
    ctx.spec.budget, ctx.cohorts = BudgetSpec(epochs=epochs), lanes
    worker = here.worker(alone=True, lanes=lanes)
    ctx.work = worker.step
    return ctx


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("planned", [1, 3, 30])
def test_slots_are_refilled_until_just_the_planned_trials_have_ended(
    here: Bench, monkeypatch: pytest.MonkeyPatch, planned: int, lanes: int
) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2, sound=True))
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 8)
    stage = here.stage()
    found = search(slotted(here, lanes=lanes), stage, planned=planned, may_widen=False)
    assert (found.new, found.ended) == (planned, f"all {planned} planned trials were used")
    trials = here.queue.trials(stage.id)
    assert [t.number for t in trials] == list(range(planned))
    assert {t.state for t in trials} <= {"complete", "pruned"}
    for trial in trials:
        dropped = trial.runs[0].state == "dropped"
        assert (trial.state, trial.value is None) == (("pruned", True) if dropped else ("complete", False))
        assert not dropped or trial.origin == "sampler", "what a stage began with is there to be held against"
    if planned == 30:
        assert sum(t.state == "pruned" for t in trials) >= 12


def test_the_same_seed_refills_the_same_in_any_number_of_tries(
    here: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2, sound=True))
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 8)
    seen = []
    for turn in ("first", "second"):
        (tmp_path / turn).mkdir()
        with bench(tmp_path / turn) as fresh:
            found = search(slotted(fresh, lanes=2), fresh.stage(), planned=30, may_widen=False)
            seen.append([(t.configuration, t.value, t.diagnosis) for t in found.trials])
    assert seen[0] == seen[1]


def test_a_search_in_slots_that_was_cut_off_goes_on_and_loses_nothing(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2, sound=True))
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 8)
    stage, broken, calls = here.stage(), slotted(here), list[int]()
    worker = here.worker("w2", alone=True)

    def work() -> None:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        worker.step()

    broken.work = work
    with pytest.raises(KeyboardInterrupt):
        search(broken, stage, planned=30, may_widen=False)
    worker.close()
    before = {t.number: t for t in here.queue.trials(stage.id) if t.state != "running"}
    assert before
    found = search(slotted(here), stage, planned=30, may_widen=False)
    assert found.new == 30
    after = {t.number: t for t in here.queue.trials(stage.id)}
    assert all(after[number] == trial for number, trial in before.items())
    assert {t.state for t in after.values()} <= {"complete", "pruned"}


def test_folds_are_dropped_together(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2, sound=True))
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 8)
    stage, ctx = here.stage(), slotted(here, folds=2)
    worker = here.worker(alone=True)
    worker._folds = worker._folds * 2
    worker._comparing._folds = 2
    ctx.work = worker.step
    search(ctx, stage, planned=24, may_widen=False)
    states = [tuple(r.state for r in t.runs) for t in here.queue.trials(stage.id)]
    assert set(states) == {("done", "done"), ("dropped", "dropped")}


@pytest.mark.parametrize(("took", "there", "expected"), [(30.0, True, "gp"), (9.0, True, "tpe"), (30.0, False, "tpe")])
def test_auto_takes_the_gaussian_process_where_a_training_costs_much_more(
    here: Bench, monkeypatch: pytest.MonkeyPatch, took: float, there: bool, expected: str
) -> None:
    monkeypatch.setattr("hpo.run.feeds.installed", lambda _: there)
    runs = (SimpleNamespace(purpose="noise", seconds=took), SimpleNamespace(purpose="search", seconds=99.0))
    ctx = context(here, sampler="auto")
    ctx.studies = SimpleNamespace(stages=lambda _: [SimpleNamespace(id=1, name="baseline")])
    ctx.queue = SimpleNamespace(trials=lambda _: [SimpleNamespace(runs=runs)])
    assert sampler_of(ctx) == expected
    assert sampler_of(context(here, sampler="qmc")) == "qmc"


def test_no_more_is_in_flight_than_the_cohorts_hold(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structures that wait for their first values keep their lanes: nobody proposes beyond them."""
    monkeypatch.setattr(hpo.training.engine, "open_session", partial(FakeSession, spread=0.2, sound=True))
    monkeypatch.setattr("hpo.run.cohorts.slots_for", lambda **_: 8)
    stage, ctx = here.stage("overfit"), slotted(here, lanes=2)
    worker, flight = here.worker(alone=True, lanes=2), list[int]()

    def work() -> None:
        trials = [t for t in here.queue.trials(stage.id) if t.state == "running"]
        flight.append(len(trials))
        assert len({t.structure for t in trials}) <= 2
        worker.step()

    ctx.work = work
    search(ctx, stage, planned=200, may_widen=False)
    assert max(flight) <= 2 * 12
