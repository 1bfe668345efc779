"""A worker: leases runs, trains them in cohorts, hands the results in.

All runs that end or come to a rung at one step are committed together, in one transaction under the lease; a worker
that is killed loses what it was training and nothing else. Its leases are renewed beside it (`hpo.run.keeping`).
"""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from hpo.data.dataset import Dataset
from hpo.errors import LeaseLost
from hpo.metrics import METRICS
from hpo.records.artifacts import ArtifactStore, pack
from hpo.records.queue import Queue
from hpo.records.rows import FinishedRun, LeasedRun, Reached
from hpo.records.studies import Studies
from hpo.run.comparing import Comparing, Comparison, rule_of
from hpo.run.lanes import Lanes
from hpo.run.trainer import Ended, Step, Trainer
from hpo.space import SearchSpace
from hpo.space.plain import space_from_plain
from hpo.studyfile.spec import StudySpec
from hpo.training.choosing import epoch_seconds
from hpo.training.session import Session
from hpo.values import Outcome

LEASE_SECONDS = 30.0
"""Of a run's lease, which is renewed four times as often."""
LOOK_SECONDS = 0.1
"""So long a leader that trains waits for a run before it looks after others again."""
GRASP = 8
"""Runs leased at once for each slot, where nobody else trains: of one structure, so that one program serves them."""
SHARE = 2
"""The same among other workers, who are to get some too."""
PAUSE_SECONDS = 0.1
"""Among other workers: where the queue had too few runs for a cohort, it is not asked again at each of its steps."""
LONGEST_REASON = 500
"""Characters of an error that are kept as the reason of a failed run."""


