"""Proposals and records of ours: what leader and worker of `hpo` do around the training, in one process."""

import time
from collections.abc import Sequence

from hpo.metrics import METRICS
from hpo.records.connection import Database
from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, FinishedRun, LeasedRun, NewRun, NewTrial, OptunaParam
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.search import Proposal, Search, create_optuna_study
from hpo.space import SearchSpace
from hpo.values import Configuration, Outcome, RunRequest, RunResult, fingerprint

METRIC = METRICS["accuracy"]
_STARTUP = 10
_OPEN = 8
"""Structures that a batch of proposals may go back to, as in `hpo run`."""
_LEASE = 3600.0


class Book:
    """The search and the records of one stage."""

    def __init__(self, database: Database, space: SearchSpace, epochs: int, structures: int) -> None:
        self.space, self._epochs, self._structures = space, epochs, structures
        self._queue, name = Queue(database), f"throughput-{time.time_ns()}"
        self._study = Studies(database).open(name, {}, "none", 0)
        create_optuna_study(database.url, f"{name}/tune", "maximize")
        self._stage = Studies(database).begin_stage(
            self._study.id, "tune", 1, 0, "none", "validation metric", "maximize", 0, "{}", f"{name}/tune"
        )
        self._worker = Workers(database).register(self._study.id)
        self._search = Search(space, direction="maximize", sampler="tpe", seed=(0, "tune", 1), startup=_STARTUP)
        self._used: dict[str, Configuration] = {}
        self.asked = 0
        self.seconds = {"asking": 0.0, "records": 0.0}

    def ask(self, count: int) -> list[LeasedRun]:
        """So many proposals, recorded, queued and leased."""
        began = time.perf_counter()
        numbers = range(self.asked, self.asked + count)
        open_ = list(self._used.values())[-_OPEN:]
        proposals = self._search.ask(numbers, structures=self._structures, open_=open_)
        self.asked += count
        asked = time.perf_counter()
        self._queue.add_trials(self._stage, [self._new(p) for p in proposals])
        leased: list[LeasedRun] = []
        while runs := self._queue.lease(self._study.id, self._worker, count, _LEASE):
            leased += runs
        self._took(asked - began, time.perf_counter() - asked)
        return leased

    def hand_in(self, finished: Sequence[tuple[LeasedRun, RunResult]]) -> None:
        """Write results and curves, tell the search, close the trials."""
        began = time.perf_counter()
        self._queue.commit(self._worker, [FinishedRun(run.id, result) for run, result in finished])
        written, closed = time.perf_counter(), []
        for run, r in finished:
            diverged = r.outcome is Outcome.DIVERGED
            told = self._search.tell(run.trial_number, r.validation_metric, diverged=diverged)
            closed.append(
                ClosedTrial(
                    run.trial_number, told.state, told.value, r.training_loss, r.validation_loss, r.training_metric,
                    r.validation_metric, r.parameters, None, r.seconds, told.attrs, told.study_attrs,
                )
            )  # fmt: skip
        told_at = time.perf_counter()
        self._queue.close_trials(self._stage, closed)
        self._took(told_at - written, time.perf_counter() - told_at + written - began)

    def _new(self, proposal: Proposal) -> NewTrial:
        structure = fingerprint(self.space.structure(proposal.configuration))
        self._used.pop(structure, None)
        self._used[structure] = proposal.configuration
        run = NewRun(RunRequest(proposal.configuration, proposal.number, 0, self._epochs))
        params = tuple(OptunaParam(p.name, p.internal, p.distribution) for p in proposal.params)
        return NewTrial(
            proposal.number, "sampler", proposal.configuration, proposal.varied, structure, (run,), params,
            proposal.attrs,
        )  # fmt: skip

    def _took(self, asking: float, records: float) -> None:
        self.seconds["asking"] += asking
        self.seconds["records"] += records
