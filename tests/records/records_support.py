"""What tests of the records put into them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import optuna
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hpo.records import schema, versions
from hpo.records.database import Database
from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, FinishedRun, NewRun, NewTrial, OptunaParam, StageRow, StudyRow
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.values import Configuration, Curve, Diagnosis, Outcome, RunRequest, RunResult

RATE = optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)
UNITS = optuna.distributions.IntDistribution(4, 64)
ACTIVATION = optuna.distributions.CategoricalDistribution(["relu", "tanh"])


@contextmanager
def optuna_storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Stock Optuna's own storage, its connections closed at the end."""
    storage = optuna.storages.RDBStorage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def differences(db: Database) -> list[object]:
    """Of the tables in a database from those of `schema`."""
    options = {"version_table": schema.VERSION_TABLE, "include_name": lambda n, k, _: versions.is_ours(n, k)}
    with db.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))


@dataclass
class Bench:
    """A study in a database, with what a test does to it again and again."""

    db: Database
    studies: Studies
    queue: Queue
    workers: Workers
    study: StudyRow

    def stage(self, name: str = "tune", attempt: int = 1, *, optuna_study: bool = False) -> StageRow:
        label = f"{self.study.name}/{name}" if optuna_study else None
        if label is not None:
            with optuna_storage(self.db.url) as storage:
                optuna.create_study(study_name=label, storage=storage, direction="maximize", load_if_exists=True)
        return self.studies.begin_stage(
            self.study.id, name, attempt, 4, "f1", "validation metric", "maximize", 9, '{"a": 1}', label
        )


def trial(
    number: int, *, structure: str = "s", runs: int = 1, epochs: int = 3, closed: ClosedTrial | None = None,
    configuration: Configuration | None = None,
) -> NewTrial:  # fmt: skip
    """A trial with three searched hyperparameters and some fixed ones, in our form and in Optuna's."""
    values = configuration or {
        "learning_rate": 0.1 / (number + 3), "units": 8 + number, "activation": "tanh", "dropout": 0.0,
        "nesterov": True,
    }  # fmt: skip
    params = (
        OptunaParam("learning_rate", 0.1 / (number + 3), optuna.distributions.distribution_to_json(RATE)),
        OptunaParam("units", float(8 + number), optuna.distributions.distribution_to_json(UNITS)),
        OptunaParam("activation", 1.0, optuna.distributions.distribution_to_json(ACTIVATION)),
    )
    requests = tuple(NewRun(RunRequest(values, 100 + s, 0, epochs)) for s in range(runs if closed is None else 0))
    varied = frozenset({"learning_rate", "units", "activation"})
    return NewTrial(number, "sampler", values, varied, structure, requests, params, {"who": '"me"'}, closed)


def result(epochs: int = 3, *, loss: float = 0.5, outcome: Outcome = Outcome.DONE) -> RunResult:
    """What a training gave; the first epoch's gradient norm is not finite."""
    column = np.linspace(1.0, loss, epochs)
    norm = np.where(np.arange(epochs) == 0, np.inf, 0.1)
    curve = Curve(column, column + 0.1, 1 - column, 0.9 - column, np.full(epochs, 1e-3), norm)
    return RunResult(
        outcome, curve, epochs, loss, loss + 0.1, 1 - loss, 0.9 - loss, 1234, 0.25, "fit", "cpu",
        np.zeros((4, 2), np.float32), (np.ones(3, np.float32),),
    )  # fmt: skip


def finished(run_id: int, **more: float) -> FinishedRun:
    return FinishedRun(run_id, result(**more))  # type: ignore[arg-type]


def closed(number: int, value: float | None = 0.9, state: str = "complete") -> ClosedTrial:
    return ClosedTrial(
        number, state, value, 0.5, 0.6, 0.91, 0.9, 1234, Diagnosis("healthy", "It learns.", {"gap": 0.1}), 1.5,  # type: ignore[arg-type]
        {"cma:generation": "3"}, {"qmc:next": str(number)},
    )  # fmt: skip
