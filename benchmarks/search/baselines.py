"""What the project's search is held against, behind the same interface."""

import math
from collections.abc import Collection, Mapping

import optuna
from replay import Direction

from hpo.search import Search
from hpo.search.distributions import draw
from hpo.search.values import Proposal
from hpo.space import SearchSpace
from hpo.values import Configuration

STARTUP = 10


class Plain:
    """Whole trainings, in batches as wide as there are slots, of any structures: random, TPE or GP."""

    def __init__(self, space: SearchSpace, direction: Direction, seed: int, sampler: str) -> None:
        self._search = Search(space, direction=direction, sampler=sampler, seed=(seed, "plain"), startup=STARTUP)
        self._next = 0

    def begin(self, count: int, *, within: Configuration | None = None) -> list[Proposal]:
        if within is not None:
            return []
        self._next += count
        return self._search.ask(range(self._next - count, self._next))

    def report(self, values: Mapping[int, tuple[int, float]], done: Collection[int]) -> set[int]:
        ended = {n for n, (_, v) in values.items() if n in done or not math.isfinite(v)}
        for number in ended:
            value = values[number][1]
            self._search.tell(number, value if math.isfinite(value) else None, diverged=not math.isfinite(value))
        return ended


class Pruned:
    """Stock Optuna: its TPE or random sampler with a pruner; the whole batch before another."""

    def __init__(
        self, space: SearchSpace, direction: Direction, epochs: int, seed: int, pruner: str, sampler: str = "tpe"
    ) -> None:
        made = {
            "hyperband": lambda: optuna.pruners.HyperbandPruner(1, epochs, 3),
            "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(1, 3),
        }[pruner]()
        drawn = optuna.samplers.TPESampler(seed=seed) if sampler == "tpe" else optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(direction=direction, sampler=drawn, pruner=made)
        self._space = space
        self._trials: dict[int, optuna.Trial] = {}

    def begin(self, count: int, *, within: Configuration | None = None) -> list[Proposal]:
        if within is not None:
            return []
        found = []
        for _ in range(count):
            trial = self._study.ask()
            draw(self._space, trial)
            self._trials[trial.number] = trial
            found.append(Proposal(trial.number, self._space.complete(trial.params), frozenset(trial.params), (), {}))
        return found

    def report(self, values: Mapping[int, tuple[int, float]], done: Collection[int]) -> set[int]:
        ended = set()
        for number, (epoch, value) in values.items():
            trial = self._trials[number]
            if not math.isfinite(value):
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif number in done:
                self._study.tell(trial, value)
            else:
                trial.report(value, epoch)
                if not trial.should_prune():
                    continue
                self._study.tell(trial, value)
            ended.add(number)
        return ended
