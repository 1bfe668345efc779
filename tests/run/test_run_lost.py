"""Workers and leaders that are stopped, cut off or killed, with real processes and, in the end, real chaos."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from run_support import FakeSession, bench

import hpo.training.engine
from hpo.records import schema
from hpo.records.database import Database
from hpo.records.workers import Workers
from hpo.run.renewal import PARENT, POOLED

ROOT = Path(__file__).resolve().parents[2]
CHAOS = ROOT / "benchmarks" / "chaos"


def until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


STOPPED = """
import sys, time
sys.path[:0] = [{here!r}]
from types import SimpleNamespace
import run_support
from hpo.run import joining, worker
from hpo.studyfile.spec import SearchSpec, TrainingSpec
import hpo.training.engine

class Slow(run_support.FakeSession):
    def advance(self, epochs):
        time.sleep(0.7)
        super().advance(epochs)

hpo.training.engine.open_session = Slow
joining.LEASE_SECONDS = worker.LEASE_SECONDS = 1.0
spec = SimpleNamespace(name="wine", seed=0, metric=None, base=".", data=None, training=TrainingSpec(),
                       search=SearchSpec(), space=SimpleNamespace(model="mlp"))
joining.from_plain = lambda plain: spec
joining.refuse_code = lambda spec, allowed: None
joining.code_folder = lambda spec: __import__("contextlib").nullcontext()
dataset = SimpleNamespace(folds=1, fold=lambda i: None, facts=None, metric="accuracy", fingerprint="f")
joining.load = lambda *given, **more: dataset
joining.work("wine", storage={url!r}, artifacts={store!r}, listener=lambda event: print(event, flush=True))
print("left", flush=True)
"""


def test_a_worker_stopped_past_its_lease_writes_nothing_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    with bench(tmp_path) as here:
        stage = here.stage()
        here.trial(stage, 0, slots=2, epochs=4)
        here.studies.set_state(here.study.id, "running")
        assert Workers(here.db).lead(here.study.id, "leader", 600)
        code = STOPPED.format(here=str(Path(__file__).parent), url=here.db.url, store=str(tmp_path / "store"))
        slow = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        try:
            until(lambda: here.queue.outstanding(stage.id) == {"running": 1}, "the run is leased")
            time.sleep(0.3)  # in the middle of an epoch, and of no transaction
            slow.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            assert len(here.queue.reclaim(here.study.id).requeued) == 1, "a stopped process is not a dead one"
            assert here.worker("quick").step() == 1
            (row,) = here.queue.trials(stage.id)[0].runs
            before = _all(here.db)
            slow.send_signal(signal.SIGCONT)
            until(lambda: here.queue.outstanding(stage.id) == {"done": 1}, "nothing changed")
            here.studies.set_state(here.study.id, "running")
            time.sleep(4 * 0.7)
            assert _all(here.db) == before, "the late write left a trace"
        finally:
            here.studies.set_state(here.study.id, "finished")
            slow.send_signal(signal.SIGCONT)
            said = slow.communicate(timeout=60)[0]
    assert row.tries == 2
    assert "1 run went to another worker meanwhile" in said
    assert said.endswith("left\n"), "it goes on as a worker like any other"


def test_a_local_worker_whose_leader_died_before_it_looked_leaves(tmp_path: Path) -> None:
    with bench(tmp_path) as here:
        here.studies.set_state(here.study.id, "running")
        code = STOPPED.format(here=str(Path(__file__).parent), url=here.db.url, store=str(tmp_path / "store"))
        environment = {**os.environ, POOLED: "", PARENT: "0"}
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert said.stdout.endswith("left\n"), said.stderr


def _all(db: Database) -> list[object]:
    tables = (schema.trial, schema.run, schema.epoch, schema.rung, schema.artifact, schema.layer_health)
    return db.look(lambda c: [tuple(row) for table in tables for row in c.execute(sa.select(table)).all()])


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_chaos_loses_nothing(database: str) -> None:
    words = ["--database", database, "--trials", "60", "--workers", "3", "--kills", "4", "--leader-kills", "1"]
    words += ["--restarts", "1", "--milliseconds", "500", "--slots", "4"]
    done = subprocess.run([sys.executable, str(CHAOS), *words], capture_output=True, text=True, timeout=400, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert f'"blows": {5 if database == "sqlite" else 6}' in done.stdout
