"""The lead of a study is kept for as long as its process works, and never taken back from another."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from run_support import Bench, bench

from hpo.clock import utc_now
from hpo.errors import Fault, InputError, LeaseLost, Stopped
from hpo.records import schema
from hpo.records.artifacts import ArtifactStore
from hpo.records.stopping import stop
from hpo.records.workers import Workers
from hpo.run import leading, succession
from hpo.run.keeping import Keeper
from hpo.run.leading import forget, led
from hpo.run.succession import Succession


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def lapse(here: Bench) -> None:
    """Let the lead run out, as while a machine sleeps."""
    past = utc_now() - timedelta(seconds=1)
    here.db.transact(lambda c: c.execute(sa.update(schema.study).values(leader_until=past)))


def test_the_state_says_how_a_study_was_left(here: Bench) -> None:
    with led(here.db, here.study):
        assert here.studies.get("wine").state == "running"
        with pytest.raises(InputError, match="another process leads"), led(here.db, here.study):
            pass
    assert here.studies.get("wine").leader_worker_id is None
    with pytest.raises(Stopped, match="Go on with the same command"), led(here.db, here.study):
        raise KeyboardInterrupt
    assert here.studies.get("wine").state == "stopped"
    with pytest.raises(Fault, match="broken"), led(here.db, here.study):
        raise Fault("broken")
    assert here.studies.get("wine").state == "failed"


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_stops_the_study_at_the_next_good_place_or_when_pressed_again_at_once(here: Bench, presses: int) -> None:
    came: list[str] = []

    def pressed() -> None:
        with led(here.db, here.study) as lead:
            signal.raise_signal(signal.SIGINT)
            came.append("pressed")
            if presses == 2:
                signal.raise_signal(signal.SIGINT)
            came.append("went on")
            lead.check()

    with pytest.raises(Stopped):
        pressed()
    assert came == ["pressed", "went on"][: 3 - presses]
    assert here.studies.get("wine").state == "stopped"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_heir_does_not_undo_that_the_study_was_asked_to_stop(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    here.studies.set_state(here.study.id, "running")
    worker = Workers(here.db).register(here.study.id)
    assert Workers(here.db).lead(here.study.id, worker, 60)
    assert stop(here.db, "wine") == "stopping"
    monkeypatch.setenv(leading.HEIR_OF, worker)
    with pytest.raises(Stopped), led(here.db, here.study) as lead:
        lead.check()
    assert here.studies.get("wine").state == "stopped"


def test_a_study_that_was_stopped_while_its_lead_had_lapsed_ends(here: Bench) -> None:
    def lapsed() -> None:
        with led(here.db, here.study) as lead:
            lapse(here)
            assert stop(here.db, "wine") == "stopped"
            assert lead.renew()
            lead.check()

    with pytest.raises(Stopped):
        lapsed()
    assert here.studies.get("wine").state == "stopped"


@pytest.mark.parametrize("silent", [False, True])
def test_a_leader_that_is_busy_takes_runs_from_the_dead_and_one_that_heard_nothing_waits(
    here: Bench, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(leading, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(leading, "LEAD_SECONDS", 60.0 if silent else 0.4)
    here.trial(stage := here.stage(), 0)
    with led(here.db, here.study) as lead:
        lead.check()
        assert len(here.queue.lease(here.study.id, "dead", 1, 0.0)) == 1
        time.sleep(0.8)  # an epoch
        lead.check()
        assert here.queue.outstanding(stage.id) == {"running" if silent else "queued": 1}


@pytest.fixture
def ready(here: Bench) -> Iterator[Succession]:
    """A worker whose leaders only wait."""
    workers = Workers(here.db)
    made = Succession(
        workers, here.study.id, workers.register(here.study.id), command=[], storage="", artifacts="", tell=str
    )
    made._command = [sys.executable, "-c", "import time; time.sleep(60)"]
    yield made
    made.close()


def test_a_claim_is_kept_for_as_long_as_the_leader_takes_to_start(here: Bench, ready: Succession) -> None:
    ready.look()
    lapse(here)
    ready.keep()
    assert not Workers(here.db).leaderless(here.study.id)
    lapse(here)
    assert Workers(here.db).lead(here.study.id, "it has started", 60)
    ready.keep()
    assert here.studies.get("wine").leader_worker_id == "it has started"


@pytest.mark.parametrize(("early", "starts"), [(60.0, 3), (0.0, 6)])
def test_only_leaders_that_die_early_are_counted(
    here: Bench, ready: Succession, monkeypatch: pytest.MonkeyPatch, early: float, starts: int
) -> None:
    monkeypatch.setattr(succession, "EARLY_SECONDS", early)
    monkeypatch.setattr(succession, "LOOK_SECONDS", 0.0)
    started = list[object]()
    for _ in range(6):
        ready.look()
        if ready._process is not None:
            started.append(ready._process)
            ready._process.kill()
            ready._process.wait()
            ready.look()
            lapse(here)
    assert len(started) == starts


def test_what_a_shell_put_into_the_background_still_leaves_at_sigterm(here: Bench) -> None:
    def told_to_leave() -> None:
        with led(here.db, here.study) as lead:
            signal.raise_signal(signal.SIGTERM)
            lead.check()

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(Stopped, match="this process leaves"):
            told_to_leave()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    row = here.studies.get("wine")
    assert (row.state, row.leader_worker_id) == ("running", None)


def test_a_lead_that_lapsed_is_kept_while_nobody_has_led_since(here: Bench) -> None:
    with led(here.db, here.study) as lead:
        lapse(here)
        assert lead.renew()
        lead.check()
        assert not Workers(here.db).lead(here.study.id, "other", 60)


@pytest.mark.parametrize("left_again", [False, True])
def test_a_lead_that_went_to_another_is_not_taken_back(here: Bench, left_again: bool) -> None:
    workers = Workers(here.db)

    def loses_it() -> None:
        with led(here.db, here.study) as lead:
            lapse(here)
            assert workers.lead(here.study.id, "other", 60)
            here.studies.set_state(here.study.id, "finished")
            if left_again:
                workers.resign(here.study.id, "other")
            assert not lead.renew()
            lead.check()

    with pytest.raises(LeaseLost, match="taken over"):
        loses_it()
    row = here.studies.get("wine")
    assert row.state == "finished", "the study is another's: this process says nothing of it"
    assert row.leader_worker_id == (None if left_again else "other")


def test_leases_outlive_what_takes_long(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "LEAD_SECONDS", 0.4)
    monkeypatch.setattr(leading, "LEASE_SECONDS", 0.4)
    stage = here.stage()
    here.trial(stage, 0)
    with led(here.db, here.study) as lead:
        (run,) = here.queue.lease(here.study.id, lead.worker_id, 1, 0.4)
        lead.holds = lambda: [run.id]
        time.sleep(1.2)
        assert not Workers(here.db).lead(here.study.id, "other", 60)
        assert here.queue.reclaim(here.study.id).requeued == ()


def test_a_study_that_is_led_is_not_forgotten(here: Bench, tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    with led(here.db, here.study), pytest.raises(InputError, match="another process leads"):
        forget(here.db, "wine", store)
    forget(here.db, "wine", store)
    assert here.studies.all() == []
    forget(here.db, "wine", store)


def test_a_keeper_tries_again_where_the_database_fails_and_ends_when_there_is_nothing_to_keep() -> None:
    calls: list[int] = []
    over = threading.Event()

    def renew() -> bool:
        calls.append(len(calls))
        if len(calls) == 1:
            raise Fault("the database does not answer")
        if len(calls) == 3:
            over.set()
            return False
        return True

    with Keeper(renew, 0.01):
        assert over.wait(5)
        time.sleep(0.05)
    assert calls == [0, 1, 2]
