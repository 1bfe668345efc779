"""What a searching stage proposes next, and when: in batches, or slot by slot.

With halving, slots are refilled as they come free. Without it every run trains to its end and proposals come in
batches: what is proposed then depends on counts alone, never on which run ended first, so that an interruption changes
nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf
from statistics import median
from typing import Protocol

from hpo.metrics import Direction
from hpo.recipe.rungs import rungs
from hpo.records.rows import Origin, StageRow
from hpo.run.batches import LEAST, batch_size, next_batch, open_structures, room, structures
from hpo.run.cohorts import cohort_slots, slots_of
from hpo.run.comparing import rule_of
from hpo.run.context import Context
from hpo.run.tally import Tally
from hpo.run.trainer import ahead
from hpo.search.halving import SlotSearch
from hpo.search.samplers import installed
from hpo.search.search import Search
from hpo.search.values import PastTrial, Proposal, Told
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint

STARTUP = 10
"""Random trials before the sampler's model is trusted; a third of a small stage, four at least."""
COMPARING = ("overfit", "tune")
"""Stages whose runs are compared at rungs. `regularize` is not one: early in a training regularization only costs."""
IN_FLIGHT = 4
"""At most one in so many of a stage's planned trials is in training at a time: the sampler learns from the others."""

GP_SECONDS = 0.5
"""A proposal of the Gaussian process costs about so much, one of TPE a thousandth (`benchmarks/search`)."""
GP_PAYS = 20
"""`auto` takes the Gaussian process where a training takes so many times as long as its proposal."""

Proposals = list[tuple[Origin, Proposal]]


class Feed(Protocol):
    """The search as a stage sees it."""

    judged: bool
    """Whether its trials are compared at rungs."""
    in_order: bool
    """Whether a trial is told only after those of smaller numbers, whichever ended first."""
    slots: int | None
    """Of the cohorts that it fills; None: by how many runs are queued together."""

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration as a trial."""

    def more(self, tally: Tally, mended: Configuration | None) -> Proposals:
        """What to begin now: nothing while enough is in training. `mended`: a remedy to try among these."""

    def see(self, number: int, seen: Mapping[int, float]) -> None:
        """What a trial has come to at rungs, by epoch."""

    def tell(self, number: int, value: float | None, *, diverged: bool = False, dropped: bool = False) -> Told:
        """How a trial ended."""


def feed_for(ctx: Context, stage: StageRow, space: SearchSpace, planned: int | None, starts: int, tally: Tally) -> Feed:
    """A stage's feed, rebuilt from its trials."""
    kind: type[Batches | Slots] = Slots if ctx.spec.search.halving else Batches
    return kind(ctx, stage, space, planned, starts, tally)


def sampler_of(ctx: Context) -> str:
    """The study's sampler. `auto` is settled by what the baseline stage's runs took, which is in the records."""
    stated = ctx.spec.search.sampler
    if stated != "auto":
        return stated
    rows = [row for row in ctx.studies.stages(ctx.study.id) if row.name == "baseline"]
    seconds = [r.seconds for row in rows for t in ctx.queue.trials(row.id) for r in t.runs if r.purpose == "noise"]
    return "gp" if seconds and median(seconds) >= GP_PAYS * GP_SECONDS and installed("gp") else "tpe"


