"""The same with plain Optuna: processes of `load_study(...).optimize` on one database, one trial at a time."""

import multiprocessing
import os
import sys
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import optuna
from simulated import study as declared

from hpo.records.database import connect
from hpo.search.distributions import draw

RUNGS = (2, 7, 20)
"""As `hpo` compares runs of 20 epochs."""


def rate(
    name: str, storage: str, processes: int, milliseconds: float, seconds: float, trials: int | None = None
) -> float:
    """Trials a second over so many seconds, or trials, from when all have opened the study (made if need be)."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with connect(storage) as database:
        url = database.url
    optuna.create_study(study_name=name, storage=url, direction="maximize", load_if_exists=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workers", "optuna_side"])
    start, done = context.Barrier(processes + 1), context.Queue()
    each = None if trials is None else trials // processes
    all_ = [
        context.Process(target=_work, args=(start, done, url, name, milliseconds, seconds, each))
        for _ in range(processes)
    ]
    for process in all_:
        process.start()
    start.wait(120)
    ended = [done.get(timeout=3600) for _ in all_]
    for process in all_:
        process.join()
    return sum(count for count, _ in ended) / max(taken for _, taken in ended)


def _work(
    start: Barrier, done: "Queue[tuple[int, float]]", url: str, name: str, milliseconds: float, seconds: float,
    trials: int | None,
) -> None:  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, count = declared("optuna", trials=3).space, 0
    study = optuna.load_study(study_name=name, storage=url)

    def objective(trial: optuna.Trial) -> float:
        nonlocal count
        draw(space, trial)
        for rung in RUNGS:
            trial.report(0.5, rung)
        time.sleep(milliseconds / 1e3)
        count += 1
        return float(trial.params["dropout"])

    start.wait()
    began = time.perf_counter()
    study.optimize(objective, n_trials=trials, timeout=seconds if trials is None else None)
    done.put((count, time.perf_counter() - began))
