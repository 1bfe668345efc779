"""A server that goes away and comes back: what was under way is done once, and nobody holds up the others."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from records_support import Bench, closed, finished, trial

from hpo.errors import Fault
from hpo.records import retries, schema
from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.values import Verdict

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "chaos"))
import servers


@pytest.fixture(params=["embedded_postgresql", "mariadb"])
def made(request: pytest.FixtureRequest, fresh_url: Callable[[str], str]) -> Iterator[Bench]:
    """A study on a server."""
    with connect(fresh_url(request.param), tell=lambda text: None) as db:
        study = Studies(db).open("s", {}, "f", 0)
        yield Bench(db, Studies(db), Queue(db), Workers(db), study)


@contextmanager
def unheard(db: Database) -> Iterator[list[int]]:
    """The next commit is done, and the connection is lost before the server says so."""
    commit, times = db.engine.dialect.do_commit, list[int]()

    def committed(connection: Any) -> None:
        commit(connection)
        times.append(1)
        if len(times) == 1:
            if db.dialect == "mysql":
                raise pymysql.err.OperationalError(2013, "Lost connection to server during query")
            raise psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")

    db.engine.dialect.do_commit = committed
    try:
        yield times
    finally:
        db.engine.dialect.do_commit = commit


def test_a_commit_whose_answer_was_lost_is_done_once(made: Bench) -> None:
    db, queue, studies = made.db, made.queue, made.studies
    stage = made.stage(optuna_study=True)
    with unheard(db) as times:
        queue.add_trials(stage, [trial(0), trial(1)])
    assert len(times) == 2, "nobody asked whether it was done"
    assert [t.number for t in queue.trials(stage.id)] == [0, 1]
    runs = queue.lease(made.study.id, "w", 2, 60)
    with unheard(db):
        queue.commit("w", [finished(run.id) for run in runs])
    with unheard(db):
        queue.close_trials(stage, [closed(0), closed(1)])
    assert [t.state for t in queue.trials(stage.id)] == ["complete", "complete"]
    with unheard(db):
        assert studies.end_stage(stage.id, Verdict("go on", "Enough.", {}, {}), []).state == "done"
    with unheard(db):
        worker = made.workers.register(made.study.id)
    assert made.workers.alive(made.study.id, 60) == 1
    assert worker


def test_a_connection_lost_while_it_goes_back_to_the_pool_hurts_nobody(made: Bench) -> None:
    rollback, times = made.db.engine.dialect.do_rollback, list[int]()
    kill = "KILL CONNECTION {}" if made.db.dialect == "mysql" else "SELECT pg_terminate_backend({})"
    own = "SELECT CONNECTION_ID()" if made.db.dialect == "mysql" else "SELECT pg_backend_pid()"
    with Database(made.db.engine.url) as admin, admin.engine.connect() as other:

        def rolled_back(connection: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(own)
                (number,) = cursor.fetchone()
            rollback(connection)
            other.exec_driver_sql(kill.format(number))
            times.append(number)

        made.db.engine.dialect.do_rollback = rolled_back
        try:
            for _ in range(6):  # more than the pool has places
                assert made.studies.get("s").id == made.study.id
        finally:
            made.db.engine.dialect.do_rollback = rollback
    assert len(times) == 6


def test_reading_back_what_was_added_outlives_a_dropped_connection(made: Bench) -> None:
    stage, new = made.stage(), [trial(0), trial(1)]
    made.queue.add_trials(stage, new)
    read, times = made.db.engine.dialect.do_execute, list[int]()

    def dropped(cursor: Any, *given: Any) -> None:
        times.append(1)
        if len(times) == 2:
            cursor.connection.close()
        read(cursor, *given)

    made.db.engine.dialect.do_execute = dropped
    try:
        assert [t.number for t in made.queue.added(stage.id, new)] == [0, 1]
    finally:
        made.db.engine.dialect.do_execute = read


def test_a_read_sees_one_moment(made: Bench) -> None:
    def twice(connection: sa.Connection) -> list[object]:
        state = sa.select(schema.study.c.state)
        before = connection.execute(state).scalar_one()
        made.studies.set_state(made.study.id, "finished")
        return [before, connection.execute(state).scalar_one()]

    assert made.db.look(twice) == ["running", "running"]
    assert made.studies.get("s").state == "finished"


def test_a_value_that_no_server_takes_is_not_waited_for(fresh_url: Callable[[str], str]) -> None:
    heard: list[str] = []
    with (
        connect(fresh_url("embedded_postgresql"), tell=heard.append) as db,
        pytest.raises(Fault, match="cannot contain NUL"),
    ):
        Studies(db).get("a\0b")
    assert heard == []


def test_a_lease_whose_answer_was_lost_lapses(made: Bench) -> None:
    made.queue.add_trials(stage := made.stage(), [trial(n) for n in range(4)])
    with unheard(made.db):
        known = {run.id for run in made.queue.lease(made.study.id, "w", 2, 0.5)}
    assert made.queue.outstanding(stage.id) == {"running": 4}
    time.sleep(0.6)
    assert made.queue.renew("w", known, 60) == known
    lapsed = set(made.queue.reclaim(made.study.id).requeued)
    assert len(lapsed) == 2
    assert not lapsed & known


def test_a_run_whose_workers_keep_dying_is_leased_by_itself(made: Bench) -> None:
    made.queue.add_trials(made.stage(), [trial(n) for n in range(3)])
    for _ in range(3):
        assert len(made.queue.lease(made.study.id, "dies", 1, -1)) == 1
        made.queue.reclaim(made.study.id)
    (suspect,) = made.queue.lease(made.study.id, "w", 9, 60)
    assert suspect.tries == 4
    assert made.queue.lease(made.study.id, "w", 9, 60, like=suspect) == []
    others = made.queue.lease(made.study.id, "w", 9, 60)
    assert len(others) == 2
    assert made.queue.release("w") == 3
    assert [run.tries for run in made.queue.lease(made.study.id, "w", 1, 60, like=others[0])] == [1]


def test_a_transaction_that_nobody_goes_on_with_is_ended_by_the_server(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.records.connection.IDLE_SECONDS", 1)
    lock = sa.select(schema.study.c.id).with_for_update()
    with Database(made.db.engine.url) as stopped, stopped.engine.connect() as held:
        held.execute(lock).all()
        began = time.monotonic()
        made.studies.set_state(made.study.id, "stopped")
        assert 0.5 < time.monotonic() - began < 15
        held.invalidate()


@pytest.mark.slow
def test_a_server_that_is_restarted_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    heard: list[str] = []
    with servers.server("postgresql") as server, connect(server.url, tell=heard.append) as db:
        studies = Studies(db)
        study = studies.open("s", {}, "f", 0)
        for how in server.stops:
            server.stop(how)
            threading.Timer(1.5, server.start).start()
            studies.set_state(study.id, "running")
            assert studies.get("s").state == "running"
    assert "does not answer" in heard[0]
    assert "answers again" in heard[1]


def test_a_server_that_stays_away_is_given_up_and_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "OUTAGE_SECONDS", 0.5)
    with servers.server("postgresql") as server, connect(server.url, tell=lambda text: None) as db:
        study = Studies(db).open("s", {}, "f", 0)
        server.stop(signal.SIGQUIT)
        with pytest.raises(Fault, match="the database failed"):
            Studies(db).get("s")
        monkeypatch.setattr(retries, "OUTAGE_SECONDS", 300.0)
        with pytest.raises(Fault, match="the database failed"):
            Studies(db).set_state(study.id, "failed")
        server.start()
        assert Studies(db).get("s").state == "running"
