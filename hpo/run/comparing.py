"""A worker's side of asynchronous halving: what runs have come to at rungs, and which of them give up their slots.

A trial is compared by its mean over folds, once all of them have come to a rung; a trial whose folds train in different
processes is compared by none and trains to its end. In the overfit stage, which asks how much capacity the data needs,
runs are held against those of their own structure alone: a large network learns fast, and at an early rung would push
aside the small one that is enough.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from time import monotonic

from hpo.metrics import Direction
from hpo.recipe.rungs import Judge, Rule, rungs
from hpo.records.queue import Queue
from hpo.records.rows import ALL_FOLDS, LeasedRun, Reached, StageRow
from hpo.run.closing import mean
from hpo.run.trainer import AtRung, Ended
from hpo.studyfile.spec import SearchSpec
from hpo.training.curves import Scores
from hpo.values import Outcome

REFRESH_SECONDS = 2.0
"""So often a worker among others reads what these have seen: the rule needs no more, and each look costs a query."""
LOOKING = 0.02
"""Share of its time that it spends on that at most: hundreds of workers see many rungs in two seconds."""

COMPARING = ("overfit", "tune")
"""Stages whose runs are compared at rungs. `regularize` is not one: early in a training regularization only costs."""


def rule_of(search: SearchSpec) -> Rule:
    """The rung rule that a study file states."""
    return Rule(search.factor, search.first_rung)


@dataclass(frozen=True)
class Comparison:
    """What a stage compares its runs by."""

    of_training: bool
    direction: Direction
    at_rungs: bool = True
    """Whether it does so before their end."""

    @classmethod
    def of(cls, stage: StageRow) -> "Comparison":
        direction: Direction = "maximize" if stage.direction == "maximize" else "minimize"
        return cls(stage.objective == "training loss", direction, stage.name in COMPARING)

    def value(self, scores: Scores) -> float:
        """The stage's objective."""
        return scores[0] if self.of_training else scores[3]


class Comparing:
    """Judges by stage, and in the overfit stage by structure; what comes from the records is learned, not judged."""

    def __init__(
        self, queue: Queue, rule: Rule, folds: int, comparison: Callable[[int], Comparison], *,
        alone: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`alone`: whether no other process trains now."""
        self._queue, self._rule, self._folds, self._comparison, self._alone = queue, rule, folds, comparison, alone
        self._judges: dict[tuple[int, str], Judge] = {}
        self._values: dict[tuple[int, int], dict[int, dict[int, float]]] = {}
        """By (stage, trial number), epoch and fold."""
        self._read: dict[int, tuple[float, int]] = {}
        """By stage: when to look again, and from which trial on."""

    def rungs(self, run: LeasedRun) -> tuple[int, ...]:
        """The epochs before its end at which a run is compared; none for most."""
        return rungs(run.request.epochs, self._rule)[:-1] if self._compares(run) else ()

    def at_rungs(self, found: Sequence[AtRung]) -> list[Reached]:
        """What runs in training have come to."""
        return [Reached(a.run, a.epoch, self._comparison(a.run.stage_id).value(a.scores)) for a in found]

    def at_end(self, ended: Sequence[Ended]) -> list[Reached]:
        """What runs that ended have come to, for the rungs that they will not see; none of those that gave up."""
        found = []
        for run, r in ((e.run, e.result) for e in ended if self._compares(e.run)):
            if r is None or r.outcome == Outcome.DROPPED:
                continue
            scores = (r.training_loss, r.validation_loss, r.training_metric, r.validation_metric)
            value = nan if r.outcome == Outcome.DIVERGED else self._comparison(run.stage_id).value(scores)
            found += [Reached(run, e, value) for e in rungs(run.request.epochs, self._rule) if e >= len(r.curve)]
        return found

    def judge(self, at_end: Iterable[Reached], at_rungs: Iterable[Reached]) -> set[tuple[int, int]]:
        """(stage, number) of the trials that give up their slots, of those that came to a rung in one step, together.

        They are held against the runs that ended in this step, too.
        """
        for one in at_end:
            if (value := self._mean(one)) is not None:
                self._judge(one.run, one.run.structure).learn(one.run.trial_number, one.epoch, value)
        together: dict[tuple[int, Judge], dict[int, tuple[int, float]]] = {}
        for one in at_rungs:
            if (value := self._mean(one)) is not None:
                judged = together.setdefault((one.run.stage_id, self._judge(one.run, one.run.structure)), {})
                judged[one.run.trial_number] = (one.epoch, value)
        return {(stage, number) for (stage, judge), values in together.items() for number in judge.judge(values)}

    def _compares(self, run: LeasedRun) -> bool:
        return run.judged and self._comparison(run.stage_id).at_rungs

    def _mean(self, one: Reached) -> float | None:
        """Over the folds, once all of them have come so far."""
        by_fold = self._folds_at(one.run.stage_id, one.run.trial_number, one.epoch)
        by_fold[one.run.request.fold] = one.value
        return mean(list(by_fold.values())) if len(by_fold) == self._folds else None

    def learn(self, run: LeasedRun) -> None:
        """Read what other processes, and this one before an interruption, have seen in a run's stage."""
        stage = run.stage_id
        began = monotonic()
        due, since = self._read.get(stage, (0.0, 0))
        if not self._compares(run) or began < due or (stage in self._read and self._alone()):
            return
        found, since = self._queue.rungs(stage, since)
        for seen in found:
            by_fold = self._folds_at(stage, seen.number, seen.epoch)
            if seen.fold in by_fold:
                continue
            by_fold[seen.fold] = seen.value
            if seen.fold == ALL_FOLDS or len(by_fold) == self._folds:
                self._judge(run, seen.structure).learn(seen.number, seen.epoch, mean(list(by_fold.values())))
        ended = monotonic()
        self._read[stage] = (ended + max(REFRESH_SECONDS, (ended - began) / LOOKING), since)

    def _folds_at(self, stage: int, number: int, epoch: int) -> dict[int, float]:
        return self._values.setdefault((stage, number), {}).setdefault(epoch, {})

    def _judge(self, run: LeasedRun, structure: str) -> Judge:
        """The judge of a run's stage, and in overfit of a structure."""
        comparison = self._comparison(run.stage_id)
        key = (run.stage_id, structure if comparison.of_training else "")
        if key not in self._judges:
            self._judges[key] = Judge(rungs(run.request.epochs, self._rule), self._rule, comparison.direction)
        return self._judges[key]
