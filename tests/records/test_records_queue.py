"""The laws of the queue, on every database."""

import math
import threading
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from records_support import Bench, closed, finished, result, trial

from hpo.errors import Fault, LeaseLost
from hpo.records import schema
from hpo.records.connection import now
from hpo.records.queue import Queue
from hpo.records.rows import ArtifactRef, FinishedRun, NewRun
from hpo.values import Outcome, RunRequest


def test_a_run_goes_through_its_whole_life(bench: Bench) -> None:
    stage = bench.stage()
    new = trial(0)
    bench.queue.add_trials(stage, [new])
    (leased,) = bench.queue.lease(bench.study.id, "w", 5, 60)
    assert leased.request == new.runs[0].request
    assert (leased.stage_id, leased.trial_number, leased.purpose, leased.tries) == (stage.id, 0, "search", 1)
    given = result()
    bench.queue.commit("w", [FinishedRun(leased.id, given, ArtifactRef("a.npz", "0" * 64, 7))])
    bench.queue.close_trials(stage, [closed(0)])
    (row,) = bench.queue.trials(stage.id)
    (run,) = row.runs
    assert (row.state, row.value, row.origin, row.structure, row.parameters) == ("complete", 0.9, "sampler", "s", 1234)
    assert row.configuration == new.configuration
    assert {k: type(v) for k, v in row.configuration.items()} == {k: type(v) for k, v in new.configuration.items()}
    assert row.varied == new.varied
    assert row.gap == closed(0).validation_loss - closed(0).training_loss
    assert row.diagnosis == closed(0).diagnosis
    assert (run.state, run.epochs_trained, run.best_epoch, run.worker_id) == ("done", 3, 3, "w")
    assert run.validation_loss == given.validation_loss
    assert run.artifact == ArtifactRef("a.npz", "0" * 64, 7)
    back = bench.queue.curve(run.id)
    np.testing.assert_array_equal(back.validation_loss, given.curve.validation_loss)
    assert np.isnan(back.gradient_norm[0])
    assert back.gradient_norm[1] == 0.1


def test_numbers_come_back_bit_for_bit(bench: Bench) -> None:
    stage = bench.stage()
    numbers = [math.pi, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, -1 / 3, float(np.float32(0.1))]
    configuration = {f"x{i}": v for i, v in enumerate(numbers)} | {"big": 2**60 + 1, "one": 1, "yes": True, "t": ""}
    bench.queue.add_trials(stage, [trial(0, configuration=configuration)])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 60)
    assert run.request.configuration == configuration
    assert type(run.request.configuration["one"]) is int
    assert type(run.request.configuration["yes"]) is bool
    given = result()
    object.__setattr__(given.curve, "training_loss", np.array(numbers[:3]))
    bench.queue.commit("w", [FinishedRun(run.id, given)])
    np.testing.assert_array_equal(bench.queue.curve(run.id).training_loss, numbers[:3])


def test_many_workers_lease_each_run_once(bench: Bench) -> None:
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(n, structure="ab"[n % 2]) for n in range(40)])
    taken: list[list[int]] = []
    starts, faults = threading.Barrier(4), []

    def work(name: str) -> None:
        starts.wait()
        try:
            while runs := bench.queue.lease(bench.study.id, name, 3, 60):
                assert len({r.trial_number % 2 for r in runs}) == 1, "a lease mixes structures"
                taken.append([r.id for r in runs])
                bench.queue.commit(name, [finished(r.id) for r in runs])
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    ids = [i for lease in taken for i in lease]
    assert len(ids) == len(set(ids)) == 40
    assert bench.queue.outstanding(stage.id) == {"done": 40}


def test_a_lease_takes_the_oldest_runs_of_one_structure(bench: Bench) -> None:
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(n, structure=s) for n, s in enumerate("abab")])
    leases = [[r.trial_number for r in bench.queue.lease(bench.study.id, "w", 8, 60)] for _ in range(3)]
    assert leases == [[0, 2], [1, 3], []]


def test_nothing_is_leased_while_study_or_stage_is_not_running(bench: Bench) -> None:
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(0)])
    bench.studies.set_state(bench.study.id, "stopped")
    assert bench.queue.lease(bench.study.id, "w", 1, 60) == []
    bench.studies.set_state(bench.study.id, "running")
    assert bench.queue.lease(bench.study.id, "w", 1, 60) == [], "its stage was stopped with it"
    bench.stage()
    assert len(bench.queue.lease(bench.study.id, "w", 1, 60)) == 1


