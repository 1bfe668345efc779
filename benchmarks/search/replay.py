"""The project's own search on curves instead of trainings.

    replay(space, curve, direction, slots, epochs, budget, seed) -> Trace

`curve(configuration)` gives the objective after each epoch, NaN from where the run diverged. A list shorter than
`epochs` is a run that stopped by itself, an empty one a run that diverged at once. Only runs of one structure share a
cohort; there is one cohort at a time, as on one machine.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import clock

from hpo.recipe.rungs import Judge, Rule, rungs
from hpo.search.halving import Refill, SlotSearch
from hpo.search.values import Proposal
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint

Direction = Literal["minimize", "maximize"]
Curve = Callable[[Configuration], Sequence[float]]


class Strategy(Protocol):
    """What decides."""

    def begin(self, count: int, *, within: Configuration | None = None) -> list[Proposal]:
        """Configurations for free slots: at first any, later of the cohort's structure; none where it is to end."""

    def report(self, values: Mapping[int, tuple[int, float]], done: Collection[int]) -> set[int]:
        """Of (epoch, objective) by number: the runs that give up their slots; those that are `done` do anyway."""


@dataclass
class Trace:
    """What was known when: the best objective seen so far, at any epoch, and whose it was."""

    costs: list[float] = field(default_factory=list)
    """Epochs of a single run."""
    values: list[float] = field(default_factory=list)
    configurations: list[Configuration] = field(default_factory=list)
    trials: int = 0
    structures: int = 0

    def at(self, cost: float) -> tuple[float, Configuration | None]:
        """(best objective, its configuration) after so much was spent; NaN where nothing was known yet."""
        known = sum(c <= cost for c in self.costs)
        return (self.values[known - 1], self.configurations[known - 1]) if known else (math.nan, None)


@dataclass
class _Run:
    number: int
    configuration: Configuration
    structure: str
    values: Sequence[float]
    epoch: int = 0


def replay(
    space: SearchSpace, curve: Curve, direction: Direction, slots: int, epochs: int, budget: float, seed: int, *,
    strategy: Strategy | None = None, compile_epochs: float = clock.COMPILE,
) -> Trace:  # fmt: skip
    """Search until so many epochs of a single run are spent. `strategy`: None for the project's own."""
    decides = strategy or Ours(space, direction, epochs, seed, slots)
    sign, best = (1.0, math.inf) if direction == "minimize" else (-1.0, math.inf)
    trace, spent = Trace(), 0.0
    waiting: defaultdict[str, list[_Run]] = defaultdict(list)
    compiled: set[str] = set()

    def take(proposals: Sequence[Proposal]) -> None:
        for p in proposals:
            structure = fingerprint(space.structure(p.configuration))
            values = [float(v) for v in curve(p.configuration)][:epochs] or [math.nan]
            waiting[structure].append(_Run(p.number, p.configuration, structure, values))
            trace.trials += 1

    while spent < budget:
        if not any(waiting.values()):
            take(decides.begin(slots))
        structure = next(name for name, runs in waiting.items() if runs)
        if structure not in compiled:
            compiled.add(structure)
            spent += compile_epochs
        cohort: list[_Run] = []
        while spent < budget:
            free = slots - len(cohort)
            cohort += waiting[structure][:free]
            del waiting[structure][:free]
            if (free := slots - len(cohort)) and cohort:
                take(decides.begin(free, within=cohort[0].configuration))
                cohort += waiting[structure][:free]
                del waiting[structure][:free]
            if not cohort:
                break
            spent += clock.epoch(len(cohort))
            for run in cohort:
                run.epoch += 1
            reached = {run.number: (run.epoch, float(run.values[run.epoch - 1])) for run in cohort}
            for run in cohort:
                value = reached[run.number][1]
                if math.isfinite(value) and sign * value < best:
                    best = sign * value
                    trace.costs.append(spent)
                    trace.values.append(value)
                    trace.configurations.append(run.configuration)
            done = {run.number for run in cohort if run.epoch == len(run.values)}
            ended = decides.report(reached, done) | done
            cohort = [run for run in cohort if run.number not in ended]
    trace.structures = len(compiled)
    return trace


class Ours:
    """The project's search, as a leader and a worker use it."""

    def __init__(
        self, space: SearchSpace, direction: Direction, epochs: int, seed: int, slots: int,
        settings: Refill | None = None, sampler: str = "tpe", rule: Rule | None = None, planned: int | None = None,
    ) -> None:  # fmt: skip
        rule = rule or Rule()
        self._rungs = rungs(epochs, rule)
        self._judge = Judge(self._rungs, rule, direction)
        self._search = SlotSearch(
            space, direction=direction, rungs=self._rungs, sampler=sampler, seed=(seed, "replay"), slots=slots,
            settings=settings, planned=planned,
        )  # fmt: skip
        self._next = 0

    def begin(self, count: int, *, within: Configuration | None = None) -> list[Proposal]:
        begun = self._search.begin(range(self._next, self._next + count), within=within)
        self._next += len(begun)
        return begun

    def report(self, values: Mapping[int, tuple[int, float]], done: Collection[int]) -> set[int]:
        ended = self._judge.judge(values) | set(done)
        for number, (epoch, value) in values.items():
            if number in ended or epoch in self._rungs:
                self._search.see(number, epoch, value)
        for number in sorted(ended):
            value = values[number][1]
            diverged = not math.isfinite(value)
            self._search.end(
                number,
                value if number in done and not diverged else None,
                diverged=diverged,
                dropped=number not in done,
            )
        return ended
