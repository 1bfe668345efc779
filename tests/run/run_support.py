"""What tests of running need: a study in a database, and a dataset and a session that only look like them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hpo.records.artifacts import ArtifactStore
from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.rows import NewRun, NewTrial, Purpose, StageRow, StudyRow
from hpo.records.studies import Studies
from hpo.run.worker import Worker
from hpo.space import SearchSpace
from hpo.space.plain import space_to_plain
from hpo.studyfile.spacefile import load_space
from hpo.values import Curve, Outcome, RunRequest, RunResult, fingerprint

SPACE = load_space(
    {
        "model": "mlp",
        "architecture": {"units": {"int": [4, 64], "log": True}},
        "optimizer": {"learning_rate": {"float": [1e-3, 1e-1], "log": True}},
        "regularization": {"dropout": {"float": [0.0, 0.5]}},
    }
)


@dataclass
class Bench:
    """A study in a database."""

    db: Database
    study: StudyRow
    studies: Studies
    queue: Queue
    folder: Path

    def stage(self, name: str = "tune", attempt: int = 1, space: SearchSpace = SPACE) -> StageRow:
        plain = json.dumps(space_to_plain(space))
        return self.studies.begin_stage(
            self.study.id, name, attempt, 4, "f", "validation metric", "maximize", 9, plain, None
        )

    def trial(
        self, stage: StageRow, number: int, *, runs: int = 1, purpose: Purpose = "search", units: int = 8
    ) -> None:
        configuration = {**SPACE.default(), "units": units}
        asked = tuple(NewRun(RunRequest(configuration, 10 * number + k, 0, 3), purpose) for k in range(runs))
        structure = fingerprint(SPACE.structure(configuration))
        self.queue.add_trials(
            stage, [NewTrial(number, "sampler", configuration, frozenset({"units"}), structure, asked)]
        )

    def worker(self, worker_id: str = "w", **more: Any) -> Worker:
        dataset: Any = SimpleNamespace(folds=1, fold=lambda i: None, facts=None, metric="accuracy")
        spec: Any = SimpleNamespace(name="wine", training=SimpleNamespace(engine="auto", precision="float32"))
        return Worker(
            spec=spec, dataset=dataset, studies=self.studies, queue=self.queue,
            store=ArtifactStore(str(self.folder / "store")), study_id=self.study.id, worker_id=worker_id, **more,
        )  # fmt: skip

    def runs(self, stage: StageRow) -> list[tuple[str, str | None]]:
        return [(r.state, r.error) for t in self.queue.trials(stage.id) for r in t.runs]


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A study named `wine` in a SQLite database."""
    with connect(f"sqlite:///{folder / 'study.db'}") as db:
        studies = Studies(db)
        study = studies.open("wine", {"name": "wine"}, "f", 0)
        yield Bench(db, study, studies, Queue(db), folder)


class FakeSession:
    """Trains nothing: every run ends when advanced, unless its width is to `break` it."""

    def __init__(self, *, structure: dict[str, Any], breaks: Sequence[int] = (), slots: int = 1, **_: Any) -> None:
        if structure["units"] in breaks:
            raise MemoryError(f"no room for {structure['units']} units")
        self.slots, self._held = slots, dict[int, RunRequest]()

    def put(self, slot: int, request: RunRequest) -> None:
        self._held[slot] = request

    def advance(self, epochs: int) -> None:
        if any(request.seed % 10 == 9 for request in self._held.values()):
            raise RuntimeError("seed 9 never trains")

    def finished(self, slot: int) -> bool:
        return slot in self._held

    def result(self, slot: int) -> RunResult:
        column = np.array([1.0, 0.5, 0.5])
        curve = Curve(*(column for _ in range(6)))
        predictions = np.zeros((4, 2), np.float32)
        return RunResult(Outcome.DONE, curve, 3, 0.5, 0.6, 0.9, 0.8, 9, 0.1, "fit", "cpu", predictions, ())

    def free(self, slot: int) -> None:
        del self._held[slot]

    def close(self) -> None:
        self._held.clear()
