"""Where refills come from: a sampler fitted on what the ledger says is known, bound to one structure or free."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hpo.metrics import Direction
from hpo.search.distributions import Row, Terms
from hpo.search.ledger import Ledger
from hpo.search.samplers import learns_from_values
from hpo.search.search import Search
from hpo.search.structures import grafted, structural
from hpo.search.tpe import Sampler
from hpo.search.trials import STATES
from hpo.search.values import PastTrial, TrialState
from hpo.values import Configuration

KERNELS = 500
"""Bad trials that stand for all: a fit serves a few refills alone, not a whole batch."""

Found = dict[int, tuple[Row, Mapping[str, str]]]
"""By number: a row, and the sampler's attributes for Optuna's tables."""


class Model(Protocol):
    """A sampler as slots need it. It reads the ledger as `Ledger.set_for` left it."""

    study_attrs: Mapping[str, str]
    """Study system attributes, with which stock Optuna could go on: JSON by key."""

    def propose(self, numbers: Sequence[int], donor: Row | None, beside: Sequence[Row] = ()) -> Found:
        """Rows for numbers, each knowing those before it and `beside` as running; with `donor`'s structure, if any."""

    def note(self, number: int, attrs: Mapping[str, str]) -> None:
        """What the records hold of a trial for the sampler."""


def of_structure(terms: Terms, row: Row, donor: Row) -> Row:
    """The row, or the nearest thing to it that has the donor's structure."""
    for found in (row, grafted(terms, row, donor)):
        if _structure(terms, found) == _structure(terms, donor):
            return found
    return list(donor)


def _structure(terms: Terms, row: Row) -> Configuration:
    return terms.space.structure(terms.space.complete(terms.active_values(row)))


class Arrays:
    """Ours, tpe and random: they read the ledger's arrays, which stay."""

    def __init__(
        self, terms: Terms, ledger: Ledger, *, direction: Direction, sampler: str, seed: tuple[str | int, ...]
    ) -> None:
        self._terms = terms
        self.study_attrs: Mapping[str, str] = {}
        startup = 0 if sampler == "tpe" else None
        self._sampler = Sampler(terms, ledger.trials, direction=direction, seed=seed, startup=startup, kernels=KERNELS)

    def propose(self, numbers: Sequence[int], donor: Row | None, beside: Sequence[Row] = ()) -> Found:
        if donor is None:
            return {n: (row, {}) for n, row in self._sampler.propose(numbers, beside=beside).items()}
        held = structural(self._terms, donor)
        rows = self._sampler.propose(numbers, dict.fromkeys(numbers, held), beside)
        return {n: (of_structure(self._terms, row, donor), {}) for n, row in rows.items()}

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

    def propose(self, numbers: Sequence[int], donor: Row | None, beside: Sequence[Row] = ()) -> Found:
        within = None if donor is None else self._configuration(donor)
        search = Search(
            self._terms.space, direction=self._direction, sampler=self._sampler, seed=self._seed, startup=0,
            history=self._history(),
        )  # fmt: skip
        asked = search.ask(numbers, within=within)
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
            found.append(PastTrial(number, self._configuration(trials.rows[k].tolist()), value, state, self._attrs[k]))
        return found

    def _configuration(self, row: Row) -> Configuration:
        return self._terms.space.complete(self._terms.active_values(row))
