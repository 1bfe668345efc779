"""Leading a study: taken by one process, kept while it works, given back at its end.

Ctrl-C, and `hpo stop`, end the study for all. A leader that is told to leave (SIGTERM), killed or cut off leaves
it running: another worker takes the lead.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from hpo.errors import Fault, InputError, LeaseLost, Problem, Stopped
from hpo.records.artifacts import ArtifactStore
from hpo.records.database import Database
from hpo.records.queue import Queue
from hpo.records.rows import StudyRow, StudyState
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run import interrupts
from hpo.run.keeping import Keeper
from hpo.run.renewal import orphaned, resident_memory
from hpo.run.worker import LEASE_SECONDS

LEAD_SECONDS = 20.0
"""Of the leader's lease, which is renewed four times as often: so long a study stands still at most when the machine
of its leader is gone."""
HEIR_OF = "HPO_HEIR_OF"
"""In the environment of a leader that a worker started: that worker, who claimed the lead for it."""
CHECK_SECONDS = 0.5
"""Between two looks at what others did to the study."""


class Lead:
    """The lead that this process has of one study. Its methods may be called from any thread."""

    def __init__(self, database: Database, study: StudyRow, worker_id: str) -> None:
        self.worker_id = worker_id
        self.holds: Callable[[], Iterable[int]] = frozenset
        """The runs that this process trains."""
        self.stopping = False
        """Whether somebody asked that the study be stopped: no more runs are to be begun."""
        self.workers = 0
        """Processes at work that train for this study, besides this one, when last looked at."""
        self._study = study
        self._studies, self._queue, self._workers = Studies(database), Queue(database), Workers(database)
        self._checked = -CHECK_SECONDS
        self._heard = self._reclaim_from = time.monotonic()

    def renew(self) -> bool:
        """Renew the lead, and the leases of the runs that this process trains; False once another process has led.

        A lease that lapsed may be renewed only while nobody has led since: one who did, and has left again, has moved
        the study on, and what this process holds in memory is of the past.
        """
        if self._studies.get(self._study.name).leader_worker_id != self.worker_id:
            return False
        if not self._workers.lead(self._study.id, self.worker_id, LEAD_SECONDS):
            return False
        self._workers.note_memory(self.worker_id, resident_memory())
        self._queue.renew(self.worker_id, self.holds(), LEASE_SECONDS)
        self._hear()
        return True

    def _hear(self) -> None:
        """Note that the database answers. After a silence those who could not renew are given time to say they live.

        The keeper asks all the time: a leader that trains looks at others no more often than an epoch takes.
        """
        moment = time.monotonic()
        if moment - self._heard > LEASE_SECONDS / 2:
            self._reclaim_from = moment + LEASE_SECONDS / 2
        self._heard = moment

    def renewed(self) -> None:
        """Note that another process trains in place of this one, which has grown too large."""
        self._workers.note_memory(self.worker_id, resident_memory(), renewed=1)

    def check(self) -> None:
        """Look at what others did, and give the runs of dead workers back to the queue.

        Raises LeaseLost where another process has led since, KeyboardInterrupt where Ctrl-C was pressed, or where the
        study is to stop and nothing is in training any more.
        """
        interrupts.raise_if_seen()
        if orphaned():
            raise interrupts.Terminated
        moment = time.monotonic()
        if moment - self._checked < CHECK_SECONDS:
            return
        study = self._studies.get(self._study.name)
        if study.leader_worker_id != self.worker_id:
            raise LeaseLost("another process has taken over the lead of this study; this one wrote nothing since")
        self._hear()
        if time.monotonic() >= self._reclaim_from:
            self._queue.reclaim(study.id)
        self.workers = self._workers.alive(study.id, LEASE_SECONDS, "worker")
        self.stopping = study.state != "running"  # stopped at once, where the lead had lapsed for a while
        self._checked = time.monotonic()
        if self.stopping and not self._queue.in_training(study.id):
            raise KeyboardInterrupt


@contextmanager
def led(database: Database, study: StudyRow, tell: Callable[[str], None] = lambda text: None) -> Iterator[Lead]:
    """Lead the study, and say in the records how it was left. `tell` hears that Ctrl-C was.

    Raises InputError where another process leads it.
    """
    lead = _taken(database, study)
    studies = Studies(database, leader=lead.worker_id)
    try:
        with Keeper(lead.renew, LEAD_SECONDS / 4), interrupts.remembered(tell):
            if HEIR_OF not in os.environ:  # an heir found it running; it may have been asked to stop since
                studies.set_state(study.id, "running")
            yield lead
    except interrupts.Terminated:
        raise Stopped(f"this process leaves study {study.name!r}, which runs on where it has other workers") from None
    except KeyboardInterrupt:
        _leave(studies, study.id, "stopped")
        raise Stopped(
            f"study {study.name!r} stopped; everything finished is kept. Go on with the same command."
        ) from None
    except LeaseLost:
        raise  # it is not ours any more
    except BaseException:
        _leave(studies, study.id, "failed")
        raise
    finally:
        _give_back(database, study, lead)


def forget(database: Database, name: str, store: ArtifactStore) -> None:
    """Remove the study of that name, if there is one. Raises InputError while another process leads it."""
    row = next((row for row in Studies(database).all() if row.name == name), None)
    if row is None:
        return
    lead = _taken(database, row)
    try:
        store.delete(Studies(database, leader=lead.worker_id).remove(name))
    finally:
        _give_back(database, row, lead)


def _taken(database: Database, study: StudyRow) -> Lead:
    workers = Workers(database)
    worker_id = workers.register(study.id, "leader")
    if not workers.lead(study.id, worker_id, LEAD_SECONDS, heir_of=os.environ.get(HEIR_OF)):
        workers.gone(worker_id)
        raise InputError(
            Problem(f"study {study.name!r}", "", "a study that no other process runs", "one that another process leads",
                    "Join it with hpo worker, or wait until that process ends.")
        )  # fmt: skip
    return Lead(database, study, worker_id)


def _leave(studies: Studies, study_id: int, state: StudyState) -> None:
    """Note how the study was left.

    Not where another process leads it by now, for it is not ours to say; nor where the database is what failed: the
    error under way tells more than this one would.
    """
    with contextlib.suppress(Fault):
        studies.set_state(study_id, state)


def _give_back(database: Database, study: StudyRow, lead: Lead) -> None:
    """Resign; where the database does not answer, the lease lapses by itself."""
    workers = Workers(database)
    with contextlib.suppress(Fault):
        workers.resign(study.id, lead.worker_id)
        workers.gone(lead.worker_id)
