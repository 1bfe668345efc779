"""The outer level: which structure a cohort is opened for, and when it is given up for another.

Asynchronous halving over structures. A structure is tried with a few runs first (a new program costs its compilation,
so do not fill a cohort for one that is nothing); it gets `factor` times as many as it had where the best of these is
among the better ones: one in `factor`, held against the same count of first runs of each other structure that had as
many, at the highest rung that its own came to. What may go on comes first, those with more runs before those with
fewer; where nothing may, a structure is opened that no trial had, drawn at random.

Asking the sampler for structures was far worse (`benchmarks/search/README.md`): what it has seen is mostly the
structures that it asked for, so it stays in one of the first.

Everything here follows from the trials' records: nothing is remembered between calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpo.search.density import Floats
from hpo.search.distributions import Row, Terms
from hpo.search.ledger import Ledger
from hpo.search.tpe import Sampler
from hpo.search.trials import Trials
from hpo.values import Configuration

LOOKS = 256
"""Random configurations whose structures can be opened: those that take much of the space come early."""

PLANNED_TRIED = 8
"""A structure begins with no more than this part of the trials that are planned."""


@dataclass(frozen=True)
class Outer:
    """The settings of the outer level."""

    tried: int = 8
    """Runs that a structure begins with, where there are as many slots; no more before a value of theirs is known."""
    factor: int = 3
    """One in so many structures goes on, with so many times the runs. At least 2."""


class Openings:
    """Decides on the structures of a stage's cohorts."""

    def __init__(self, terms: Terms, ledger: Ledger, settings: Outer, seed: tuple[str | int, ...], slots: int,
        planned: int | None,
    ) -> None:  # fmt: skip
        """`planned`: trials of the stage; of few a structure begins with fewer, so that some can be tried."""
        self._terms, self._ledger, self._seed = terms, ledger, seed
        # Beside others a run costs little; alone it costs all of itself, so that two must do.
        most = slots if planned is None else min(slots, planned // PLANNED_TRIED)
        self._tried, self._factor = min(settings.tried, max(2, most)), settings.factor

    def next(self, beside: Sequence[Configuration]) -> Row:
        """A row of the structure to open, another than those `beside` where there is one."""
        ledger, standings = self._ledger, _Standings(self._ledger)
        taken = {ledger.key(configuration) for configuration in beside}
        known = [s for s, key in enumerate(ledger.keys) if key not in taken]
        for s in sorted(known, key=lambda s: (-ledger.counts[s], s)):
            if self._goes_on(s, standings):
                return ledger.donors[s]
        new = next((row for key, row in self._looked.items() if key not in taken and key not in ledger.keys), None)
        if new is not None:
            return new
        bests = standings.bests(len(ledger))
        return ledger.donors[min(known or range(len(ledger.keys)), key=lambda s: (*bests[s, ::-1], s))]

    def stays(self, within: Configuration) -> bool:
        """Whether a cohort of that structure is refilled."""
        s = self._ledger.structure(within)
        return s is None or self._only or self._goes_on(s, _Standings(self._ledger))

    def room(self, donor: Row) -> int | None:
        """How many runs of the structure may be begun now; None: any number."""
        s = self._ledger.structure(self._terms.configuration(donor))
        if self._only or (s is not None and _Standings(self._ledger).known[s]):
            return None
        return max(1, self._tried - (0 if s is None else self._ledger.counts[s]))

    def _goes_on(self, s: int, standings: "_Standings") -> bool:
        """Whether a structure that was tried deserves more runs."""
        counts, factor = np.array(self._ledger.counts), self._factor
        if counts[s] < self._tried or not standings.known[s]:
            return bool(counts[s] < self._tried)
        level = self._tried
        while level * factor <= counts[s]:
            level *= factor
        rivals = counts >= level
        if rivals.sum() < factor and not self._looked.keys() <= self._ledger.keys.keys():
            return False  # nothing to be better than
        bests = standings.bests(level)
        finite = np.flatnonzero(np.isfinite(bests[s]))
        if not len(finite):
            return False
        better = int((bests[rivals, finite[-1]] < bests[s, finite[-1]]).sum())
        return better < max(1, int(rivals.sum()) // factor)

    @property
    def _only(self) -> bool:
        """Whether there is but one structure."""
        return len(self._looked) == 1 and self._ledger.keys.keys() <= self._looked.keys()

    @cached_property
    def _looked(self) -> Mapping[str, Row]:
        """Structures by name, each with a row that has it, in the order in which they are opened."""
        none = Trials(len(self._terms.names))
        sampler = Sampler(self._terms, none, direction="minimize", seed=(*self._seed, "structures"), startup=None)
        found: dict[str, Row] = {}
        for row in sampler.propose(range(LOOKS)).values():
            found.setdefault(self._ledger.key(self._terms.configuration(row)), row)
        return found


class _Standings:
    """What is known of the structures at one moment."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        seen = ~np.isnan(ledger.costs).all(axis=1)
        self.known = np.bincount(ledger.structures[seen], minlength=len(ledger.keys)) > 0
        """(structures,) whether a value of theirs is known; of one that diverged too."""
        self._bests: dict[int, Floats] = {}

    def bests(self, first: int) -> Floats:
        """(structures, rungs): the lowest cost among so many first runs of each; infinite where there is none."""
        if first not in self._bests:
            ledger = self._ledger
            found = np.full((len(ledger.keys), ledger.costs.shape[1]), np.inf)
            early = ledger.places < first
            costs = ledger.costs[early]
            np.minimum.at(found, ledger.structures[early], np.where(np.isnan(costs), np.inf, costs))
            self._bests[first] = found
        return self._bests[first]