def test_a_late_commit_is_refused_whole(bench: Bench) -> None:
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(0), trial(1)])
    first, second = bench.queue.lease(bench.study.id, "slow", 2, 0.01)
    bench.queue.renew("slow", [first.id], 60)
    time.sleep(0.05)
    assert bench.queue.reclaim(bench.study.id).requeued == (second.id,)
    assert bench.queue.renew("slow", [first.id, second.id], 60) == {first.id} == bench.queue.held("slow")
    (again,) = bench.queue.lease(bench.study.id, "quick", 2, 60)
    assert (again.id, again.tries) == (second.id, 2)
    with pytest.raises(LeaseLost, match=f"{second.id} are no longer"):
        bench.queue.commit("slow", [finished(first.id), finished(second.id)])
    assert bench.queue.outstanding(stage.id) == {"running": 2}
    assert not bench.queue.curves([first.id, second.id])
    bench.queue.commit("quick", [finished(second.id)])
    with pytest.raises(LeaseLost):
        bench.queue.commit("slow", [finished(second.id)])
    bench.queue.commit("slow", [finished(first.id)])
    assert bench.queue.outstanding(stage.id) == {"done": 2}


def test_a_lapsed_lease_that_nobody_took_may_still_be_committed(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0)])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 0.0)
    bench.queue.commit("w", [finished(run.id)])
    assert bench.queue.reclaim(bench.study.id).requeued == ()
    assert bench.queue.outstanding(stage.id) == {"done": 1}


def test_a_commit_may_be_repeated(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0)])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 60)
    bench.queue.commit("w", [finished(run.id, loss=0.5)])
    bench.queue.commit("w", [finished(run.id, loss=0.1)])
    assert bench.queue.trials(stage.id)[0].runs[0].training_loss == 0.5


def test_a_run_that_keeps_losing_its_worker_fails_and_releasing_is_no_try(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0)])
    for _ in range(5):
        bench.queue.lease(bench.study.id, "polite", 1, 60)
        assert bench.queue.release("polite") == 1
    for n in (1, 2, 3):
        (run,) = bench.queue.lease(bench.study.id, "dies", 1, -1)
        assert run.tries == n
        reclaimed = bench.queue.reclaim(bench.study.id, max_tries=3)
        assert reclaimed == replace(reclaimed, requeued=() if n == 3 else (run.id,), failed=(run.id,) if n == 3 else ())
    (row,) = bench.queue.trials(stage.id)[0].runs
    assert row.state == "failed"
    assert "3 tries" in (row.error or "")
    with pytest.raises(LeaseLost):
        bench.queue.commit("dies", [finished(row.id)])


def test_a_failed_run_keeps_its_reason_and_a_diverged_one_its_curve(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0), trial(1)])
    one, two = bench.queue.lease(bench.study.id, "w", 2, 60)
    diverged = FinishedRun(two.id, result(2, loss=math.nan, outcome=Outcome.DIVERGED))
    bench.queue.commit("w", [FinishedRun(one.id, None, error="no memory\0" + "!" * 99999), diverged])
    failed, other = (t.runs[0] for t in bench.queue.trials(stage.id))
    assert failed.state == "failed"
    assert (failed.error or "").startswith("no memory!")
    assert (other.state, other.epochs_trained) == ("diverged", 2)
    assert math.isnan(other.validation_loss)
    assert len(bench.queue.curve(other.id)) == 2
    assert len(bench.queue.curve(failed.id)) == 0


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None, 0.0])
def test_a_trial_keeps_the_value_it_had(bench: Bench, value: float | None) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0)])
    bench.queue.close_trials(stage, [closed(0, value, "pruned")])
    back = bench.queue.trials(stage.id)[0].value
    assert back == value or (value is not None and back is not None and math.isnan(back) and math.isnan(value))


def test_a_trial_is_added_and_closed_once(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0)])
    with pytest.raises(Fault, match="there already"):
        bench.queue.add_trials(stage, [trial(1), trial(0)])
    assert [t.number for t in bench.queue.trials(stage.id)] == [0], "half of a refused batch was kept"
    bench.queue.close_trials(stage, [closed(0)])
    bench.queue.add_trials(stage, [trial(1)])
    with pytest.raises(Fault, match="not running"):
        bench.queue.close_trials(stage, [closed(1), closed(0)])
    assert [t.state for t in bench.queue.trials(stage.id)] == ["complete", "running"]


