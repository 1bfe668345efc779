"""What it takes to look at a study: every table of `hpo results`, and the dashboard's first page, by number of trials.

    python benchmarks/scale/reading.py [--storage URL] [--sizes 100 1000 10000] [--study NAME]

Seconds of the wall clock without the process's start, the median of three; a page is asked for as the dashboard's own
asks for it, first of a server that has just begun, then again. `--study`: look at one that is there (see `growth.py`).
"""

import argparse
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import optuna
from growth import grow

from hpo.commands.results import encode, table
from hpo.dashboard.server import Server
from hpo.records.database import connect
from hpo.reports.frames import open_results

TABLES = ("studies", "stages", "trials", "params", "runs", "curves", "layer_health", "importance")


def timed(work: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def looked(storage: str, name: str) -> dict[str, float]:
    """Seconds by what was looked at."""
    with open_results(storage) as results:
        found = {which: timed(lambda which=which: table(results, name, which)) for which in TABLES}  # type: ignore[misc]
        trials = table(results, name, "trials")
        found["trials as csv"] = timed(lambda: encode(trials, "csv"))
    with connect(storage) as database:
        url = database.url
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = optuna.storages.RDBStorage(url)
    number = known.get_study_id_from_name(f"{name}/tune")
    known.remove_session()
    known.engine.dispose()
    with Server(url, port=0) as server:
        page = f"{server.address}api/studies/{number}?after=0"
        found["dashboard's first page"] = timed(lambda: urllib.request.urlopen(page).read(), 1)
        found["the same again"] = timed(lambda: urllib.request.urlopen(page).read())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--storage", help="a SQLite file of its own unless given")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--study")
    given = parser.parse_args()
    storage = given.storage or f"sqlite:///{tempfile.mkdtemp()}/reading.db"
    names = {size: given.study or grow(storage, size)[0] for size in given.sizes}
    found = {size: looked(storage, name) for size, name in names.items()}
    print(f"| seconds | {' | '.join(f'{size:,} trials' for size in found)} |\n|{'---|' * (1 + len(found))}")
    for what in next(iter(found.values())):
        print(f"| {what} | {' | '.join(f'{one[what]:.2f}' for one in found.values())} |")


if __name__ == "__main__":
    main()
