"""`hpo run` as a user has it, and what its database says of it."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers.outcome import versions
from hpo.metrics import METRICS
from hpo.numbers import present
from hpo.reports.frames import open_results

from .task import study
from .watch import Found

ROOT = Path(__file__).resolve().parents[2]
_RUNS = """
    select finished_at, validation_metric from hpo_run where validation_metric is not null order by finished_at
"""
_SPENT = """
    select s.name || coalesce(nullif('.' || s.attempt, '.1'), ''), r.purpose, r.state, count(*), sum(r.epochs_trained),
        sum(r.seconds), min(t.started_at), max(r.finished_at)
    from hpo_run r join hpo_trial t on t.id = r.trial_id join hpo_stage s on s.id = t.stage_id
    group by s.id, r.purpose, r.state order by min(r.id)
"""


def run(name: str, seed: int, seconds: float, budget: float, data_dir: str, folder: Path, grace: float) -> Found:
    """A study with that budget; wall time is that of the whole command, imports and export included.

    It is stopped `grace` seconds after its time. Where the command did not end in time there was no final model, and
    validation is the best of a single training by then; what it came to later stands in the notes.

    Raises RuntimeError where the command fails.
    """
    (folder / "study.toml").write_text(study(name, seed, budget))
    url = f"sqlite:///{folder / 'study.db'}"
    command = [
        sys.executable, "-m", "hpo", "run", str(folder / "study.toml"), "--storage", url, "--data-dir", data_dir,
        "--export", str(folder / "bundle"), "--fresh",
    ]  # fmt: skip
    began = time.time()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(seconds + grace)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = 0
        taken = time.time() - began
        if code:
            output.seek(0)
            raise RuntimeError(output.read().strip()[-2000:])
    return read(folder / "study.db", name, began, taken, seconds, {"budget": budget})


def read(path: Path, name: str, began: float, taken: float, seconds: float, notes: dict[str, Any]) -> Found:
    """The study's curve and scores. The curve is of single networks; the final model may be a mean of several."""
    found = open_results(f"sqlite:///{path}")
    metric = METRICS[str(found.studies()["metric"].iloc[0])]
    with contextlib.closing(sqlite3.connect(path)) as database:
        runs = database.execute(_RUNS).fetchall()
        spent = [
            dict(zip(("stage", "purpose", "state", "runs", "epochs", "seconds", "from", "to"), row, strict=True))
            for row in database.execute(_SPENT)
        ]
    for row in spent:
        row |= {key: row[key] and _since(began, datetime.fromisoformat(row[key])) for key in ("from", "to")}
    curve: list[tuple[float, float]] = []
    for moment, score in runs:
        if not curve or metric.better(score, curve[-1][1]):
            curve.append((_since(began, datetime.fromisoformat(moment)), score))
    stages, figures = found.stages(name), found.figures(name)
    last = dict(figures[figures["stage"].str.startswith("squeeze")][["name", "value"]].itertuples(index=False))
    in_time = [score for moment, score in curve if moment <= seconds]
    ends = {
        str(stage): [_since(began, first), _since(began, end)]
        for stage, first, end in zip(stages["stage"], stages["started_at"], stages["finished_at"], strict=True)
    }
    packages = versions("keras", "tensorflow", "optuna")
    final, test = last.get("validation_final"), last.get("test_final")
    notes |= {"stages": ends, "members": last.get("members"), "runs": spent}
    if taken > seconds:
        notes |= {"late": [final, test]}
        final, test = in_time[-1] if in_time else None, None
    return Found(metric.name, curve, final, test, len(runs), taken, packages, notes)


def _since(began: float, moment: Any) -> float | None:
    """Seconds; the database's times are UTC. None: not yet."""
    return round(moment.replace(tzinfo=UTC).timestamp() - began, 2) if present(moment) else None
