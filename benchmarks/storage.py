"""Cost of a trial in the records, against Optuna's own storage: ten parameters, three rung values, thirty epochs.

    python benchmarks/storage.py [URL]

Ours: a batch of trials proposed, leased, handed in with their learning curves, and closed: four transactions, into
Optuna's tables and ours. Optuna's: ask, report and tell, one transaction each, and no learning curves.
"""

import sys
import tempfile
import time

import numpy as np
import optuna

from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, FinishedRun, NewRun, NewTrial, OptunaParam
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.search.distributions import distributions
from hpo.search.optuna_study import create_optuna_study
from hpo.space import FloatRange, Hyperparameter, Kind, SearchSpace
from hpo.values import Curve, Outcome, RunRequest, RunResult

BATCH, ROUNDS, EPOCHS, THEIRS = 32, 20, 30, 20

url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{tempfile.mkdtemp()}/bench.db"
names = [f"x{i}" for i in range(10)]
range_ = FloatRange(1e-5, 1.0, log=True)
space = SearchSpace("mlp", tuple(Hyperparameter(n, "optimizer", Kind.NUMBER, range_, 0.1) for n in names))
json_of = {n: optuna.distributions.distribution_to_json(d) for n, d in distributions(space).items()}
rng = np.random.default_rng(0)
column = rng.random(EPOCHS)
curve = Curve(column, column, column, column, column, column)
empty = np.zeros((0, 1), np.float32)
result = RunResult(Outcome.DONE, curve, EPOCHS, 0.1, 0.2, 0.9, 0.8, 1000, 0.1, "fit", "cpu", empty, ())


def trial_of(number: int, values: np.ndarray) -> NewTrial:
    """A trial with one run."""
    configuration = dict(zip(names, map(float, values), strict=True))
    params = tuple(OptunaParam(k, x, json_of[k]) for k, x in configuration.items())
    run = NewRun(RunRequest(configuration, number, 0, EPOCHS))
    return NewTrial(number, "sampler", configuration, frozenset(names), "same", (run,), params)


with connect(url) as database:
    studies, queue, workers = Studies(database), Queue(database), Workers(database)
    name = f"bench-{time.time_ns()}"
    study = studies.open(name, {}, "none", 0)
    create_optuna_study(database.url, f"{name}/tune", "maximize")
    stage = studies.begin_stage(
        study.id, "tune", 1, 0, "none", "validation metric", "maximize", 0, "{}", f"{name}/tune"
    )
    worker = workers.register(study.id)
    ours = []
    for batch in range(ROUNDS):
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        values = rng.uniform(1e-4, 0.9, (BATCH, len(names)))
        began = time.perf_counter()
        queue.add_trials(stage, [trial_of(n, v) for n, v in zip(numbers, values, strict=True)])
        leased = queue.lease(study.id, worker, BATCH, 60)
        queue.commit(worker, [FinishedRun(run.id, result) for run in leased])
        queue.close_trials(stage, [ClosedTrial(n, "complete", 0.8, 0.1, 0.2, 0.9, 0.8, 1000) for n in numbers])
        ours.append((time.perf_counter() - began) / BATCH * 1e3)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(database.url)
    plain = optuna.create_study(storage=storage, study_name=f"{name}/plain", sampler=optuna.samplers.RandomSampler(0))
    theirs = []
    for _ in range(THEIRS):
        began = time.perf_counter()
        trial = plain.ask()
        for parameter in names:
            trial.suggest_float(parameter, 1e-5, 1.0, log=True)
        for step in (4, 10, 20):
            trial.report(0.5, step)
        plain.tell(trial, 0.8)
        theirs.append((time.perf_counter() - began) * 1e3)
    storage.remove_session()
    storage.engine.dispose()

print(f"ours   {np.median(ours):.2f} ms a trial (first {ours[0]:.2f}, last {ours[-1]:.2f}), learning curves included")
print(f"Optuna {np.median(theirs):.1f} ms a trial, without learning curves")
print(f"ratio  {np.median(theirs) / np.median(ours):.0f}")
