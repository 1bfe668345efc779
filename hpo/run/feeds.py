"""What a searching stage proposes next, and when: in batches, or slot by slot.

With halving, slots are refilled as they come free. Without it every run trains to its end and proposals come in
batches: what is proposed then depends on counts alone, never on which run ended first, so that an interruption changes
nothing.
"""

from collections.abc import Mapping
from statistics import median
from typing import Protocol

from hpo.metrics import Direction
from hpo.records.rows import Origin, StageRow
from hpo.run.batches import batch_size, next_batch, open_structures, structures
from hpo.run.context import Context
from hpo.run.tally import Tally
from hpo.search.samplers import installed
from hpo.search.search import Search
from hpo.search.values import PastTrial, Proposal, Told
from hpo.space import SearchSpace
from hpo.values import Configuration

STARTUP = 10
"""Random trials before the sampler's model is trusted; a third of a small stage, four at least."""
GP_SECONDS = 0.5
"""A proposal of the Gaussian process costs so much or more, one of TPE a millisecond."""
GP_PAYS = 20
"""`auto` takes the Gaussian process where a training takes so many times as long as its proposal."""

Proposals = list[tuple[Origin, Proposal]]


class Feed(Protocol):
    """The search as a stage sees it."""

    judged: bool
    """Whether what its sampler proposes may give up its slot."""

    @property
    def in_order(self) -> bool:
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


def sampler_of(ctx: Context) -> str:
    """The study's sampler. `auto` is settled by what the baseline stage's runs took, which is in the records."""
    stated = ctx.spec.search.sampler
    if stated != "auto":
        return stated
    rows = [row for row in ctx.studies.stages(ctx.study.id) if row.name == "baseline"]
    seconds = [r.seconds for row in rows for t in ctx.queue.trials(row.id) for r in t.runs if r.purpose == "noise"]
    return "gp" if seconds and median(seconds) >= GP_PAYS * GP_SECONDS and installed("gp") else "tpe"


def startup_of(planned: int | None) -> int:
    return STARTUP if planned is None else min(STARTUP, max(4, planned // 3))


def direction_of(stage: StageRow) -> Direction:
    return "maximize" if stage.direction == "maximize" else "minimize"


def history_of(tally: Tally) -> list[PastTrial]:
    return [PastTrial(t.number, t.configuration, t.value, t.state, t.optuna_attrs) for t in tally.rows.values()]


class Batches:
    """The next batch when the one before has ended; several workers do not wait for that."""

    judged = False
    slots: int | None = None

    def __init__(
        self, ctx: Context, stage: StageRow, space: SearchSpace, planned: int | None, starts: int, tally: Tally
    ) -> None:
        self._ctx, self._planned, self._starts = ctx, planned, starts
        self._search = Search(
            space, direction=direction_of(stage), sampler=sampler_of(ctx),
            seed=(ctx.spec.seed, stage.name, stage.attempt), startup=startup_of(planned), history=history_of(tally),
        )  # fmt: skip

    @property
    def in_order(self) -> bool:
        """See `Feed`."""
        return self._ctx.alone

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
        if self._ctx.alone:
            return 1
        slots = max((run.slots or 1 for trial in tally.running.values() for run in trial.runs), default=1)
        return self._ctx.trainers * max(2, slots // self._ctx.dataset.folds)
