"""A worker: leases runs, trains them in a session, hands the results in.

Every run is committed as it ends, in one transaction under the lease; a worker that is killed loses what it was
training and nothing else.
"""

import json
from collections import deque
from collections.abc import Callable
from time import monotonic

from hpo.data.dataset import Dataset
from hpo.metrics import METRICS
from hpo.records.artifacts import ArtifactStore, pack
from hpo.records.queue import Queue
from hpo.records.rows import FinishedRun, LeasedRun
from hpo.records.studies import Studies
from hpo.space import SearchSpace
from hpo.space.plain import space_from_plain
from hpo.studyfile.spec import StudySpec
from hpo.training.session import Session

LEASE_SECONDS = 60.0
RENEW_SECONDS = LEASE_SECONDS / 4
GRASP = 8
"""Runs leased at once: of one structure, so that what is compiled serves them all."""


class Worker:
    """Trains for one study. `progress` is called as each run is handed in, with the run and how it ended."""

    def __init__(
        self, *, spec: StudySpec, dataset: Dataset, studies: Studies, queue: Queue, store: ArtifactStore, study_id: int,
        worker_id: str, grasp: int = GRASP, progress: Callable[[LeasedRun], None] = lambda run: None,
    ) -> None:  # fmt: skip
        self._spec, self._dataset, self._studies, self._queue, self._store = spec, dataset, studies, queue, store
        self._study_id, self._worker_id, self._grasp, self._progress = study_id, worker_id, grasp, progress
        self._folds = tuple(dataset.fold(i) for i in range(dataset.folds))
        self._spaces: dict[int, SearchSpace] = {}
        self._session: tuple[object, Session] | None = None

    def step(self) -> int:
        """Lease some runs and train them; the number of runs trained, 0 where none was waiting."""
        runs = self._queue.lease(self._study_id, self._worker_id, self._grasp, LEASE_SECONDS)
        if runs:
            self._train(runs)
        return len(runs)

    def close(self) -> None:
        """Give leases back and models up."""
        self._queue.release(self._worker_id)
        if self._session is not None:
            self._session[1].close()
            self._session = None

    def _train(self, runs: list[LeasedRun]) -> None:
        session = self._session_for(runs[0])
        waiting, training = deque(runs), dict[int, LeasedRun]()
        epochs, renewed = 1, monotonic()
        while waiting or training:
            for slot in range(session.slots):
                if slot not in training and waiting:
                    training[slot] = waiting.popleft()
                    session.put(slot, training[slot].request)
            began = monotonic()
            session.advance(epochs)
            # As many epochs as fit between two renewals: a call costs something, a lapsed lease costs the run.
            epochs = max(1, min(2 * epochs, int(epochs * RENEW_SECONDS / max(monotonic() - began, 1e-3))))
            for slot, run in list(training.items()):
                if session.finished(slot):
                    self._hand_in(session, slot, run)
                    del training[slot]
                    renewed = monotonic()
            if (waiting or training) and monotonic() - renewed > RENEW_SECONDS / 2:
                left = [run.id for run in (*training.values(), *waiting)]
                self._queue.renew(self._worker_id, left, LEASE_SECONDS)
                renewed = monotonic()

    def _hand_in(self, session: Session, slot: int, run: LeasedRun) -> None:
        result = session.result(slot)
        key = f"{self._spec.name}/stage-{run.stage_id}/run-{run.id}.npz"
        artifact = self._store.put(key, pack(result.weights, result.predictions))
        self._queue.commit(self._worker_id, [FinishedRun(run.id, result, artifact)])
        session.free(slot)
        self._progress(run)

    def _session_for(self, run: LeasedRun) -> Session:
        """The open session where the structure is the same, else a new one in its place."""
        space = self._space(run.stage_id)
        structure = (space, tuple(sorted(space.structure(run.request.configuration).items())))
        if self._session is not None:
            if self._session[0] == structure:
                return self._session[1]
            self._session[1].close()
            self._session = None
        from hpo.training.engine import open_session  # loads Keras: only when something trains

        session = open_session(
            space=space,
            structure=run.request.configuration,
            facts=self._dataset.facts,
            folds=self._folds,
            metric=METRICS[self._dataset.metric],
            engine=self._spec.training.engine,
            precision=self._spec.training.precision,
        )
        self._session = (structure, session)
        return session

    def _space(self, stage_id: int) -> SearchSpace:
        if stage_id not in self._spaces:
            rows = {row.id: row for row in self._studies.stages(self._study_id)}
            self._spaces = {i: space_from_plain(json.loads(row.space)) for i, row in rows.items() if row.space}
        return self._spaces[stage_id]