def _startup(planned: int | None) -> int:
    return STARTUP if planned is None else min(STARTUP, max(4, planned // 3))


def _direction(stage: StageRow) -> Direction:
    return "maximize" if stage.direction == "maximize" else "minimize"


def _history(tally: Tally) -> list[PastTrial]:
    return [PastTrial(t.number, t.configuration, t.value, t.state, t.optuna_attrs) for t in tally.rows.values()]


class Batches:
    """The next batch when the one before has ended; several workers do not wait for that."""

    judged = False
    slots: int | None = None

    def __init__(
        self, ctx: Context, stage: StageRow, space: SearchSpace, planned: int | None, starts: int, tally: Tally
    ) -> None:
        self._ctx, self._planned, self._starts = ctx, planned, starts
        self.in_order = ctx.workers == 1
        self._search = Search(
            space, direction=_direction(stage), sampler=sampler_of(ctx),
            seed=(ctx.spec.seed, stage.name, stage.attempt), startup=_startup(planned), history=_history(tally),
        )  # fmt: skip

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """See `Feed`."""
        return self._search.propose(number, configuration)

    def more(self, tally: Tally, mended: Configuration | None) -> Proposals:
        """See `Feed`."""
        if len(tally.running) >= self._ahead(tally):
            return []
        stated, planned = self._ctx.spec.search, self._planned
        count = next_batch(tally.new, self._starts, batch_size(stated.batch, planned), planned)
        first = tally.next_number
        found: Proposals = []
        if mended is not None:
            found.append(("remedy", self._search.propose(first, mended)))
        if numbers := range(first + len(found), first + count):
            bound, open_ = structures(stated.structures, planned), open_structures(tally.rows.values())
            found += [("sampler", p) for p in self._search.ask(numbers, structures=bound, open_=open_)]
        return found

    def see(self, number: int, seen: Mapping[int, float]) -> None:
        """A batch is told of what has ended alone."""

    def tell(self, number: int, value: float | None, *, diverged: bool = False, dropped: bool = False) -> Told:
        """See `Feed`."""
        return self._search.tell(number, value, diverged=diverged)

    def _ahead(self, tally: Tally) -> int:
        """Fewer trials outstanding than this, and more are proposed.

        Alone, a batch ends before the next begins. Several workers must not wait: each has its slots to fill.
        """
        if self._ctx.workers == 1:
            return 1
        slots = max((run.slots or 1 for trial in tally.running.values() for run in trial.runs), default=1)
        return self._ctx.workers * max(2, slots // self._ctx.dataset.folds)


@dataclass
class _Cohorts:
    """Cohorts of one structure."""

    configuration: Configuration
    count: int = 1


class Slots:
    """Slots kept full: a cohort of its own for each lane or worker, refilled within its structure for as long as the
    search stays there.
    """

    in_order = False
    slots: int | None

    def __init__(
        self, ctx: Context, stage: StageRow, space: SearchSpace, planned: int | None, starts: int, tally: Tally
    ) -> None:
        self._space, self._planned, self._starts = space, planned, starts
        self.judged = stage.name in COMPARING
        folds = ctx.dataset.folds
        self.slots = slots = slots_of(ctx, space, space.default(), cohort_slots(ctx, space))
        self._cohorts = ctx.cohorts if slots > 1 else ctx.workers
        most = inf if planned is None else max(LEAST, planned // IN_FLIGHT) / self._cohorts
        # With one slot and nobody else in training the sampler may know everything before it proposes.
        waiting = ahead(slots) if ctx.workers == 1 else max(1, ahead(slots))
        self._each = max(1, int(min(most, ceil((slots + waiting) / folds))))
        self._open: dict[str, _Cohorts] = {}
        self._search = SlotSearch(
            space, direction=_direction(stage), rungs=rungs(ctx.spec.budget.epochs, rule_of(ctx.spec.search)),
            sampler=sampler_of(ctx), seed=(ctx.spec.seed, stage.name, stage.attempt), slots=self._each,
            planned=planned, startup=_startup(planned), history=_history(tally),
            seen={t.number: t.rungs for t in tally.rows.values()},
        )  # fmt: skip
        for trial in tally.running.values():
            if len(self._open) < self._cohorts:
                self._open.setdefault(trial.structure, _Cohorts(trial.configuration))

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration: its structure's cohort is filled up, where there is room for one more."""
        proposal = self._search.propose(number, configuration)
        if sum(c.count for c in self._open.values()) < self._cohorts:
            self._open.setdefault(self._structure(configuration), _Cohorts(proposal.configuration))
        return proposal

    def more(self, tally: Tally, mended: Configuration | None) -> Proposals:
        """See `Feed`."""
        running = Counter(trial.structure for trial in tally.running.values())
        left, first = room(tally.new, self._starts, self._planned), tally.next_number
        found: Proposals = []

        def numbers(count: int) -> range:
            begin = first + len(found)
            return range(begin, begin + (count if left is None else min(count, left - len(found))))

        for structure, cohorts in list(self._open.items()):
            free = cohorts.count * self._each - running[structure]
            if free < max(1, self._each // 4) or not (wanted := numbers(free)):
                continue
            if mended is not None and self._structure(mended) == structure:
                found.append(("remedy", self._search.propose(wanted[0], mended)))
                mended, wanted = None, wanted[1:]
            if wanted:
                proposals = self._search.begin(wanted, within=cohorts.configuration)
                found += [("sampler", p) for p in proposals]
                if not proposals:
                    del self._open[structure]
        if mended is not None and (wanted := numbers(1)):
            found.append(("remedy", self._search.propose(wanted[0], mended)))
        while sum(c.count for c in self._open.values()) < self._cohorts and (wanted := numbers(self._each)):
            beside = [c.configuration for c in self._open.values()]
            if not (proposals := self._search.begin(wanted, beside=beside)):
                break
            found += [("sampler", p) for p in proposals]
            structure = self._structure(proposals[0].configuration)
            self._open.setdefault(structure, _Cohorts(proposals[0].configuration, 0)).count += 1
        return found

    def see(self, number: int, seen: Mapping[int, float]) -> None:
        """See `Feed`."""
        for epoch, value in seen.items():
            self._search.see(number, epoch, value)

    def tell(self, number: int, value: float | None, *, diverged: bool = False, dropped: bool = False) -> Told:
        """See `Feed`."""
        return self._search.end(number, value, diverged=diverged, dropped=dropped)

    def _structure(self, configuration: Configuration) -> str:
        return fingerprint(self._space.structure(configuration))
