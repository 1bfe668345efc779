"""A process that trains is replaced when it has grown too large, and nothing else changes."""

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from run_support import SPACE, Bench, FakeSession, bench

import hpo.training.engine
from hpo.errors import Fault
from hpo.records import schema
from hpo.records.workers import Workers
from hpo.run import joining, launch, processes, renewal, workforce
from hpo.run.events import Event, Note, RunsFinished
from hpo.run.processes import Pool
from hpo.run.renewal import MEBIBYTE, POOLED, RENEWAL, Allowance, bound, machine_memory, resident_memory
from hpo.studyfile import load_study
from hpo.studyfile.spec import DataSpec, StudySpec, TrainingSpec


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_resident_memory_grows_with_what_is_held() -> None:
    before = resident_memory()
    held = np.ones(64 * MEBIBYTE // 8)
    assert 48 * MEBIBYTE < resident_memory() - before < 80 * MEBIBYTE
    assert len(held)


def test_the_bound_is_stated_or_a_part_of_half_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (machine_memory() or 0) > 256 * MEBIBYTE
    monkeypatch.setattr(renewal, "machine_memory", lambda: 1000 * MEBIBYTE)
    assert (bound(None, 1), bound(None, 4), bound(7, 4)) == (500, 125, 7)
    monkeypatch.setattr(renewal, "machine_memory", lambda: None)
    assert bound(None, 1) is None


def test_what_has_passed_stays_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100]
    monkeypatch.setattr(renewal, "resident_memory", lambda: now[0] * MEBIBYTE)
    allowance, endless = Allowance(10, since=100 * MEBIBYTE), Allowance(None)
    assert not allowance.passed()
    now[0] = 111
    assert allowance.passed()
    now[0] = 50
    assert allowance.passed()
    assert not endless.passed()


def pool(monkeypatch: pytest.MonkeyPatch, code: str, **more: Any) -> Pool:
    spec = StudySpec("wine", SPACE, DataSpec("sklearn:wine"))
    made = Pool(spec, "sqlite://", 1, data_dir=None, artifacts="a", memory=77, **more)
    monkeypatch.setattr(made, "_command", [sys.executable, "-c", code])
    return made


def watch(watched: Pool, until: int) -> None:
    with watched:
        while watched.renewals < until:
            for worker in watched._workers:
                worker.process.wait(10)
            watched.check()


def test_a_renewal_is_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = pool(monkeypatch, f"import os, sys; sys.exit({RENEWAL} if os.environ['{POOLED}'] == '77' else 1)")
    watch(asks, processes.RESTARTS + 2)
    dies = pool(monkeypatch, "raise SystemExit('out of luck')")
    with pytest.raises(Fault, match=r"keep dying \(exit code 1\): out of luck"):
        watch(dies, 1)


def test_who_takes_over_has_the_threads_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert pool(monkeypatch, "", divide=False)._environment["TF_NUM_INTRAOP_THREADS"] == "7"
    assert "OMP_NUM_THREADS" not in pool(monkeypatch, "", divide=False)._environment
    assert pool(monkeypatch, "")._environment["OMP_NUM_THREADS"] == str(os.cpu_count())


@pytest.mark.parametrize("pooled", [True, False])
def test_a_process_is_replaced_by_who_started_it_or_by_itself(monkeypatch: pytest.MonkeyPatch, pooled: bool) -> None:
    class Executed(Exception):
        pass

    def execute(path: str, words: list[str]) -> None:
        raise Executed(path, *words)

    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "hpo", "worker", "wine"])
    if pooled:
        monkeypatch.setenv(POOLED, "9")
        with pytest.raises(SystemExit) as left:
            renewal.replace_process()
        assert left.value.code == RENEWAL
        return
    monkeypatch.delenv(POOLED, raising=False)
    with pytest.raises(Executed) as executed:
        renewal.replace_process()
    assert executed.value.args == (sys.executable, sys.executable, "-m", "hpo", "worker", "wine")


def test_a_worker_that_grew_lets_its_runs_end_gives_the_rest_back_and_says_so(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.training.engine, "open_session", FakeSession)
    spec = StudySpec("wine", SPACE, DataSpec("sklearn:wine"), training=TrainingSpec(memory=1))
    monkeypatch.setattr(joining, "from_plain", lambda _: spec)
    dataset = SimpleNamespace(folds=1, fold=lambda i: None, facts=None, metric="accuracy", fingerprint="f")
    monkeypatch.setattr(joining, "load", lambda *_, **__: dataset)
    stage = here.stage()
    for number, epochs in enumerate((2, 5, 4, 4, 4, 4)):
        here.trial(stage, number, slots=2, epochs=epochs)
    here.studies.set_state(here.study.id, "running")
    Workers(here.db).lead(here.study.id, "a leader", 60)
    assert joining.work("wine", storage=here.db.url, artifacts=str(here.folder / "store"))
    # The third moved into the first one's slot before that one's end was handed in.
    assert [state for state, _ in here.runs(stage)] == ["done"] * 3 + ["queued"] * 3
    with here.db.read() as connection:
        row = connection.execute(sa.select(schema.worker)).one()
    assert row.renewals == 1
    assert row.memory > MEBIBYTE
    assert row.gone_at is not None


STUDY = """
name = "grows"
[data]
source = "sklearn:wine"
folds = 1
[budget]
trials = 3
epochs = 2
[training]
engine = "fit"
[recipe]
proof_seeds = 2
attempts = 0
[space]
model = "mlp"
[space.architecture]
units = { int = [8, 64], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 1e-1], log = true }
[space.regularization]
dropout = { float = [0.0, 0.5] }
"""
STAGES = """
    SELECT s.name, s.attempt, t.number, t.origin, t.state, t.value, t.training_loss, t.validation_loss, r.purpose,
           r.seed, r.training_loss, r.validation_metric, r.slots, v.decision, v.sentence
    FROM hpo_stage s JOIN hpo_trial t ON t.stage_id = s.id LEFT JOIN hpo_run r ON r.trial_id = t.id
    JOIN hpo_verdict v ON v.stage_id = s.id ORDER BY s.position, t.number, r.id"""


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
def test_renewals_change_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed over while squeeze trains, to processes that may hold less than Keras takes: each trains one run."""
    heard: list[Event] = []

    class Late(Allowance):
        def passed(self) -> bool:
            return any(isinstance(e, RunsFinished) and e.stage == "squeeze" and e.done == 1 for e in heard)

    for name in ("whole", "renewed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "study.toml").write_text(STUDY)
        over = {"training.memory": 1} if name == "renewed" else {}
        heard.clear()
        monkeypatch.setattr(workforce, "Allowance", Late if over else Allowance)
        spec = load_study(str(folder / "study.toml"), overrides=over)
        launch(spec, storage=f"sqlite:///{folder / 'study.db'}", export=str(folder / "bundle"), listener=heard.append)
        assert len([e for e in heard if isinstance(e, Note) and "grown large" in e.text]) == len(over)
    assert rows(tmp_path / "renewed", STAGES) == rows(tmp_path / "whole", STAGES)
    leader, *workers = rows(tmp_path / "renewed", "SELECT kind, renewals, memory FROM hpo_worker ORDER BY started_at")
    assert leader[:2] == ("leader", 1)
    assert sum(renewals for _, renewals, _ in workers) >= 2
    assert {kind for kind, *_ in workers} == {"worker"}
    assert all(memory > 100 * MEBIBYTE for _, renewals, memory in workers if renewals)
    assert rows(tmp_path / "whole", "SELECT kind, renewals FROM hpo_worker") == [("leader", 0)]
