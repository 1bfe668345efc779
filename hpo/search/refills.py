"""Where refills come from: a sampler fitted on what the ledger says is known, bound to one structure."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from hpo.metrics import Direction
from hpo.search.density import Axis
from hpo.search.distributions import Row, Terms
from hpo.search.ledger import Ledger
from hpo.search.samplers import learns_from_values
from hpo.search.search import Search
from hpo.search.structures import grafted, structural
from hpo.search.tpe import Sampler
from hpo.search.trials import STATES
from hpo.search.values import PastTrial, TrialState
from hpo.seeds import derive
from hpo.space import IntRange
from hpo.values import Configuration

KERNELS = 500
"""Bad trials that stand for all: a fit serves a few refills alone, not a whole batch."""

Found = dict[int, tuple[Row, Mapping[str, str]]]
"""By number: a row, and the sampler's attributes for Optuna's tables."""


class Model(Protocol):
    """A sampler as slots need it. It reads the ledger as `Ledger.set_for` left it."""

    study_attrs: Mapping[str, str]
    """Study system attributes, with which stock Optuna could go on: JSON by key."""

    def propose(self, numbers: Sequence[int], donor: Row, beside: Sequence[Row] = ()) -> Found:
        """Rows for numbers, each knowing those before it and `beside` as running; all of `donor`'s structure."""

    def note(self, number: int, attrs: Mapping[str, str]) -> None:
        """What the records hold of a trial for the sampler."""


class Home:
    """A structure that refills are bound to."""

    def __init__(self, terms: Terms, donor: Row) -> None:
        self._terms, self.donor = terms, donor
        self._structure = self._of(donor)
        self.held = structural(terms, donor)
        """Columns that decide it, with the donor's values."""
        self.free: dict[int, Axis] = {}
        """Columns among these with more than one value that it can have."""
        for c, h in enumerate(terms.space.varying):
            if c in self.held and isinstance(h.range, IntRange):
                low, high = (self._end(c, end) for end in (h.range.low, h.range.high))
                if low < high:
                    self.free[c] = Axis(float(low), float(high), h.range.log, whole=True)

    def bind(self, row: Row) -> Row:
        """The row, or the nearest thing to it that has the structure."""
        if self._of(row) == self._structure:
            return row
        grown = grafted(self._terms, row, self.donor)
        return grown if self._of(grown) == self._structure else list(self.donor)

    def _of(self, row: Row) -> Configuration:
        return self._terms.space.structure(self._terms.configuration(row))

    def _end(self, column: int, end: int) -> int:
        """The value farthest towards `end` with which the structure stays: wider networks share a program in a row."""
        inside = int(self.held[column])
        if self._stays(column, end):
            return end
        outside = end
        while abs(outside - inside) > 1:
            middle = (outside + inside) // 2
            inside, outside = (middle, outside) if self._stays(column, middle) else (inside, middle)
        return inside

    def _stays(self, column: int, value: int) -> bool:
        row = list(self.donor)
        row[column] = value
        return self._of(row) == self._structure


class Arrays:
    """Ours, tpe and random: they read the ledger's arrays, which stay."""

    def __init__(
        self, terms: Terms, ledger: Ledger, *, direction: Direction, sampler: str, seed: tuple[str | int, ...]
    ) -> None:
        self._terms, self._ledger, self._seed = terms, ledger, seed
        self._homes: dict[str, Home] = {}
        self.study_attrs: Mapping[str, str] = {}
        startup = 0 if sampler == "tpe" else None
        self._sampler = Sampler(terms, ledger.trials, direction=direction, seed=seed, startup=startup, kernels=KERNELS)

    def propose(self, numbers: Sequence[int], donor: Row, beside: Sequence[Row] = ()) -> Found:
        key = self._ledger.key(self._terms.configuration(donor))
        if key not in self._homes:
            self._homes[key] = Home(self._terms, donor)
        home = self._homes[key]
        held = {n: dict(home.held) for n in numbers}
        for n, own in held.items() if home.free else ():
            stream = np.random.default_rng(derive(*self._seed, "within", n))
            own |= {c: axis.uniform_at(stream.random()) for c, axis in home.free.items()}
        rows = self._sampler.propose(numbers, held, beside)
        return {n: (home.bind(row), {}) for n, row in rows.items()}

    def note(self, number: int, attrs: Mapping[str, str]) -> None:
        pass


class Rebuilt:
    """Stock Optuna's samplers: a study in memory is made anew for each fit, so that it holds one rung's values."""

    def __init__(
        self, terms: Terms, ledger: Ledger, *, direction: Direction, sampler: str, seed: tuple[str | int, ...]
    ) -> None:
        self._terms, self._ledger = terms, ledger
        self._direction, self._sampler, self._seed = direction, sampler, seed
        self._attrs: list[Mapping[str, str]] = []
        self.study_attrs: Mapping[str, str] = {}

    def propose(self, numbers: Sequence[int], donor: Row, beside: Sequence[Row] = ()) -> Found:
        search = Search(
            self._terms.space, direction=self._direction, sampler=self._sampler, seed=self._seed, startup=0,
            history=self._history(),
        )  # fmt: skip
        asked = search.ask(numbers, within=self._terms.configuration(donor))
        return {p.number: (self._terms.row(p.params), p.attrs) for p in asked}

    def note(self, number: int, attrs: Mapping[str, str]) -> None:
        self._attrs.append(attrs)
        self.study_attrs = {**self.study_attrs, **{k: v for k, v in attrs.items() if k.startswith("qmc:")}}

    def _history(self) -> list[PastTrial]:
        trials = self._ledger.trials
        states: list[TrialState] = [STATES[code] for code in trials.states.tolist()]
        values: list[float | None] = [
            v if s == "complete" else None for v, s in zip(trials.values.tolist(), states, strict=True)
        ]
        ended = [v for v in values if v is not None]
        worst = (max if self._direction == "minimize" else min)(ended, default=None)
        found = []
        for k, number in enumerate(trials.numbers):
            state, value = states[k], values[k]
            if state == "pruned" and worst is not None and learns_from_values(self._sampler):
                state, value = "complete", worst
            found.append(
                PastTrial(number, self._terms.configuration(trials.rows[k].tolist()), value, state, self._attrs[k])
            )
        return found