def test_adding_the_same_runs_again_adds_none(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [new := trial(0)])
    more = [NewRun(RunRequest(new.configuration, seed, 0, 3), "proof") for seed in (1, 2, 2)]
    for _ in range(2):
        bench.queue.add_runs(stage.id, 0, more)
    assert [(r.purpose, r.seed) for r in bench.queue.trials(stage.id)[0].runs] == [
        ("search", 100), ("proof", 1), ("proof", 2),
    ]  # fmt: skip
    with pytest.raises(Fault, match="no trial 7"):
        bench.queue.add_runs(stage.id, 7, more)


def test_a_text_is_stored_whole_or_refused(bench: Bench) -> None:
    stage, long = bench.stage(), "s" * 65
    try:
        bench.queue.add_trials(stage, [trial(0, structure=long)])
    except Fault:
        long = ""
    assert [t.structure for t in bench.queue.trials(stage.id)] == [long] * bool(long)


def test_dropped_runs_are_not_leased(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(n) for n in range(3)])
    bench.queue.lease(bench.study.id, "w", 1, 60)
    assert bench.queue.drop(stage.id, "the budget is used up") == 2
    assert bench.queue.outstanding(stage.id) == {"running": 1, "failed": 2}
    assert bench.queue.lease(bench.study.id, "w", 9, 60) == []