class Worker:
    """Trains for one study. `progress` hears of runs that were handed in, `lost` how many could not be, since they had
    gone to another worker; `enough`: whether to begin no more runs;
    `late`: whether runs that may give up their slots are to do so now.

    `alone`: the leader itself, which trains for want of workers. Where `others` have joined it, it waits for no run.

    A run whose training raises has failed. With `alone` that is recorded of a search's runs only, which a search can do
    without; for any other run the error is raised, so that it can be mended and the run trained again. A worker among
    others hands in every failure with its reason: the leader decides.
    """

    def __init__(
        self, *, spec: StudySpec, dataset: Dataset, studies: Studies, queue: Queue, store: ArtifactStore, study_id: int,
        worker_id: str, grasp: int = GRASP, lanes: int = 1, alone: bool = False,
        enough: Callable[[], bool] = lambda: False, late: Callable[[], bool] = lambda: False,
        others: Callable[[], bool] = lambda: False,
        progress: Callable[[Sequence[LeasedRun]], None] = lambda runs: None,
        lost: Callable[[int], None] = lambda runs: None,
    ) -> None:  # fmt: skip
        self._spec, self._dataset, self._studies, self._queue, self._store = spec, dataset, studies, queue, store
        self._study_id, self._worker_id, self._grasp, self._alone = study_id, worker_id, grasp, alone
        self._enough, self._late, self._others, self._progress, self._lost = enough, late, others, progress, lost
        self._folds = tuple(dataset.fold(i) for i in range(dataset.folds))
        self._stages: dict[int, _Stage] = {}
        self._held: set[int] = set()
        self._found_none = False
        self._comparing = Comparing(
            queue,
            rule_of(spec.search),
            dataset.folds,
            lambda stage: self._stages[stage].comparison,
            alone=lambda: alone and not others(),
        )
        self._lanes = Lanes(
            [Trainer(self._structure, self._open_session, self._comparing.rungs) for _ in range(lanes)], self._cost,
            0.0 if alone else PAUSE_SECONDS,
        )  # fmt: skip

    @property
    def idle(self) -> bool:
        """Whether it holds no run."""
        return self._lanes.idle

    @property
    def holds(self) -> frozenset[int]:
        """The runs that it knows to be its own. To be asked from any thread."""
        return frozenset(self._held)

    def step(self) -> int:
        """Train until some runs have ended or come to a rung, and hand that in: how many.

        0: none was waiting; or no more are to be begun and those in training have ended, and the rest went back; or
        the leader is to look after others, while training goes on.
        """
        self._lanes.take(self._leased)
        while not self._lanes.idle:
            begin = not self._enough()
            if not begin and not self._lanes.training:
                self._lanes.drop()
                self._release()
                break
            self._lanes.go_on(begin=begin)
            heard = self._lanes.advance(LOOK_SECONDS if self._alone and self._others() else None)
            if heard is None:
                break
            trainer, found = heard
            if self._late():
                found.ended += trainer.give_up([run for run in trainer.in_training if run.judged])
            if found.ended or found.at_rungs:
                reached = self._compared(trainer, found)
                # A cohort trains while this is recorded; of a lone run's successor the search may know its end first.
                self._lanes.go_on(begin=not self._enough(), cohorts=True)
                self._hand_in(found.ended, reached)
                return len(found.ended) + len(found.at_rungs)
        return 0

    def _compared(self, trainer: Trainer, found: Step) -> list[Reached]:
        """What was seen at rungs. Runs that give up their slots there end, and join the others that have."""
        at_end, at_rungs = self._comparing.at_end(found.ended), self._comparing.at_rungs(found.at_rungs)
        given_up = self._comparing.judge(at_end, at_rungs)
        runs = [run for run in trainer.in_training if (run.stage_id, run.trial_number) in given_up]
        found.ended += trainer.give_up(runs)
        return at_end + at_rungs

    def close(self) -> None:
        """Give leases back and models up."""
        self._lanes.close()
        self._release()

    def _release(self) -> None:
        self._held.clear()
        self._queue.release(self._worker_id)

    def _leased(self, like: LeasedRun | None, most: int) -> list[LeasedRun]:
        if self._found_none and not self._queue.waiting(self._study_id):
            return []
        runs = self._queue.lease(self._study_id, self._worker_id, most or self._grasp, LEASE_SECONDS, like)
        self._found_none = not runs
        self._held.update(run.id for run in runs)
        for run in runs[:1]:
            self._stage(run.stage_id)  # read here: a lane's thread asks no database
            self._comparing.learn(run)
        return runs

    def _hand_in(self, ended: Sequence[Ended], reached: Sequence[Reached] = ()) -> None:
        """Record what came out, or raise what stopped a run that cannot be done without (see the class)."""
        raised = [e for e in ended if e.error is not None and self._alone and e.run.purpose != "search"]
        self._commit({e.run.id: e.run for e in ended}, [self._finished(e) for e in ended if e not in raised], reached)
        for e in raised:
            if e.error is not None:
                raise e.error

    def _finished(self, ended: Ended) -> FinishedRun:
        run, result, error = ended.run, ended.result, ended.error
        if result is None:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
            return FinishedRun(run.id, None, error=reason)
        if result.outcome is Outcome.DROPPED:
            return FinishedRun(run.id, result)  # nobody will ask for its weights
        key = f"{self._spec.name}/stage-{run.stage_id}/run-{run.id}.npz"
        return FinishedRun(run.id, result, self._store.put(key, pack(result.weights, result.predictions)))

    def _commit(self, runs: dict[int, LeasedRun], finished: Sequence[FinishedRun], reached: Sequence[Reached]) -> None:
        """Hand runs in. Those that went to another worker meanwhile (this machine slept) are that worker's to train."""
        while finished or reached:
            try:
                self._queue.commit(self._worker_id, finished, reached)
            except LeaseLost:
                held = self._queue.held(self._worker_id)
                self._held &= held
                self._lost(len({*(f.id for f in finished), *(r.run.id for r in reached)} - held))
                finished = [f for f in finished if f.id in held]
                reached = [r for r in reached if r.run.id in held]
            else:
                self._held -= {f.id for f in finished}
                self._progress([runs[f.id] for f in finished])
                return

    def _structure(self, run: LeasedRun) -> Hashable:
        space = self._stage(run.stage_id).space
        return space, tuple(sorted(space.structure(run.request.configuration).items()))

    def _cost(self, run: LeasedRun) -> float:
        """Estimated seconds of an epoch of a run's cohort. Runs in one slot take turns, whatever they cost."""
        if run.slots == 1:
            return 1.0
        rows = min(len(fold.x_train) for fold in self._folds)
        return epoch_seconds(run.request.configuration, self._dataset.facts, rows, run.slots)

    def _open_session(self, run: LeasedRun, slots: int) -> Session:
        from hpo.training.engine import open_session  # loads Keras: only when something trains

        return open_session(
            space=self._stage(run.stage_id).space,
            structure=run.request.configuration,
            facts=self._dataset.facts,
            folds=self._folds,
            metric=METRICS[self._dataset.metric],
            slots=slots,
            engine=self._spec.training.engine,
            precision=self._spec.training.precision,
        )

    def _stage(self, stage_id: int) -> "_Stage":
        if stage_id not in self._stages:
            rows = self._studies.stages(self._study_id)
            model = {"model": self._spec.space.model}  # the study's, whose code was allowed; the row's was not
            self._stages = {
                row.id: _Stage(space_from_plain(json.loads(row.space) | model), Comparison.of(row))
                for row in rows
                if row.space
            }
        return self._stages[stage_id]


@dataclass(frozen=True)
class _Stage:
    """What a worker has to know of a stage."""

    space: SearchSpace
    comparison: Comparison
