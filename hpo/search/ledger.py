"""What is known of a stage's trials by rung, as arrays: set before each fit without touching trials one by one."""

import math

import numpy as np
from numpy.typing import NDArray

from hpo.metrics import Direction
from hpo.search.density import Floats
from hpo.search.distributions import Row, Terms
from hpo.search.trials import CODES, Trials
from hpo.values import Configuration, fingerprint


class Ledger:
    """Trials by ascending number: rows, costs by rung, who is running, and of which structure each is.

    Costs: less is better; NaN: not known; infinite: diverged at that rung or before.
    """

    def __init__(self, terms: Terms, rungs: tuple[int, ...], direction: Direction) -> None:
        self.trials = Trials(len(terms.names))
        self._terms, self._rungs = terms, rungs
        self._sign = 1.0 if direction == "minimize" else -1.0
        self._costs = np.full((64, len(rungs)), math.nan)
        self._running = np.zeros(64, dtype=bool)
        self._structures = np.zeros(64, dtype=np.intp)
        self._at: dict[int, int] = {}
        self._places = np.zeros(64, dtype=np.intp)
        self.keys: dict[str, int] = {}
        """Structures by name, numbered by first use."""
        self.donors: list[Row] = []
        """By structure: a row that has it."""
        self.counts: list[int] = []
        """By structure: its trials."""

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, number: object) -> bool:
        return number in self._at

    @property
    def costs(self) -> Floats:
        """(trials, rungs)"""
        return self._costs[: len(self)]

    @property
    def running(self) -> NDArray[np.bool_]:
        """(trials,)"""
        return self._running[: len(self)]

    @property
    def structures(self) -> NDArray[np.intp]:
        """(trials,) of which structure each is, as in `keys`."""
        return self._structures[: len(self)]

    @property
    def places(self) -> NDArray[np.intp]:
        """(trials,) how many trials of its structure came before each."""
        return self._places[: len(self)]

    def key(self, configuration: Configuration) -> str:
        """A structure's name."""
        return fingerprint(self._terms.space.structure(configuration))

    def structure(self, configuration: Configuration) -> int | None:
        """A structure's number; None where no trial had it."""
        return self.keys.get(self.key(configuration))

    def add(self, number: int, row: Row, configuration: Configuration, *, running: bool) -> None:
        """Raises ValueError where the number is not larger than every number known."""
        k = len(self)
        if k == len(self._running):
            self._costs = np.concatenate([self._costs, np.full_like(self._costs, math.nan)])
            self._running = np.concatenate([self._running, np.zeros_like(self._running)])
            self._structures = np.concatenate([self._structures, np.zeros_like(self._structures)])
            self._places = np.concatenate([self._places, np.zeros_like(self._places)])
        self.trials.add(number, row, "running")
        key = self.key(configuration)
        s = self.keys.setdefault(key, len(self.keys))
        if s == len(self.donors):
            self.donors.append(list(row))
            self.counts.append(0)
        self._at[number] = k
        self._running[k], self._structures[k], self._places[k] = running, s, self.counts[s]
        self.counts[s] += 1

    def see(self, number: int, epoch: int, value: float) -> None:
        """Take an objective: what is known stays; NaN or infinite is worst at this and all later rungs."""
        row = self._costs[self._at[number]]
        if not math.isfinite(value):
            late = [c for c, rung in enumerate(self._rungs) if rung >= epoch and math.isnan(row[c])]
            row[late] = math.inf
        elif epoch in self._rungs and math.isnan(row[c := self._rungs.index(epoch)]):
            row[c] = self._sign * value

    def end(self, number: int, value: float | None = None) -> None:
        """A trial runs no more. `value`: its objective, where it was trained to its end: that of all rungs beyond."""
        k = self._at[number]
        self._running[k] = False
        if value is not None:
            row = self._costs[k]
            beyond = np.isnan(row) & (np.cumsum(~np.isnan(row)[::-1])[::-1] == 0)
            row[beyond] = self._sign * value

    @property
    def known(self) -> int:
        """Trials of which anything is known."""
        return int((~np.isnan(self.costs)).any(axis=1).sum())

    def is_running(self, number: int) -> bool:
        return number in self._at and bool(self._running[self._at[number]])

    def fitted(self, enough: int) -> int | None:
        """The highest rung's place that has enough finite values; None where there is none.

        The first of several does not count: what is best there is what starts fast, and a model of it misleads.
        """
        counts = np.isfinite(self.costs).sum(axis=0)
        first = min(1, len(self._rungs) - 1)
        return next((c for c in reversed(range(first, len(self._rungs))) if counts[c] >= enough), None)

    def set_for(self, rung: int | None) -> None:
        """Let `trials` say what is known at a rung: what did not come so far and runs no more counts as failed."""
        costs = self.costs[:, rung] if rung is not None else np.full(len(self), math.nan)
        states = np.where(self.running, CODES["running"], CODES["failed"])
        states[np.isfinite(costs)] = CODES["complete"]
        states[np.isinf(costs)] = CODES["pruned"]
        self.trials.states[:] = states
        self.trials.values[:] = np.where(np.isfinite(costs), self._sign * costs, math.nan)
