"""The trials of a search as arrays: what a sampler reads at each proposal without touching them one by one."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.search.density import Floats
from hpo.search.values import TrialState

CODES: dict[TrialState, int] = {"running": 0, "complete": 1, "pruned": 2, "failed": 3}
STATES: tuple[TrialState, ...] = tuple(CODES)
"""By code."""


class Trials:
    """Rows (see `Terms`), states and values by ascending number. Numbers that were left out are failed trials."""

    def __init__(self, columns: int) -> None:
        self._rows = np.empty((64, columns))
        self._states = np.empty(64, dtype=np.int8)
        self._values = np.empty(64)
        self._at: dict[int, int] = {}
        self.next = 0
        """One more than the largest number known."""

    def __len__(self) -> int:
        return len(self._at)

    @property
    def numbers(self) -> list[int]:
        return list(self._at)

    @property
    def rows(self) -> Floats:
        """(trials, columns)"""
        return self._rows[: len(self)]

    @property
    def states(self) -> NDArray[np.int8]:
        """(trials,) of `CODES`."""
        return self._states[: len(self)]

    @property
    def values(self) -> Floats:
        """(trials,) objectives; NaN where a trial has none."""
        return self._values[: len(self)]

    def add(self, number: int, row: Sequence[float] | Floats, state: TrialState, value: float | None = None) -> None:
        """Raises ValueError where the number is not larger than every number known."""
        self.check(number)
        k = len(self)
        if k == len(self._states):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._states = np.concatenate([self._states, np.empty_like(self._states)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._rows[k], self._states[k], self._values[k] = row, CODES[state], math.nan if value is None else value
        self._at[number] = k
        self.next = number + 1

    def check(self, number: int) -> None:
        """Raises ValueError where the number is not larger than every number known."""
        if number < self.next:
            raise ValueError(f"trial {number} comes after trial {self.next - 1}: numbers must grow")

    def end(self, number: int, state: TrialState, value: float | None) -> None:
        """Raises ValueError where the trial is unknown or not running."""
        k = self.check_running(number)
        self._states[k], self._values[k] = CODES[state], math.nan if value is None else value

    def check_running(self, number: int) -> int:
        """The place of a running trial; raises ValueError where the trial is unknown or not running."""
        if number not in self._at:
            raise ValueError(f"trial {number} is not known")
        k = self._at[number]
        if self._states[k] != CODES["running"]:
            raise ValueError(f"trial {number} cannot be told: it is {STATES[self._states[k]]}")
        return k
