"""Which runs go on at a rung: asynchronous halving in its stopping form (Li et al. 2020, ASHA; MLSys).

A rung is an epoch at which a run must be among the better ones seen there, or gives up its slot. Nobody waits for
others: a run is held against what was seen at that rung so far. Runs that diverged count as worst at every rung that
they did not reach.

Laws:
- Values that are judged together are judged alike: no run is better off for being named first.
- A value that is known stays: a run that is trained again after an interruption goes on where it went on before.
- What is judged worst of all those known at a rung never goes on there while there are `factor` of them.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass

from hpo.metrics import Direction


@dataclass(frozen=True)
class Rule:
    """The rung rule's settings."""

    factor: int = 3
    """Of the runs that reach a rung, one in so many goes on; rungs lie so many times apart. At least 2."""
    least: int = 2
    """No rung before so many epochs."""


def rungs(epochs: int, rule: Rule) -> tuple[int, ...]:
    """The epochs at which runs are compared, rising; the last is the end, where nothing is left to decide."""
    found = [epochs]
    while (before := round(found[0] / rule.factor)) >= max(rule.least, 1) and before < found[0]:
        found.insert(0, before)
    return tuple(found)


class Judge:
    """What one search stage has seen at its rungs, and the rule. Numbers are trials."""

    def __init__(self, rungs: tuple[int, ...], rule: Rule, direction: Direction) -> None:
        self._rungs, self._rule = rungs, rule
        self._sign = 1.0 if direction == "minimize" else -1.0
        self._costs: dict[int, dict[int, float]] = {rung: {} for rung in rungs}
        self._sorted: dict[int, list[float]] = {rung: [] for rung in rungs}

    @property
    def values(self) -> Mapping[int, Mapping[int, float]]:
        """Costs by rung and number: less is better, infinite where the run diverged at this rung or before."""
        return self._costs

    def learn(self, number: int, rung: int, value: float) -> None:
        """Take an objective from the records. NaN or infinite: the run diverged at that epoch.

        A finite one counts only at a rung, and only the first time.
        """
        if not math.isfinite(value):
            for later in self._rungs:
                if later >= rung:
                    self._set(number, later, math.inf)
        elif rung in self._costs:
            self._set(number, rung, self._sign * value)

    def _set(self, number: int, rung: int, cost: float) -> None:
        if number not in self._costs[rung]:
            self._costs[rung][number] = cost
            insort(self._sorted[rung], cost)

    def judge(self, values: Mapping[int, tuple[int, float]]) -> set[int]:
        """Of (epoch, objective) by number: the runs that give up their slots.

        An objective that is no finite number ends its run wherever it stands; others are judged at rungs alone, and
        only if their value there was not known before. At the last rung all give up their slots.
        """
        known = {n for n, (epoch, _) in values.items() if n in self._costs.get(epoch, ())}
        for number, (epoch, value) in values.items():
            self.learn(number, epoch, value)
        return {
            number
            for number, (epoch, value) in values.items()
            if not math.isfinite(value)
            or epoch == self._rungs[-1]
            or (epoch in self._costs and number not in known and not self._goes_on(epoch, number))
        }

    def _goes_on(self, rung: int, number: int) -> bool:
        known = self._sorted[rung]
        better = bisect_left(known, self._costs[rung][number])
        return better < max(1, len(known) // self._rule.factor)
