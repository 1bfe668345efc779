"""A worker: leases runs, trains them in a session, hands the results in.

Every run is committed as it ends, in one transaction under the lease; a worker that is killed loses what it was
training and nothing else. Its leases are renewed beside it (`hpo.run.keeping`).
"""

import json
from collections import deque
from collections.abc import Callable, Sequence

from hpo.data.dataset import Dataset
from hpo.errors import Fault, LeaseLost
from hpo.metrics import METRICS
from hpo.records.artifacts import ArtifactStore, pack
from hpo.records.queue import Queue
from hpo.records.rows import FinishedRun, LeasedRun
from hpo.records.studies import Studies
from hpo.space import SearchSpace
from hpo.space.plain import space_from_plain
from hpo.studyfile.spec import StudySpec
from hpo.training.session import Session
from hpo.values import RunResult

LEASE_SECONDS = 60.0
GRASP = 8
"""Runs leased at once: of one structure, so that what is compiled serves them all."""
LONGEST_REASON = 500
"""Characters of an error that are kept as the reason of a failed run."""


class _TrainingFailed(Exception):
    """Building or training a network raised; the cause says what. It may be anything: frameworks, the user's model."""


class Worker:
    """Trains for one study. `progress` is called as each run is handed in; `enough`: whether to begin no more runs.

    A run whose training raises has failed. With `alone` (no other process trains) that is recorded of a search's runs
    only, which a search can do without; for any other run the error is raised, so that it can be mended and the run
    trained again. A worker among others hands in every failure with its reason: the leader decides.
    """

    def __init__(
        self, *, spec: StudySpec, dataset: Dataset, studies: Studies, queue: Queue, store: ArtifactStore, study_id: int,
        worker_id: str, grasp: int = GRASP, alone: bool = False, enough: Callable[[], bool] = lambda: False,
        progress: Callable[[LeasedRun], None] = lambda run: None,
    ) -> None:  # fmt: skip
        self._spec, self._dataset, self._studies, self._queue, self._store = spec, dataset, studies, queue, store
        self._study_id, self._worker_id, self._grasp, self._alone = study_id, worker_id, grasp, alone
        self._enough, self._progress = enough, progress
        self._folds = tuple(dataset.fold(i) for i in range(dataset.folds))
        self._spaces: dict[int, SearchSpace] = {}
        self._session: tuple[object, Session] | None = None

    def step(self) -> int:
        """Lease some runs and train them; the number of runs leased, 0 where none was waiting."""
        runs = self._queue.lease(self._study_id, self._worker_id, self._grasp, LEASE_SECONDS)
        waiting, training = deque(runs), dict[int, LeasedRun]()
        while waiting or training:
            if not training and self._enough():
                self._queue.release(self._worker_id)
                break
            ended: list[tuple[LeasedRun, RunResult]] = []
            try:
                self._advance(waiting, training, ended)
            except _TrainingFailed as failed:
                # Without a run in training it was the structure, which all of them share, that could not be opened.
                blamed = training.values() if training else waiting
                self._give_up(list(blamed), failed.__cause__)
                (training or waiting).clear()
            for run, result in ended:
                self._hand_in(run, result)
        return len(runs)

    def close(self) -> None:
        """Give leases back and models up."""
        self._close_session()
        self._queue.release(self._worker_id)

    def _advance(
        self, waiting: deque[LeasedRun], training: dict[int, LeasedRun], ended: list[tuple[LeasedRun, RunResult]]
    ) -> None:
        """Fill the free slots, train up to the nearest end of a run, and move what has ended to `ended`."""
        try:
            session = self._session_for(next(iter((*training.values(), *waiting))))
            for slot in range(session.slots):
                if slot not in training and waiting:
                    training[slot] = waiting.popleft()
                    session.put(slot, training[slot].request)
            session.advance(min(run.request.epochs for run in training.values()))
            for slot in [slot for slot in training if session.finished(slot)]:
                ended.append((training[slot], session.result(slot)))
                session.free(slot)
                del training[slot]
        except Fault:
            raise
        except Exception as error:
            raise _TrainingFailed from error

    def _hand_in(self, run: LeasedRun, result: RunResult) -> None:
        key = f"{self._spec.name}/stage-{run.stage_id}/run-{run.id}.npz"
        artifact = self._store.put(key, pack(result.weights, result.predictions))
        self._commit(run, FinishedRun(run.id, result, artifact))

    def _give_up(self, runs: Sequence[LeasedRun], error: BaseException | None) -> None:
        """Record runs that cannot be trained, or raise what stopped them (see the class). The session may be broken."""
        self._close_session()
        if error is not None and self._alone and any(run.purpose != "search" for run in runs):
            raise error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
        for run in runs:
            self._commit(run, FinishedRun(run.id, None, error=reason))

    def _commit(self, run: LeasedRun, finished: FinishedRun) -> None:
        """Hand in one run. One that went to another worker meanwhile (this machine slept) is that worker's to train."""
        try:
            self._queue.commit(self._worker_id, [finished])
        except LeaseLost:
            return
        self._progress(run)

    def _session_for(self, run: LeasedRun) -> Session:
        """The open session where the structure is the same, else a new one in its place."""
        space = self._space(run.stage_id)
        structure = (space, tuple(sorted(space.structure(run.request.configuration).items())))
        if self._session is not None and self._session[0] == structure:
            return self._session[1]
        self._close_session()
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

    def _close_session(self) -> None:
        if self._session is not None:
            self._session[1].close()
            self._session = None

    def _space(self, stage_id: int) -> SearchSpace:
        if stage_id not in self._spaces:
            rows = self._studies.stages(self._study_id)
            self._spaces = {row.id: space_from_plain(json.loads(row.space)) for row in rows if row.space}
        return self._spaces[stage_id]