def test_only_the_leader_moves_the_study_on(bench: Bench) -> None:
    old, new = (bench.workers.register(bench.study.id, "leader") for _ in range(2))
    assert bench.workers.lead(bench.study.id, old, 60)
    assert not bench.workers.lead(bench.study.id, new, 60)
    stage = bench.stage()
    late = Queue(bench.db, leader=old)
    late.add_trials(stage, [trial(0)])
    assert bench.workers.lead(bench.study.id, old, -1), "renewing is always possible"
    assert bench.workers.lead(bench.study.id, new, 60), "the lease had lapsed"
    for write in (
        lambda: late.add_trials(stage, [trial(1)]),
        lambda: late.add_runs(stage.id, 0, []),
        lambda: late.close_trials(stage, [closed(0)]),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert [(t.number, t.state) for t in bench.queue.trials(stage.id)] == [(0, "running")]
    bench.workers.resign(bench.study.id, new)
    assert bench.workers.lead(bench.study.id, old, 60)


def test_a_transaction_that_is_given_up_is_repeated(bench: Bench) -> None:
    """Two transactions lock two studies in opposite order: the databases break the knot, and both come through."""
    other = bench.studies.open(bench.study.name + " b", {}, "f", 0)
    meet = threading.Barrier(2)
    tries: list[int] = []

    def swap(first: int, second: int) -> None:
        met = False

        def work(connection: sa.Connection) -> None:
            nonlocal met
            tries.append(first)
            for study_id in (first, second):
                same = schema.study.c.id == study_id
                connection.execute(sa.update(schema.study).where(same).values(seed=schema.study.c.seed + 1))
                if not met and bench.db.dialect != "sqlite":
                    met = True
                    meet.wait(20)

        bench.db.transact(work)

    pairs = [(bench.study.id, other.id), (other.id, bench.study.id)]
    threads = [threading.Thread(target=swap, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (bench.studies.get(bench.study.name).seed, bench.studies.get(other.name).seed) == (5, 2)
    assert len(tries) == (2 if bench.db.dialect == "sqlite" else 3)


def test_artifacts_of_runs_can_be_forgotten(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(0), trial(1)])
    runs = bench.queue.lease(bench.study.id, "w", 2, 60)
    bench.queue.commit("w", [FinishedRun(r.id, result(), ArtifactRef(f"{r.id}.npz", "0" * 64, 7)) for r in runs])
    assert bench.queue.forget_artifacts(bench.study.id, [runs[0].id]) == [f"{runs[0].id}.npz"]
    assert [t.runs[0].artifact is None for t in bench.queue.trials(stage.id)] == [True, False]


def test_trials_are_read_by_number(bench: Bench) -> None:
    stage, other = bench.stage(), bench.stage("squeeze")
    bench.queue.add_trials(stage, [trial(n, runs=2) for n in range(6)])
    bench.queue.add_trials(other, [trial(0), trial(3)])
    bench.queue.close_trials(stage, [closed(0), closed(4)])
    whole = {t.number: t for t in bench.queue.trials(stage.id)}
    assert bench.queue.trials(stage.id, numbers=[4, 99, 1, 4]) == [whole[1], whole[4]]
    assert [len(t.runs) for t in bench.queue.trials(stage.id, numbers={1})] == [2]
    assert bench.queue.trials(stage.id, False, numbers=()) == []


def test_a_run_says_why_its_engine_trained_it_and_in_how_many_slots(bench: Bench) -> None:
    new = trial(0, runs=2)
    asked = replace(new, runs=tuple(replace(r, slots=8) for r in new.runs))
    bench.queue.add_trials(stage := bench.stage(), [asked])
    one, two = bench.queue.lease(bench.study.id, "w", 2, 60)
    assert (one.slots, two.slots) == (8, 8)
    given = replace(result(), engine_reason="one structure", slots=4)
    bench.queue.commit("w", [FinishedRun(one.id, given), FinishedRun(two.id, None, error="no memory")])
    rows = bench.queue.trials(stage.id)[0].runs
    assert [(r.engine_reason, r.slots) for r in rows] == [("one structure", 4), (None, 8)]


def test_runs_of_one_file_share_its_row_and_none_takes_anothers(bench: Bench) -> None:
    bench.queue.add_trials(stage := bench.stage(), [trial(n) for n in range(4)])
    runs = bench.queue.lease(bench.study.id, "w", 4, 60)
    refs = [ArtifactRef(f"{name}.npz", "0" * 64, 7) for name in "abb"]
    bench.queue.commit("w", [FinishedRun(runs[0].id, result(), refs[0])])
    pairs = zip(runs[1:], [*refs[1:], None], strict=True)
    bench.queue.commit("w", [FinishedRun(r.id, result(), ref) for r, ref in pairs])
    assert [t.runs[0].artifact for t in bench.queue.trials(stage.id)] == [*refs, None]
    with bench.db.read() as connection:
        mine = schema.artifact.c.study_id == bench.study.id
        assert len(connection.execute(sa.select(schema.artifact).where(mine)).all()) == 2


def test_a_worker_notes_its_memory_and_how_often_it_was_renewed(bench: Bench) -> None:
    me, other = (bench.workers.register(bench.study.id) for _ in range(2))
    bench.workers.note_memory(me, 3 * 2**30, renewed=1)
    bench.workers.note_memory(me, 2**30)
    with bench.db.read() as connection:
        worker = schema.worker
        rows = {r.id: (r.renewals, r.memory) for r in connection.execute(sa.select(worker))}
    assert (rows[me], rows[other]) == ((1, 2**30), (0, None))


def test_a_study_was_led_while_a_leader_was_seen_however_late_its_end_was_noted(bench: Bench) -> None:
    def entered(kind: str, began: int, seen: int) -> str:
        worker_id = bench.workers.register(bench.study.id, kind)
        with bench.db.write() as connection:
            times = {"started_at": now(connection) - timedelta(seconds=began),
                     "seen_at": now(connection) - timedelta(seconds=seen), "gone_at": now(connection)}  # fmt: skip
            connection.execute(sa.update(schema.worker).where(schema.worker.c.id == worker_id).values(times))
        return worker_id

    entered("leader", 4000, 3900)
    entered("worker", 4000, 0)
    me = entered("leader", 60, 50)
    assert bench.workers.led_seconds(bench.study.id, me) == pytest.approx(160, abs=5)
    with bench.db.read() as connection:
        since = now(connection) - timedelta(seconds=3950)
    assert bench.workers.led_seconds(bench.study.id, me, since) == pytest.approx(110, abs=5)


def test_a_lease_looks_past_any_number_of_runs_of_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.records.run_rows.IDS_AT_ONCE", 2)
    other = bench.studies.open(bench.study.name + " b", {}, "f", 0)
    theirs = bench.studies.begin_stage(other.id, "tune", 1, 4, "f1", None, None, 9, None, None)
    bench.queue.add_trials(theirs, [trial(n) for n in range(5)])
    bench.queue.add_trials(bench.stage(), [trial(n, structure=s) for n, s in enumerate("abbabbba")])
    leases = [[r.trial_number for r in bench.queue.lease(bench.study.id, "w", 2, 60)] for _ in range(5)]
    assert leases == [[0, 3], [1, 2], [4, 5], [6], [7]]
