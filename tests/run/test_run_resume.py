"""A study that is stopped with Ctrl-C and killed with -9 goes on, and ends as if nothing had happened."""

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
    return subprocess.Popen(
        [sys.executable, "-m", "hpo", "run", "study.toml", "--storage", "sqlite:///study.db"], cwd=folder, text=True,
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
