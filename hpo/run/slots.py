"""Slots kept full: the feed of a stage with halving."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, nan

from hpo.recipe.rungs import rungs
from hpo.records.rows import StageRow
from hpo.run.batches import LEAST, room
from hpo.run.closing import tried
from hpo.run.cohorts import cohort_slots, slots_of
from hpo.run.comparing import rule_of
from hpo.run.context import Context
from hpo.run.feeds import Proposals, direction_of, history_of, sampler_of, startup_of
from hpo.run.tally import Tally
from hpo.run.trainer import ahead
from hpo.search.halving import SlotSearch
from hpo.search.values import Proposal, Told
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint

IN_FLIGHT = 4
"""At most one in so many of a stage's planned trials is in training at a time: the sampler learns from the others."""


@dataclass
class _Cohorts:
    """Cohorts of one structure."""

    configuration: Configuration
    count: int = 1


class Slots:
    """A cohort for each lane or worker, refilled within its structure for as long as the search stays there."""

    judged = True
    in_order = False
    slots: int | None

    def __init__(
        self, ctx: Context, stage: StageRow, space: SearchSpace, planned: int | None, starts: int, tally: Tally
    ) -> None:
        self._space, self._planned, self._starts = space, planned, starts
        folds = ctx.dataset.folds
        self.slots = slots = slots_of(ctx, space, space.default(), cohort_slots(ctx, space))
        self._ctx = ctx
        self._most = inf if planned is None else max(LEAST, planned // IN_FLIGHT)
        # With one slot and nobody else in training the sampler may know everything before it proposes.
        waiting = ahead(slots) if ctx.alone else max(1, ahead(slots))
        self._full = ceil((slots + waiting) / folds)
        self._open: dict[str, _Cohorts] = {}
        self._search = SlotSearch(
            space, direction=direction_of(stage), rungs=rungs(ctx.spec.budget.epochs, rule_of(ctx.spec.search)),
            sampler=sampler_of(ctx), seed=(ctx.spec.seed, stage.name, stage.attempt), slots=self._each,
            planned=planned, startup=startup_of(planned), history=history_of(tally),
            seen={t.number: {0: nan} if tried(t).diverged else t.rungs for t in tally.rows.values()},
        )  # fmt: skip
        for trial in tally.running.values():
            if len(self._open) < self._cohorts:
                self._open.setdefault(trial.structure, _Cohorts(trial.configuration))

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration: its structure's cohort is filled up, where there is room for one more."""
        proposal = self._search.propose(number, configuration)
        if self._count < self._cohorts:
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
        # A cohort that is not refilled keeps its lane until its last run has ended.
        draining = sum(1 for structure in running if structure not in self._open)
        while draining + self._count < self._cohorts and (wanted := numbers(self._each)):
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

    @property
    def _cohorts(self) -> int:
        """Of all that train now: workers join and leave."""
        return self._ctx.cohorts if (self.slots or 1) > 1 else self._ctx.trainers

    @property
    def _each(self) -> int:
        """Trials of a cohort, those included that wait for a slot."""
        return max(1, int(min(self._most / self._cohorts, self._full)))

    @property
    def _count(self) -> int:
        """Of the cohorts that are refilled."""
        return sum(cohorts.count for cohorts in self._open.values())

    def _structure(self, configuration: Configuration) -> str:
        return fingerprint(self._space.structure(configuration))
