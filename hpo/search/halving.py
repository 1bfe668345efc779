"""Slots kept full by asynchronous halving: what to begin in a free slot, and which runs go on at a rung.

A rung is an epoch at which a run must be among the better ones seen there, or gives up its slot (Li et al. 2020, ASHA,
in its stopping form). Refills come from the sampler, fitted on the values of the highest rung that has enough of them;
some stay random, as insurance where that model misleads. Runs that diverged count as worst at every rung that they did
not reach.

A cohort holds runs of one structure. A new cohort gets the structures that the sampler asks for most; it is refilled in
its structure for a while, and then only as long as the sampler still asks for that one most.

Laws:
- What is begun, and what goes on, is a function of (space, direction, epochs, sampler, settings, seed) and of the calls
  so far, in their order.
- Values that are reported together are judged together: no run is better off for being named first.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.metrics import Direction
from hpo.search.search import Search
from hpo.search.values import PastTrial, Proposal
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint

VOTES = 32
"""Proposals that are looked at to see which structure the sampler asks for."""


@dataclass(frozen=True)
class Halving:
    """The rule's settings."""

    factor: int = 3
    """Of the runs that reach a rung, one in so many goes on; rungs lie so many times apart."""
    least: int = 2
    """No rung before so many epochs."""
    enough: int = 8
    """Values that a rung needs before the sampler is fitted on it."""
    random: float = 0.2
    """Share of refills that stay random."""
    visit: int = 4
    """So many runs a slot are begun in a cohort's structure before the sampler is asked whether it shall stay."""
    structures: int = 2
    """Structures among the configurations that are begun together in a new cohort."""


def rungs(epochs: int, settings: Halving) -> tuple[int, ...]:
    """The epochs at which runs are compared, rising; the last is the end, where nothing is left to decide."""
    found = [epochs]
    while round(found[0] / settings.factor) >= settings.least:
        found.insert(0, round(found[0] / settings.factor))
    return tuple(found)


class SlotSearch:
    """The inner level of a search: numbers are trials, in the order in which they are begun."""

    def __init__(
        self, space: SearchSpace, *, direction: Direction, epochs: int, seed: tuple[str | int, ...],
        sampler: str = "tpe", settings: Halving | None = None, starts: Sequence[Configuration] = (),
    ) -> None:  # fmt: skip
        """`starts`: configurations to begin with, before anything is proposed."""
        self._space, self._direction, self._seed, self._sampler = space, direction, seed, sampler
        self._settings = settings or Halving()
        self.rungs = rungs(epochs, self._settings)
        self._sign = 1.0 if direction == "minimize" else -1.0
        self._starts = list(starts)
        self._slots = 1
        self._open: dict[str, Configuration] = {}
        """A configuration of each structure that was begun in."""
        self._begun = 0
        """Runs begun in the present cohort's structure since it was chosen."""
        self._configurations: dict[int, Configuration] = {}
        self._running: set[int] = set()
        self._costs: dict[int, dict[int, float]] = {rung: {} for rung in self.rungs}
        """By rung and number; less is better, infinite where the run diverged before."""

    def begin(self, count: int, *, within: Configuration | None = None) -> list[Proposal]:
        """Configurations for so many free slots, in `within`'s structure if one is given.

        None where the cohort of that structure is to end, so that another gets its slots. A single slot takes any
        structure at any time.
        """
        first = len(self._configurations)
        self._slots = max(self._slots, count)
        model, other = self._search(), self._search(random=True)
        if within is not None and self._begun >= self._settings.visit * self._slots:
            if not self._asked_for(within):
                return []
            self._begun = 0
        if within is None:
            self._begun = 0
        known: list[Proposal] = []
        numbers = list(range(first, first + count))
        while self._starts and numbers and within is None:
            known.append(other.propose(numbers.pop(0), self._starts.pop(0)))
        drawn = {
            n for n in numbers if np.random.default_rng(derive(*self._seed, "insurance", n)).random() < self._share
        }
        if within is None and self._slots > 1 and numbers:
            # Random ones too, in the structures that the sampler asks for: a structure of their own would cost more.
            asked = model.ask(numbers, structures=self._settings.structures, open_=list(self._open.values()))
            homes = {n: p.configuration for n, p in zip(numbers, asked, strict=True)}
            known += [p for p in asked if p.number not in drawn]
            for number in sorted(drawn):
                known += other.ask([number], within=homes[number])
        else:
            for search, wanted in ((other, [n for n in numbers if n in drawn]),
                                   (model, [n for n in numbers if n not in drawn])):  # fmt: skip
                known += search.ask(wanted, within=within) if wanted else []
        self._begun += count
        for proposal in known:
            self._configurations[proposal.number] = proposal.configuration
            self._running.add(proposal.number)
            self._open.setdefault(self._structure(proposal.configuration), proposal.configuration)
        return sorted(known, key=lambda p: p.number)

    def _asked_for(self, within: Configuration) -> bool:
        """Whether most of what the sampler would propose now has this structure, of those that it would propose."""
        first = len(self._configurations)
        votes = Counter(self._structure(p.configuration) for p in self._search().ask(range(first, first + VOTES)))
        return votes.most_common(1)[0][0] == self._structure(within)

    def _structure(self, configuration: Configuration) -> str:
        return fingerprint(self._space.structure(configuration))

    def report(self, values: Mapping[int, tuple[int, float]]) -> set[int]:
        """The runs that give up their slots, of (epoch, objective) by number; all that report now, together.

        An objective that is no finite number ends its run wherever it stands; others are judged at rungs alone.
        """
        ended = set()
        for number, (epoch, value) in values.items():
            if not math.isfinite(value):
                ended.add(number)
                for rung in self.rungs:
                    if rung >= epoch:
                        self._costs[rung][number] = math.inf
            elif epoch in self._costs:
                self._costs[epoch][number] = self._sign * value
        for number, (epoch, _) in values.items():
            if epoch in self._costs and number not in ended and not self._goes_on(epoch, number):
                ended.add(number)
        self._running -= ended
        return ended

    def _goes_on(self, rung: int, number: int) -> bool:
        if rung == self.rungs[-1]:
            return False
        costs = self._costs[rung]
        better = sum(cost < costs[number] for cost in costs.values())
        return better < max(1, len(costs) // self._settings.factor)

    @property
    def _share(self) -> float:
        return 0.0 if self._sampler == "random" else self._settings.random

    def _search(self, *, random: bool = False) -> Search:
        """A search that knows the values of the highest rung with enough of them, and what is running."""
        counts = {rung: sum(map(math.isfinite, costs.values())) for rung, costs in self._costs.items()}
        fitted = [rung for rung in self.rungs if counts[rung] >= self._settings.enough]
        costs = self._costs[fitted[-1]] if fitted else {}
        known = []
        for number, configuration in self._configurations.items():
            cost = costs.get(number)
            if cost is not None and math.isfinite(cost):
                known.append(PastTrial(number, configuration, self._sign * cost, "complete"))
            elif cost is not None:
                known.append(PastTrial(number, configuration, None, "pruned"))
            elif number in self._running:
                known.append(PastTrial(number, configuration, None, "running"))
        return Search(
            self._space, direction=self._direction, sampler="random" if random or not fitted else self._sampler,
            seed=self._seed, startup=0, history=known,
        )  # fmt: skip
