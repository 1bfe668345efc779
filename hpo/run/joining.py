"""The worker's side: train for a study that another process leads, until it ends."""

import time
from collections.abc import Sequence

from hpo.data.dataset import Dataset
from hpo.data.load import load
from hpo.errors import InputError, Problem, Stopped
from hpo.numbers import count
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.rows import LeasedRun, StudyRow
from hpo.records.stopping import stop
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run import interrupts
from hpo.run.events import Joined, Listener, Note
from hpo.run.keeping import Keeper
from hpo.run.renewal import Allowance, bound, is_pooled, orphaned, pooled, resident_memory
from hpo.run.succession import Succession
from hpo.run.worker import LEASE_SECONDS, SHARE, Worker
from hpo.studyfile.code import code_folder, refuse_code
from hpo.studyfile.spec import StudySpec, from_plain

IDLE_SECONDS = 0.1
LONGEST_IDLE_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""So often a worker looks whether its study goes on: a lease gives it nothing where it does not."""


def work(
    study: str, *, storage: str, data_dir: str | None = None, artifacts: str | None = None,
    allow_code: bool = False, listener: Listener = lambda event: None,
) -> bool:  # fmt: skip
    """Train for a study that is running, until it is not. The data must be what the study recorded.

    A study that loses its leader goes on: this worker starts another, unless it is one of a leader's local processes,
    which go with it. `allow_code`: code that the study names may be imported; without it such a study is refused.

    True: the study goes on, but this process has grown beyond what it may and holds nothing: replace it.
    """
    with connect(storage, create=False, tell=lambda text: listener(Note(text))) as database:
        row = Studies(database).get(study)
        spec = from_plain(dict(row.spec))
        refuse_code(spec, allowed=allow_code)
        dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=data_dir)
        _same_data(row, spec, dataset)
        command = ["resume", study, "--workers", "0", *(["--allow-code"] if allow_code else [])]
        command += ["--data-dir", data_dir] if data_dir else []
        member = _Member(database, row, spec, dataset, artifacts or default_store(database), command, listener)
        with code_folder(spec):
            return member.work()


class _Member:
    """One of a study's workers: this very process."""

    def __init__(
        self, database: Database, study: StudyRow, spec: StudySpec, dataset: Dataset, artifacts: str,
        command: list[str], listener: Listener,
    ) -> None:  # fmt: skip
        self._study, self._spec, self._dataset, self._listener = study, spec, dataset, listener
        self._database = database
        self._studies, self._queue, self._workers = Studies(database), Queue(database), Workers(database)
        self._id = self._workers.register(study.id)
        listener(Joined(self._id, "worker"))
        self._allowance, self._handed_in = Allowance(pooled() or bound(spec.training.memory, 1)), 0
        self._stopping, self._look = False, 0.0
        self._worker = Worker(
            spec=spec, dataset=dataset, studies=self._studies, queue=self._queue, store=ArtifactStore(artifacts),
            study_id=study.id, worker_id=self._id, grasp=SHARE, progress=self._tell, lost=self._lost,
            enough=lambda: interrupts.seen() or self._stopping or self._large(),
        )  # fmt: skip
        self._succession = None if is_pooled() else Succession(
            self._workers, study.id, self._id, command=command, storage=database.url, artifacts=artifacts,
            tell=lambda text: listener(Note(text)),
        )  # fmt: skip

    def work(self) -> bool:
        """Train until the study ends; True where this process is to be replaced first."""
        try:
            # Remembered until all is given back: another signal meanwhile is no reason to leave runs to lapse.
            with interrupts.remembered(lambda text: self._listener(Note(text)), terminate=not is_pooled()):
                return self._train()
        except KeyboardInterrupt:
            raise Stopped(f"worker of study {self._study.name!r} stopped; its runs went back to the queue") from None

    def _train(self) -> bool:
        renewed, busy = False, time.monotonic()
        try:
            with Keeper(self._renew, LEASE_SECONDS / 4):
                while not renewed and not orphaned() and self._goes_on():
                    interrupts.raise_if_seen()
                    ended = self._worker.step()
                    self._handed_in += ended
                    renewed = self._large() and self._worker.idle
                    busy = time.monotonic() if ended else busy
                    if ended == 0 and not renewed:
                        # Longer and longer: hundreds that have nothing to do must not hold up the others.
                        time.sleep(min(max(IDLE_SECONDS, (time.monotonic() - busy) / 10), LONGEST_IDLE_SECONDS))
        finally:
            if self._succession is not None:
                self._succession.close()
            self._worker.close()
            self._workers.note_memory(self._id, resident_memory(), renewed=int(renewed))
            self._workers.gone(self._id)
        return renewed

    def _goes_on(self) -> bool:
        """Whether the study runs; it is given a leader where it has none."""
        if time.monotonic() < self._look:
            return True
        self._look = time.monotonic() + LOOK_SECONDS
        row = self._studies.get(self._study.name)
        if self._study.data_fingerprint is None and row.data_fingerprint is not None:
            _same_data(row, self._spec, self._dataset)
            self._study = row
        self._stopping = row.state == "stopping"
        if self._succession is not None:
            if row.state == "running":
                self._succession.look()
            elif self._stopping and self._worker.idle:
                stop(self._database, row.name, of=("stopping",))  # its leader may have died before it could say so
        return row.state in ("running", "stopping")

    def _renew(self) -> bool:
        self._workers.note_memory(self._id, resident_memory())
        self._queue.renew(self._id, self._worker.holds, LEASE_SECONDS)
        if self._succession is not None:
            self._succession.keep()
        return True

    def _large(self) -> bool:
        """Never before it has done something: a bound below what Keras takes would renew it for ever."""
        return self._handed_in > 0 and self._allowance.passed()

    def _tell(self, runs: Sequence[LeasedRun]) -> None:
        for run in runs:
            self._listener(Note(f"trial {run.trial_number}: run {run.id} ended"))

    def _lost(self, runs: int) -> None:
        self._listener(Note(f"{count(runs, 'run')} went to another worker meanwhile: what came of it here is dropped"))


def _same_data(study: StudyRow, spec: StudySpec, dataset: Dataset) -> None:
    """Raises InputError where the data are not what the study recorded, if it has."""
    if study.data_fingerprint not in (None, dataset.fingerprint):
        raise InputError(
            Problem(spec.data.source, "", f"the data of study {study.name!r} ({study.data_fingerprint})",
                    dataset.fingerprint, "Give this worker the same files.")
        )  # fmt: skip
