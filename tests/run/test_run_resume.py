"""A study goes on: stopped with Ctrl-C or killed with -9, as if nothing had happened, or without its leader."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUDY = """
name = "wine"
seed = 3
[data]
source = "sklearn:wine"
folds = 1
[budget]
trials = 12
epochs = 4
[search]
batch = 2
halving = false
[recipe]
proof_seeds = 2
[space]
model = "mlp"
[space.architecture]
hidden_layers = { int = [1, 2] }
units = { int = [8, 32], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 1e-1], log = true }
[space.regularization]
dropout = { float = [0.0, 0.5] }
"""

TRIALS = """
    SELECT s.name, s.attempt, t.number, t.origin, t.state, t.value, t.training_loss, t.validation_loss, t.parameters,
           t.diagnosis
    FROM hpo_trial t JOIN hpo_stage s ON s.id = t.stage_id ORDER BY s.position, t.number"""
VERDICTS = """
    SELECT s.name, s.attempt, v.decision, v.sentence FROM hpo_verdict v JOIN hpo_stage s ON s.id = v.stage_id
    ORDER BY s.position"""
PARAMS = """
    SELECT s.name, t.number, p.name, p.value_number, p.value_text
    FROM hpo_param p JOIN hpo_trial t ON t.id = p.trial_id JOIN hpo_stage s ON s.id = t.stage_id
    ORDER BY s.position, t.number, p.name"""


def start(folder: Path) -> "subprocess.Popen[str]":
    (folder / "study.toml").write_text(STUDY)
    return call(folder, "run", "study.toml")


def call(folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "hpo", *words, "--storage", "sqlite:///study.db"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as connection:
        return connection.execute(query).fetchall()


def until(folder: Path, query: str, process: "subprocess.Popen[str]") -> None:
    """Wait until a count in the database is at least one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if rows(folder, query)[0][0]:
                return
        except sqlite3.OperationalError:  # the tables are not there yet
            pass
        time.sleep(0.02)
    pytest.fail(f"never came to {query}: {process.communicate(timeout=10)[0]}")


def finish(process: "subprocess.Popen[str]", code: int) -> str:
    output = process.communicate(timeout=180)[0]
    assert process.returncode == code, output
    return output


@pytest.mark.slow
def test_stopped_and_killed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    finish(start(whole), 0)

    stopped = start(broken)
    until(broken, "SELECT count(*) FROM hpo_trial t JOIN hpo_stage s ON s.id = t.stage_id "
                  "WHERE s.name = 'overfit' AND t.state = 'complete'", stopped)  # fmt: skip
    stopped.send_signal(signal.SIGINT)
    said = finish(stopped, 3)
    assert "Ctrl-C again stops at once" in said
    assert "Go on with the same command" in said
    assert rows(broken, "SELECT state FROM hpo_study") == [("stopped",)]
    assert rows(broken, "SELECT count(*) FROM hpo_run WHERE state = 'running'") == [(0,)]

    killed = start(broken)
    until(broken, "SELECT count(*) FROM hpo_run r JOIN hpo_trial t ON t.id = r.trial_id JOIN hpo_stage s "
                  "ON s.id = t.stage_id WHERE s.name = 'regularize' AND r.state = 'done'", killed)  # fmt: skip
    killed.kill()
    killed.communicate(timeout=30)
    finished = rows(broken, "SELECT id, seconds FROM hpo_run WHERE state = 'done' ORDER BY id")

    finish(start(broken), 0)
    for query in (TRIALS, VERDICTS, PARAMS):
        assert rows(broken, query) == rows(whole, query)
    kept = rows(broken, "SELECT id, seconds FROM hpo_run WHERE state = 'done' ORDER BY id")
    assert kept[: len(finished)] == finished, "a finished run was trained again"
    again = rows(broken, "SELECT max(tries), sum(tries) - count(*) FROM hpo_run")[0]
    assert again[0] <= 3, "runs that were cut off are tried again, not more"
    assert rows(broken, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == [(0,)]


@pytest.mark.slow
def test_resumed_without_its_file_it_ends_with_what_run_shows(tmp_path: Path) -> None:
    stopped = start(tmp_path)
    until(tmp_path, "SELECT count(*) FROM hpo_trial t JOIN hpo_stage s ON s.id = t.stage_id "
                    "WHERE s.name = 'overfit' AND t.state = 'complete'", stopped)  # fmt: skip
    stopped.send_signal(signal.SIGINT)
    finish(stopped, 3)
    before = rows(tmp_path, "SELECT spec, fingerprint FROM hpo_study")
    done = rows(tmp_path, "SELECT id, finished_at FROM hpo_run WHERE state = 'done' ORDER BY id")
    (tmp_path / "study.toml").unlink()
    said = finish(call(tmp_path, "resume", "wine", "--export", "out"), 0)
    for expected in ("data: already done", "wine: finished in", "stages of wine", "test set", "next: hpo report wine"):
        assert expected in said
    assert (tmp_path / "out" / "model.keras").is_file()
    assert rows(tmp_path, "SELECT spec, fingerprint FROM hpo_study") == before
    kept = rows(tmp_path, "SELECT id, finished_at FROM hpo_run WHERE state = 'done' ORDER BY id")
    assert kept[: len(done)] == done, "a finished run was trained again"
    assert finish(call(tmp_path, "resume", "wine"), 0).startswith("study wine is finished already")


@pytest.mark.slow
def test_a_study_outlives_its_leader(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace("halving = false", ""))
    leader = call(tmp_path, "run", "study.toml", "--workers", "0")
    until(tmp_path, "SELECT count(*) FROM hpo_stage", leader)
    workers = [call(tmp_path, "worker", "wine") for _ in range(2)]
    until(tmp_path, "SELECT count(*) FROM hpo_trial t JOIN hpo_stage s ON s.id = t.stage_id "
                    "WHERE s.name = 'overfit' AND t.state = 'complete'", leader)  # fmt: skip
    leader.kill()
    said = leader.communicate(timeout=30)[0] + "".join(finish(worker, 0) for worker in workers)
    assert said.count("No worker is at work") == 1, "it waits for workers, and says so"
    assert said.count("The study has no leader") == 1, "one of them found it"
    assert rows(tmp_path, "SELECT state FROM hpo_study") == [("finished",)]
    assert rows(tmp_path, "SELECT count(*) FROM hpo_worker WHERE kind = 'leader'") == [(2,)]
    assert rows(tmp_path, "SELECT count(*) FROM hpo_worker WHERE gone_at IS NULL") == [(0,)], "the killed one too"
    assert rows(tmp_path, "SELECT count(*) FROM hpo_run WHERE state IN ('queued', 'running', 'failed')") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM hpo_trial WHERE state = 'running'") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == [(0,)]
    assert (tmp_path / "wine-bundle").is_dir()
