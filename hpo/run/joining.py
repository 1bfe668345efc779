"""The worker's side: train for a study that another process leads, until it ends."""

import os
import time
from collections.abc import Sequence

from hpo.data.load import load
from hpo.errors import InputError, Problem, Stopped
from hpo.importing import importable
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.rows import LeasedRun
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run import interrupts
from hpo.run.events import Listener, Note
from hpo.run.keeping import Keeper
from hpo.run.renewal import Allowance, bound, pooled, resident_memory
from hpo.run.worker import LEASE_SECONDS, SHARE, Worker
from hpo.studyfile.spec import from_plain

IDLE_SECONDS = 0.1


def work(
    study: str, *, storage: str, data_dir: str | None = None, artifacts: str | None = None,
    listener: Listener = lambda event: None,
) -> bool:  # fmt: skip
    """Train for a study that is running, until it is not. The data must be what the study recorded.

    True: the study goes on, but this process has grown beyond what it may and holds nothing: replace it.
    """
    with connect(storage, create=False) as database:
        studies = Studies(database)
        row = studies.get(study)
        spec = from_plain(dict(row.spec))
        dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=data_dir)
        if row.data_fingerprint and row.data_fingerprint != dataset.fingerprint:
            raise InputError(
                Problem(spec.data.source, "", f"the data of study {study!r} ({row.data_fingerprint})",
                        dataset.fingerprint, "Give this worker the same files.")
            )  # fmt: skip
        workers, queue = Workers(database), Queue(database)
        worker_id = workers.register(row.id)
        allowance, handed_in = Allowance(pooled() or bound(spec.training.memory, 1)), 0

        def large() -> bool:
            """Never before it has done something: a bound below what Keras takes would renew it for ever."""
            return handed_in > 0 and allowance.passed()

        def tell(runs: Sequence[LeasedRun]) -> None:
            for run in runs:
                listener(Note(f"trial {run.trial_number}: run {run.id} ended"))

        worker = Worker(
            spec=spec, dataset=dataset, studies=studies, queue=queue,
            store=ArtifactStore(artifacts or default_store(database)), study_id=row.id, worker_id=worker_id,
            grasp=SHARE, enough=lambda: interrupts.seen() or large(), progress=tell,
        )  # fmt: skip

        def renew() -> bool:
            workers.note_memory(worker_id, resident_memory())
            queue.renew(worker_id, queue.held(worker_id), LEASE_SECONDS)
            return True

        renewed = False
        try:
            parent = os.getppid()
            with (
                Keeper(renew, LEASE_SECONDS / 4),
                importable(spec.base, first=False),
                interrupts.remembered(lambda text: listener(Note(text))),
            ):
                while not renewed and studies.get(study).state == "running" and os.getppid() == parent:
                    interrupts.raise_if_seen()
                    ended = worker.step()
                    handed_in += ended
                    renewed = large() and worker.idle
                    if ended == 0 and not renewed:
                        time.sleep(IDLE_SECONDS)
        except KeyboardInterrupt:
            raise Stopped(f"worker of study {study!r} stopped; its runs went back to the queue") from None
        finally:
            worker.close()
            workers.note_memory(worker_id, resident_memory(), renewed=int(renewed))
            workers.gone(worker_id)
        return renewed
