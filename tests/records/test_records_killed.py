"""`kill -9` at any moment: what was being written is there or not there, and the runs go back to the queue."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from records_support import Bench, closed, finished, optuna_storage, trial

from hpo.records import workers
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies

HERE = Path(__file__).parent

KILLED_AFTER = """
import os, sys
sys.path.insert(0, {here!r})
import sqlalchemy as sa
from records_support import Bench, closed, finished, trial
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies
db = connect({url!r}, create=False)
studies, queue = Studies(db), Queue(db)
study = studies.get("s")
stage = studies.stages(study.id)[0]
left = [{statements}]
def count(connection, cursor, statement, *_):
    if statement.split()[0] in ("INSERT", "UPDATE", "DELETE"):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), {kill})
sa.event.listen(sa.engine.Engine, "before_cursor_execute", count)
{verb}
print("done")
"""
VERBS = {
    "add": "queue.add_trials(stage, [trial(2), trial(3, closed=closed(3))])",
    "commit": "queue.commit('w', [finished(1), finished(2)])",
    "close": "queue.close_trials(stage, [closed(0), closed(1)])",
}


def state(url: str) -> tuple[object, ...]:
    """All that the verbs change, in both sets of tables."""
    with connect(url, create=False) as db, optuna_storage(url) as storage:
        study = Studies(db).get("s")
        (stage,) = Studies(db).stages(study.id)
        rows = Queue(db).trials(stage.id)
        optuna_trials = storage.get_all_trials(storage.get_study_id_from_name("s/tune"))
        runs = [(r.id, r.state) for t in rows for r in t.runs]
        return (
            [(t.number, t.state, t.value) for t in rows], runs, len(Queue(db).curves([r for r, _ in runs])),
            [(t.number, t.state.name, t.value, t.params, sorted(t.system_attrs)) for t in optuna_trials],
        )  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_each_statement(sqlite_url: str, verb: str) -> None:
    with connect(sqlite_url) as db:
        studies, queue = Studies(db), Queue(db)
        study = studies.open("s", {}, "f", 0)
        bench = Bench(db, studies, queue, workers.Workers(db), study)
        stage = bench.stage(optuna_study=True)
        queue.add_trials(stage, [trial(0), trial(1)])
        assert len(queue.lease(study.id, "w", 2, 600)) == 2
        if verb == "close":
            queue.commit("w", [finished(1), finished(2)])
    before, done, statements = state(sqlite_url), False, 0
    while not done:
        code = KILLED_AFTER.format(
            here=str(HERE), url=sqlite_url, statements=statements, kill=int(signal.SIGKILL), verb=VERBS[verb]
        )
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        done = child.stdout == "done\n"
        if not done:
            assert child.returncode == -signal.SIGKILL, child.stderr
            assert state(sqlite_url) == before
            statements += 1 if statements < 2 else 3
    assert statements >= 2, "the verb was not interrupted often enough to prove anything"
    assert state(sqlite_url) != before


def test_a_process_that_died_on_this_machine_is_noticed_at_once(bench: Bench) -> None:
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(0), trial(1)])
    code = (
        "import sys, time\n"
        "from hpo.records.database import connect\nfrom hpo.records.queue import Queue\n"
        "from hpo.records.workers import Workers\n"
        f"db = connect({bench.db.url!r}, create=False)\n"
        f"me = Workers(db).register({bench.study.id}, 'leader')\n"
        f"assert Workers(db).lead({bench.study.id}, me, 600)\n"
        f"assert len(Queue(db).lease({bench.study.id}, me, 1, 600)) == 1\n"
        "print(me, flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        me = bench.workers.register(bench.study.id)
        assert bench.queue.reclaim(bench.study.id).requeued == ()
        assert not bench.workers.lead(bench.study.id, me, 60)
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
        assert len(bench.queue.reclaim(bench.study.id).requeued) == 1
    assert bench.workers.lead(bench.study.id, me, 60), f"{name} is dead, and still the leader"
    assert len(bench.queue.lease(bench.study.id, me, 5, 60)) == 2
    assert bench.queue.reclaim(bench.study.id).requeued == (), "this process lives"


def test_a_process_elsewhere_is_not_judged_from_here(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.queue.add_trials(bench.stage(), [trial(0)])
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(workers, "_place", lambda: "another machine")
        elsewhere.setattr(os, "getpid", lambda: 2**22 + 1)
        far = bench.workers.register(bench.study.id)
    bench.queue.lease(bench.study.id, far, 1, 600)
    assert bench.queue.reclaim(bench.study.id).requeued == ()
    assert bench.workers.alive(bench.study.id, 60) == 1
    bench.workers.gone(far)
    assert bench.workers.alive(bench.study.id, 60) == 0
    assert len(bench.queue.reclaim(bench.study.id).requeued) == 1


def test_a_process_number_used_again_is_not_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.queue.add_trials(bench.stage(), [trial(0)])
    with monkeypatch.context() as earlier:
        earlier.setattr(workers, "_process", lambda pid: "1")
        old = bench.workers.register(bench.study.id)
    bench.queue.lease(bench.study.id, old, 1, 600)
    assert len(bench.queue.reclaim(bench.study.id).requeued) == 1


def test_closed_values_reach_both_sides(bench: Bench) -> None:
    """What the kill test compares is what a whole verb writes."""
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(0)])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 60)
    bench.queue.commit("w", [finished(run.id)])
    bench.queue.close_trials(stage, [closed(0, 0.25)])
    assert bench.queue.trials(stage.id)[0].value == 0.25
