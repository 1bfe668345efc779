"""`hpo run` as a user has it, and what its database says of it."""

import os
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Any

from benchmarks.peers.outcome import versions
from hpo.metrics import METRICS
from hpo.numbers import present
from hpo.reports.frames import Results, open_results

from .task import study
from .watch import Found

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, seed: int, seconds: float, budget: float, data_dir: str, folder: Path) -> Found:
    """A study with that budget; wall time is that of the whole command, imports and export included.

    Raises RuntimeError where the command fails.
    """
    (folder / "study.toml").write_text(study(name, seed, budget))
    url = f"sqlite:///{folder / 'study.db'}"
    command = [
        sys.executable, "-m", "hpo", "run", str(folder / "study.toml"), "--storage", url, "--data-dir", data_dir,
        "--export", str(folder / "bundle"),
    ]  # fmt: skip
    began = time.time()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"HPO_DATA_DIR": data_dir}
    )
    taken = time.time() - began
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-2000:])
    return read(open_results(url), name, began, taken, {"budget": budget})


def read(found: Results, name: str, began: float, taken: float, notes: dict[str, Any]) -> Found:
    """The study's curve and scores. The curve is of single networks; the final model may be a mean of several."""
    studies = found.studies()
    metric = METRICS[str(studies["metric"].iloc[0])]
    curve: list[tuple[float, float]] = []
    runs = found.runs(name).sort_values("finished_at")
    for moment, score in zip(runs["finished_at"], runs["validation_metric"], strict=True):
        if present(score) and (not curve or metric.better(float(score), curve[-1][1])):
            curve.append((round(moment.replace(tzinfo=UTC).timestamp() - began, 2), float(score)))
    stages, figures = found.stages(name), found.figures(name)
    last = figures[figures["stage"].str.startswith("squeeze")].set_index("name")["value"]
    ends = {
        str(stage): [round(moment.replace(tzinfo=UTC).timestamp() - began, 1) for moment in (first, end)]
        for stage, first, end in zip(stages["stage"], stages["started_at"], stages["finished_at"], strict=True)
    }
    trials = len(found.trials(name).query("runs > 0"))
    packages = versions("keras", "tensorflow", "optuna")
    return Found(
        metric.name, curve, float(last["validation_final"]), float(last["test_final"]), trials, taken, packages,
        notes | {"stages": ends, "members": float(last["members"])},
    )  # fmt: skip
