"""Trials a second by number of workers, where a training sleeps 50 ms, against plain Optuna on the same database.

    python benchmarks/scale --storage URL [--workers 8 16 32 64] [--seconds 30] [--rounds 2] [--skip-optuna]
    python benchmarks/scale --storage URL --workers 8 --same-trials

Ours: real workers and a real leader of one stage over the whole bundled space (17 to 20 hyperparameters), one training
a trial, cohorts of 32 slots, comparisons at 2, 7 and 20 epochs. Optuna: so many processes of
`load_study(...).optimize`, with the same hyperparameters, three reports, TPE, one trial of 50 ms at a time. It slows
down as its study grows, so it is measured twice: for some seconds from an empty study (or, with `--same-trials`, for as
many trials as ours), and going on with the very study that ours has filled, which is an ordinary Optuna study. The
sides take turns, for they share the machine; both are timed from when all processes have begun, ours from the first
trial's end. The database should be one of its own: what is written stays. Figures are medians over rounds; milliseconds
are of processor time a trial.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import counting
import optuna_side
from leader import fix_slots, lead
from simulated import study
from workers import COUNTS_FOLDER, Crew

from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run.events import TrialFinished
from hpo.studyfile.spec import identity, to_plain
from hpo.values import fingerprint

FLIGHT = 4 * 48
"""Planned trials for each worker, with which its cohort is full: see `hpo.run.slots.IN_FLIGHT`."""


class _Enough(Exception):
    """The time is up."""


def ours(storage: str, name: str, workers: int, slots: int, milliseconds: float, seconds: float) -> dict[str, float]:
    """One study: trials a second, and processor milliseconds and transactions a trial by side."""
    spec, ended, spent = study(name, trials=FLIGHT * workers, folds=1), list[float](), list[float]()
    fix_slots(slots)
    with tempfile.TemporaryDirectory() as folder, connect(storage) as database:
        os.environ[COUNTS_FOLDER] = f"{folder}/counts"
        studies = Studies(database)
        row = studies.open(name, to_plain(spec), fingerprint(identity(spec)), 0)
        studies.set_state(row.id, "running")  # so that workers wait for it

        def hear(event: object) -> None:
            if isinstance(event, TrialFinished):
                ended.append(time.perf_counter())
                spent.append(time.process_time())
                if ended[-1] - ended[0] > seconds:
                    raise _Enough

        with Crew(name, storage, workers, milliseconds, f"{folder}/store") as crew:
            while Workers(database).alive(row.id, 3600) < workers:
                time.sleep(0.1)
            served, before = _of_servers(), Counter(counting.COUNTS)
            with contextlib.suppress(_Enough):
                lead(spec, storage, workers=workers, listener=hear, artifacts=f"{folder}/store")
            served = _of_servers() - served
            studies.set_state(row.id, "finished")
            mine = Counter(counting.COUNTS) - before
            late = time.monotonic() + 60
            while crew.check() and time.monotonic() < late:
                time.sleep(0.1)
        theirs = counting.read(f"{folder}/counts")
    n = len(ended)
    return {
        "rate": (n - 1) / (ended[-1] - ended[0]), "leader": (spent[-1] - spent[0]) / (n - 1) * 1e3,
        "workers": theirs["processor"] / n * 1e3, "database": served / n * 1e3,
        "leader's transactions": counting.total(mine, "transactions") / n,
        "leader's statements": counting.total(mine, "statements") / n,
        "workers' transactions": counting.total(theirs, "transactions") / n,
        "workers' statements": counting.total(theirs, "statements") / n,
    }  # fmt: skip


def _of_servers() -> float:
    """Processor seconds of the database servers on this machine so far, whoever asked."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            fields = rest.split()
        except OSError:
            continue
        if name in ("postgres", "mariadbd"):
            # The children that have ended are counted with the one that waited for them.
            total += sum(map(int, fields[11:15] if int(fields[1]) <= 1 or name == "mariadbd" else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--storage", required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--milliseconds", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--skip-optuna", action="store_true")
    parser.add_argument(
        "--same-trials", action="store_true", help="Optuna tries as many as ours: minutes for 8 workers"
    )
    given = parser.parse_args()
    counting.install()
    details = []
    print("| workers | trials a second | Optuna's, begun empty | ratio | Optuna's, gone on with | ratio |")
    print("|---|---|---|---|---|---|")
    for workers in given.workers:
        mine, empty, filled = [], [float("nan")], [float("nan")]
        for _ in range(given.rounds):
            name = f"scale-{workers}-{time.time_ns()}"
            mine.append(ours(given.storage, name, workers, given.slots, given.milliseconds, given.seconds))
            if not given.skip_optuna:
                of = (given.storage, workers, given.milliseconds, given.seconds)
                same = FLIGHT * workers if given.same_trials else None
                empty.append(optuna_side.rate(f"{name}/plain", *of, trials=same))
                filled.append(optuna_side.rate(f"{name}/tune", *of))
        found = {key: median(one[key] for one in mine) for key in mine[0]}
        others = [median(side[1:] or side) for side in (empty, filled)]
        sides = " | ".join(f"{other:.1f} | {found['rate'] / other:.0f}" for other in others)
        print(f"| {workers} | {found['rate']:.0f} | {sides} |", flush=True)
        details.append((workers, found))
    keys = [key for key in details[0][1] if key != "rate"]
    print(f"\n| workers | {' | '.join(keys)} |\n|{'---|' * (len(keys) + 1)}")
    for workers, found in details:
        print(f"| {workers} | {' | '.join(f'{found[key]:.2f}' for key in keys)} |")


if __name__ == "__main__":
    main()
