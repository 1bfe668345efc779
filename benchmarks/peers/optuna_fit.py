"""Optuna with `model.fit`: its default sampler (TPE), results in SQLite.

A learning curve is one user attribute of its trial: a transaction in place of one an epoch with `trial.report`. Several
workers are processes that share the study, as Optuna's guide has it, with one thread each.
"""

from . import quiet  # isort: skip
import multiprocessing
import time
from pathlib import Path
from typing import Any, cast

import optuna

from hpo.space import Choice, Fixed, FloatRange, IntRange, SearchSpace
from hpo.values import Configuration, Scalar

from . import network, outcome
from .cases import CASES, Case
from .rows import Rows, load


def suggested(space: SearchSpace, trial: optuna.Trial) -> Configuration:
    """Optuna's define-by-run: what is inactive is not suggested."""
    seen: dict[str, Scalar] = {}
    for h in space.hyperparameters:
        if not space.active(h.name, seen):
            continue
        match h.range:
            case Fixed(value):
                seen[h.name] = value
            case FloatRange(low, high, log):
                seen[h.name] = trial.suggest_float(h.name, low, high, log=log)
            case IntRange(low, high, log):
                seen[h.name] = trial.suggest_int(h.name, low, high, log=log)
            case Choice(values):
                seen[h.name] = cast(Scalar, trial.suggest_categorical(h.name, values))
    return space.complete(seen)


def optimize(case: Case, rows: Rows, url: str, trials: int, fit: str) -> optuna.Study:
    """Train so many trials of the study `case`."""
    space = case.space

    def objective(trial: optuna.Trial) -> float:
        configuration = suggested(space, trial)
        history = network.train(case, configuration, rows, fit=fit)
        trial.set_user_attr("curve", history)
        return network.finished(history, configuration)

    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    study = optuna.create_study(storage=storage, study_name=case.name, direction="maximize", load_if_exists=True)
    study.optimize(objective, n_trials=trials)
    return study


def work(name: str, url: str, trials: int, fit: str, ready: Any) -> None:
    """One of several processes; all begin once each has its imports done."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    quiet.one_core()
    rows = load(CASES[name].data)
    ready.wait()
    optimize(CASES[name], rows, url, trials, fit)


def together(name: str, url: str, trials: int, fit: str, workers: int) -> tuple[optuna.Study, float]:
    """The study trained by several processes, and the seconds from the moment when all were ready."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers + 1)
    shares = [trials // workers + (i < trials % workers) for i in range(workers)]
    crew = [context.Process(target=work, args=(name, url, share, fit, ready)) for share in shares]
    for process in crew:
        process.start()
    ready.wait()
    began = time.perf_counter()
    for process in crew:
        process.join()
    taken = time.perf_counter() - began
    if failed := [process.exitcode for process in crew if process.exitcode]:
        raise SystemExit(f"{len(failed)} of {workers} workers failed")
    return optuna.load_study(study_name=name, storage=url), taken


def main(folder: Path, name: str, trials: int, fit: str, workers: int) -> outcome.Outcome:
    """Run the case."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    case, url = CASES[name], f"sqlite:///{folder / 'optuna.db'}"
    if workers > 1:
        study, taken = together(name, url, trials, fit, workers)
    else:
        rows = load(case.data)
        began = time.perf_counter()
        study = optimize(case, rows, url, trials, fit)
        taken = time.perf_counter() - began
    done = [t for t in study.trials if t.value is not None]
    settings = (
        f"{workers} process{'es' if workers > 1 else ''}, TPE, SQLite, curve as one attribute; fit: {outcome.FIT[fit]}"
    )
    epochs = sum(len(t.user_attrs["curve"]["loss"]) for t in done)
    packages = outcome.versions("optuna", "keras", "tensorflow")
    return outcome.Outcome(len(done), taken, [float(t.value or 0) for t in done], epochs, settings, {}, packages)


if __name__ == "__main__":
    parser = outcome.parser(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    outcome.write(main(options.folder, options.case, options.trials, options.fit, options.workers), options.output)
