"""Real trainings with equal wall time: `hpo run` against KerasTuner, Optuna with `model.fit`, and boosting.

    pip install -r benchmarks/requirements.txt
    python benchmarks/equal_time --data-dir ../shared/data [--sets letter adult ...] [--seeds 3] [--seconds 600]
    python benchmarks/equal_time --report

Each set, contender and seed is a process of its own, one at a time; its clock begins when it is started. A run that
stands in the file of results is not done again. See README.md.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.equal_time import ours, report, task  # noqa: E402

GRACE = 90
"""Seconds after its time in which a contender stops what it does and answers the test rows."""


def planned(given: argparse.Namespace) -> Iterator[tuple[str, str, int, float]]:
    """Set, contender, seed and seconds; every set with the first seed, then the next."""
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for name in given.sets:
            for contender in given.only:
                if contender == report.OURS:
                    yield name, contender, seed, given.ours_seconds
                if contender != report.OURS or not given.short_only:
                    yield name, contender, seed, given.seconds


def run(name: str, contender: str, seed: int, seconds: float, given: argparse.Namespace) -> dict[str, Any]:
    """What a contender found. Raises RuntimeError where it failed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if contender == report.OURS:
            budget = seconds - given.reserve - given.reserve_share * seconds
            kept = Path(folder) if given.keep is None else given.keep / f"{name}-{seed}-{seconds:g}"
            kept.mkdir(parents=True, exist_ok=True)
            found = ours.run(name, seed, seconds, budget, given.data_dir, kept.resolve(), GRACE)
            return dataclasses.asdict(found)
        output = Path(folder) / "found.json"
        module = {"keras_tuner": "kerastuner", "optuna": "optuna_fit"}.get(contender, contender)
        command = [
            sys.executable, "-m", f"benchmarks.equal_time.{module}", "--set", name, "--seed", str(seed),
            "--seconds", str(seconds), "--began", str(time.time()), "--data-dir", given.data_dir,
            "--output", str(output),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + GRACE
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"still running {GRACE} seconds after its time") from None
        if done.returncode or not output.exists():
            raise RuntimeError(done.stderr.strip()[-2000:])
        found_there: dict[str, Any] = json.loads(output.read_text())
        return found_there


def standing(path: Path) -> list[dict[str, Any]]:
    """The runs that are done."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def compete(given: argparse.Namespace) -> int:
    """Do what is not done yet; the number of runs that failed."""
    failed = 0
    done = {(r["set"], r["contender"], r["seed"], r["seconds"]) for r in standing(given.out)}
    for key in planned(given):
        if key in done:
            continue
        done.add(key)
        name, contender, seed, seconds = key
        load = os.getloadavg()[0]
        try:
            found = run(*key, given)
        except RuntimeError as error:
            failed += 1
            print(f"{name}, {contender}, seed {seed}, {seconds:g} s failed: {error}", flush=True)
            continue
        line = {"set": name, "contender": contender, "seed": seed, "seconds": seconds,
                **found, "load": [load, os.getloadavg()[0]]}  # fmt: skip
        with given.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name}, {contender}, seed {seed}: {found['taken']:.1f} of {seconds:g} s, {found['trials']} models, "
              f"validation {found['validation']}, test {found['test']}", flush=True)  # fmt: skip
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--sets", nargs="+", default=list(task.SETS), choices=task.SETS)
    parser.add_argument("--only", nargs="+", default=list(report.NAMES), choices=list(report.NAMES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--ours-seconds", type=float, default=60, help="ours is run within this time, too")
    parser.add_argument("--short-only", action="store_true", help="ours within --ours-seconds alone")
    parser.add_argument("--reserve", type=float, default=15, help="seconds of ours that are not its budget")
    parser.add_argument("--reserve-share", type=float, default=0.0, help="and this share of its time")
    parser.add_argument("--keep", type=Path, help="a folder for the databases of ours, for a closer look")
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"))
    parser.add_argument("--report", action="store_true", help="print the table of what --out holds")
    given = parser.parse_args()
    given.data_dir = str(Path(given.data_dir).resolve())
    if given.report:
        print(report.document(standing(given.out), given.ours_seconds), end="")
        return 0
    return int(compete(given) > 0)


if __name__ == "__main__":
    sys.exit(main())
