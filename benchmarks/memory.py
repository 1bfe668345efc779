"""Memory of a long study: what the process that trains holds, over thousands of trials of scores of structures.

    python benchmarks/memory.py [--trials 2000] [--memory 1536] [--epochs 5]

Runs `hpo run` on digits with the bundled space `mlp`, up to 24 structures open in a batch, and reads the resident
memory of the largest of its processes twice a second. TensorFlow never frees a compiled program, so a process that has
grown to `--memory` MiB is replaced by another (the first one stays and leads, with what it holds): how often is
counted. Prints the mean of each quarter of the trials, and how many structures there were.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

STUDY = """
name = "memory"
space = "mlp"
[data]
source = "sklearn:digits"
[objective]
metric = "accuracy"
[budget]
trials = {trials}
epochs = {epochs}
[search]
halving = false
structures = 24
plateau = {trials}
[training]
memory = {memory}
"""


def resident(process: psutil.Process) -> float:
    """MiB of the largest of a process and its children; 0 once they are gone."""
    try:
        return max(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def counted(database: Path, query: str) -> int:
    """One number out of the study's database, 0 before it is there."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return int(connection.execute(query).fetchone()[0] or 0)
    except sqlite3.OperationalError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--memory", type=int, default=1536, help="MiB that a process may grow to")
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "memory.toml").write_text(STUDY.format(**vars(given)))
        began = time.perf_counter()
        running = subprocess.Popen(
            [sys.executable, "-m", "hpo", "run", "memory.toml"], cwd=folder, stdout=subprocess.DEVNULL
        )
        process, database, seen = psutil.Process(running.pid), folder / "hpo.db", []
        while running.poll() is None:
            time.sleep(0.5)
            seen.append(
                (counted(database, "SELECT count(*) FROM hpo_trial WHERE state != 'running'"), resident(process))
            )
        taken = time.perf_counter() - began
        renewals = counted(database, "SELECT sum(renewals) FROM hpo_worker")
        structures = counted(database, "SELECT count(DISTINCT structure) FROM hpo_trial")
        trials = counted(database, "SELECT count(*) FROM hpo_trial")
    done, memory = np.array(seen).T
    quarters = [memory[(done >= a * trials) & (done < (a + 0.25) * trials)] for a in (0, 0.25, 0.5, 0.75)]
    print(f"{trials} trials, {structures} structures, {taken:.0f} s, {renewals} renewals, bound {given.memory} MiB")
    for i, part in enumerate(quarters, 1):
        print(f"quarter {i}: mean {part.mean():.0f} MiB, most {part.max():.0f}")
    print(f"last quarter / second: {quarters[3].mean() / quarters[1].mean():.3f}")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main())
