"""Slots kept full: what to begin in a free slot, and of which structure.

The inner level: refills come from the sampler, fitted on the values of the highest rung that has enough of them (which
runs go on at a rung is decided by `hpo.recipe.rungs`); some stay random, as insurance where that model misleads. Runs
that diverged count as worst at every rung that they did not reach.

The outer level: a cohort holds runs of one structure. See `openings` for which is opened next, and when one is left.

Laws:
- What is begun is a function of (space, direction, rungs, sampler, seed, settings) and of the calls so far, in their
  order; the same, bit for bit, in a `SlotSearch` that was built anew from the trials' records.
- Every proposal lies in the space and keeps its conditions; those of one call have one structure.
- What is known of a trial at a rung stays.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hpo.metrics import Direction
from hpo.search.distributions import Row, Terms
from hpo.search.ledger import Ledger
from hpo.search.openings import Openings, Outer
from hpo.search.refills import Arrays, Model, Rebuilt
from hpo.search.samplers import check_sampler
from hpo.search.values import ClosedState, PastTrial, Proposal, Told
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.values import Configuration


@dataclass(frozen=True)
class Refill:
    """The settings of refills."""

    enough: int = 16
    """Values that a rung needs before the sampler is fitted on it; refills are random until then."""
    random: float = 0.2
    """Share of refills that stay random."""
    outer: Outer = field(default_factory=Outer)


class SlotSearch:
    """The search inside one stage: it answers to numbers, and to values at rungs."""

    def __init__(
        self, space: SearchSpace, *, direction: Direction, rungs: tuple[int, ...], sampler: str,
        seed: tuple[str | int, ...], slots: int, settings: Refill | None = None, planned: int | None = None,
        startup: int = 0, history: Sequence[PastTrial] = (), seen: Mapping[int, Mapping[int, float]] | None = None,
    ) -> None:  # fmt: skip
        """`seed`: parts for `seeds.derive`, such as (study seed, stage, attempt). `slots`: of a cohort.

        `planned`: trials of the stage, where that is known. `startup`: random trials before a model is used.

        `history`: the stage's trials so far, running ones included, each with its attributes. A complete one's value
        is its value at the last rung. `seen`: by number and epoch the objectives at rungs, NaN where the run diverged.
        Raises InputError where the sampler's packages are missing, and ValueError where a trial of the history does
        not lie in the space or a number comes twice.
        """
        check_sampler(sampler)
        self._space, self._direction, self._sampler, self._seed = space, direction, sampler, seed
        self._settings = settings or Refill()
        self._startup = startup
        self._terms = Terms(space)
        self._ledger = Ledger(self._terms, rungs, direction)
        make = Arrays if sampler in ("tpe", "random") else Rebuilt
        self._model: Model = make(self._terms, self._ledger, direction=direction, sampler=sampler, seed=seed)
        self._random = Arrays(self._terms, self._ledger, direction=direction, sampler="random", seed=seed)
        self._openings = Openings(self._terms, self._ledger, self._settings.outer, seed, slots, planned)
        for trial in sorted(history, key=lambda t: t.number):
            self._remember(trial)
            for rung, value in sorted((seen or {}).get(trial.number, {}).items()):
                self.see(trial.number, rung, value)
            if trial.state != "running":
                self._ledger.end(trial.number, trial.value if trial.state == "complete" else None)

    def begin(
        self, numbers: Sequence[int], *, within: Configuration | None = None, beside: Sequence[Configuration] = ()
    ) -> list[Proposal]:
        """Configurations for so many free slots at most, all of one structure, with the first of the numbers.

        `within`: a configuration of the cohort that has the free slots. None are begun where it is to get no more: its
        structure is given up for another, or nothing is known yet of the few runs that it was opened with. Without
        `within`: of the structure to open next; `beside`: a configuration of each structure that has a cohort now.
        Numbers must grow and be larger than every number begun; raises ValueError otherwise, and where a given
        configuration lies outside the space.
        """
        numbers = list(numbers)
        for before, number in zip([self._ledger.trials.next - 1, *numbers], numbers, strict=False):
            if number <= before:
                raise ValueError(f"trial {number} comes after trial {before}: numbers must grow")
        if not numbers:
            return []
        if within is None:
            donor = self._openings.next(beside)
        elif self._openings.stays(within):
            donor = self._row(within)
        else:
            return []
        numbers = numbers[: self._openings.room(donor)]
        fitted = self._fit()
        drawn = [n for n in numbers if not fitted or self._drawn(n)]
        found: dict[int, tuple[Row, Mapping[str, str]]] = {}
        # Random ones first: the model's keep away from what runs beside them.
        for model, wanted in ((self._random, drawn), (self._model, [n for n in numbers if n not in drawn])):
            found |= model.propose(wanted, donor, [row for row, _ in found.values()]) if wanted else {}
        return [self._begun(n, *found[n]) for n in numbers]

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration as trial `number`, running from now on; the sampler learns from it as from its own.

        Values of hyperparameters that are fixed or inactive are replaced by the space's. Raises ValueError where it
        lies outside the space, or the number is not larger than every number known.
        """
        return self._begun(number, self._row(configuration), {})

    def see(self, number: int, rung: int, value: float) -> None:
        """A trial's objective at a rung; NaN or infinite where it diverged at that epoch. Others' are left alone."""
        if number in self._ledger:
            self._ledger.see(number, rung, value)

    def end(self, number: int, value: float | None, *, diverged: bool = False, dropped: bool = False) -> Told:
        """Record how a running trial ended: `value` is its objective, None where its runs failed.

        Dropped at a rung, or diverged (also: a value that is no finite number): `pruned` for Optuna. Raises ValueError
        where the trial is unknown or not running.
        """
        if not self._ledger.is_running(number):
            raise ValueError(f"trial {number} cannot be told: it is not known, or not running")
        state: ClosedState = "complete"
        if diverged or (value is not None and not math.isfinite(value)):
            self._ledger.see(number, 0, math.nan)
            state, value = "pruned", None
        elif dropped:
            state, value = "pruned", None
        elif value is None:
            state = "failed"
        self._ledger.end(number, value)
        return Told(state, value, {}, self._model.study_attrs)

    def _fit(self) -> bool:
        """Let the model know what is known; whether that is enough for one."""
        rung = self._ledger.fitted(self._settings.enough)
        self._ledger.set_for(rung)
        if self._sampler in ("random", "qmc"):
            return True
        return rung is not None and self._ledger.known >= self._startup

    def _drawn(self, number: int) -> bool:
        """Whether a refill stays random."""
        if self._sampler in ("random", "qmc"):
            return False
        stream = np.random.default_rng(derive(*self._seed, "insurance", number))
        return bool(stream.random() < self._settings.random)

    def _row(self, configuration: Configuration) -> Row:
        return self._terms.row(self._terms.params_of(configuration))

    def _begun(self, number: int, row: Row, attrs: Mapping[str, str]) -> Proposal:
        params = self._terms.params(row)
        chosen = self._terms.values_of(params)
        proposal = Proposal(number, self._space.complete(chosen), frozenset(chosen), params, attrs)
        self._ledger.add(number, row, proposal.configuration, running=True)
        self._model.note(number, attrs)
        return proposal

    def _remember(self, past: PastTrial) -> None:
        """Take a trial as it was recorded."""
        row = self._row(past.configuration)
        self._ledger.add(past.number, row, past.configuration, running=past.state == "running")
        self._model.note(past.number, past.attrs)
