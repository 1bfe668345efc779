"""What tests of running need: a study in a database, and a dataset and a session that only look like them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from hpo.records.artifacts import ArtifactStore
from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.rows import LeasedRun, NewRun, NewTrial, Purpose, StageRow, StudyRow
from hpo.records.studies import Studies
from hpo.run.trainer import Ended
from hpo.run.worker import Worker
from hpo.space import SearchSpace
from hpo.space.plain import space_to_plain
from hpo.studyfile.spacefile import load_space
from hpo.studyfile.spec import SearchSpec, TrainingSpec
from hpo.training.curves import Scores
from hpo.training.session import OutOfMemory
from hpo.values import Curve, Outcome, RunRequest, RunResult, Task, TaskFacts, fingerprint

SPACE = load_space(
    {
        "model": "mlp",
        "architecture": {"units": {"int": [4, 64], "log": True}},
        "optimizer": {"learning_rate": {"float": [1e-3, 1e-1], "log": True}},
        "regularization": {"dropout": {"float": [0.0, 0.5]}},
    }
)
FACTS = TaskFacts(Task.BINARY, (2,), ("no", "yes"))


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
        self, stage: StageRow, number: int, *, runs: int = 1, purpose: Purpose = "search", units: int = 8,
        slots: int = 1, epochs: int = 3,
    ) -> None:  # fmt: skip
        configuration = {**SPACE.default(), "units": units}
        asked = tuple(
            NewRun(RunRequest(configuration, 10 * number + k, 0, epochs), purpose, slots) for k in range(runs)
        )
        structure = fingerprint(SPACE.structure(configuration))
        self.queue.add_trials(
            stage, [NewTrial(number, "sampler", configuration, frozenset({"units"}), structure, asked)]
        )

    def worker(self, worker_id: str = "w", **more: Any) -> Worker:
        fold = SimpleNamespace(x_train=range(9))
        dataset: Any = SimpleNamespace(folds=1, fold=lambda i: fold, facts=FACTS, metric="accuracy")
        spec: Any = SimpleNamespace(name="wine", space=SPACE, training=TrainingSpec(), search=SearchSpec())
        return Worker(
            spec=spec, dataset=dataset, studies=self.studies, queue=self.queue,
            store=ArtifactStore(str(self.folder / "store")), study_id=self.study.id, worker_id=worker_id, **more,
        )  # fmt: skip

    def runs(self, stage: StageRow) -> list[tuple[str, str | None]]:
        return [(r.state, r.error) for t in self.queue.trials(stage.id) for r in t.runs]


def trained(run: LeasedRun) -> Ended:
    """The run with a result, as if a session had trained it."""
    session = FakeSession(structure=dict(run.request.configuration))
    session.put(0, run.request)
    return Ended(run, session.result(0))


def drain(worker: Worker) -> int:
    """Step until nothing waits; how many runs ended."""
    total = 0
    while ended := worker.step():
        total += ended
    return total


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A study named `wine` in a SQLite database."""
    with connect(f"sqlite:///{folder / 'study.db'}") as db:
        studies = Studies(db)
        study = studies.open("wine", {"name": "wine"}, "f", 0)
        yield Bench(db, study, studies, Queue(db), folder)


class FakeSession:
    """Trains nothing: a run ends when it was advanced by its epochs.

    A structure whose width is to `break` cannot be opened, a run whose seed ends in 9 cannot be trained, one whose seed
    ends in 8 cannot be put in (unless it is `sound`), and for more than `room` slots there is no memory.
    """

    log: ClassVar[list[tuple[str, int]]] = []
    """(verb, how many) of all sessions: `open` slots, `advance` runs, `put` the run's seed."""

    def __init__(
        self, *, structure: dict[str, Any], slots: int = 1, breaks: Sequence[int] = (), room: int = 99,
        spread: float = 0.0, sound: bool = False, **_: Any,
    ) -> None:  # fmt: skip
        self.log.append(("open", slots))
        if structure["units"] in breaks:
            raise MemoryError(f"no room for {structure['units']} units")
        self.slots, self._room, self._spread, self._sound = slots, room, spread, sound
        self._held = dict[int, tuple[RunRequest, int]]()

    def put(self, slot: int, request: RunRequest) -> None:
        assert slot not in self._held
        assert slot < self.slots
        if request.seed % 10 == 8 and not self._sound:
            raise ValueError("seed 8 fits into no slot")
        self.log.append(("put", request.seed))
        self._held[slot] = (request, 0)

    def advance(self, epochs: int) -> None:
        self.log.append(("advance", len(self._held)))
        if self.slots > self._room:
            raise OutOfMemory
        if any(request.seed % 10 == 9 for request, _ in self._held.values()) and not self._sound:
            raise RuntimeError("seed 9 never trains")
        self._held = {slot: (request, epoch + epochs) for slot, (request, epoch) in self._held.items()}

    def finished(self, slot: int) -> bool:
        request, epoch = self._held[slot]
        return epoch >= request.epochs

    def latest(self, slot: int) -> tuple[int, Scores]:
        request, epoch = self._held[slot]
        return min(epoch, request.epochs), (0.5, 0.6, 0.9, self._score(request))

    def _score(self, request: RunRequest) -> float:
        return 0.8 + self._spread * (request.seed % 1000) / 1e3

    def result(self, slot: int) -> RunResult:
        request, epoch = self._held[slot]
        column = np.linspace(1.0, 0.5, request.epochs)[: epoch or None]
        curve = Curve(*(column for _ in range(6)))
        predictions = np.zeros((4, 2), np.float32)
        return RunResult(
            Outcome.DONE, curve, request.epochs, 0.5, 0.6, 0.9, self._score(request), 9, 0.1, "fit", "cpu",
            predictions, (), slots=self.slots,
        )  # fmt: skip

    def free(self, slot: int) -> None:
        del self._held[slot]

    def close(self) -> None:
        self._held.clear()
