"""Ask and tell, from memory and on values alone.

Laws:
- A proposal is a function of (space, direction, sampler, seed, startup), of the trials known, of its number and of the
  numbers (with their bound on structures) asked for together with it: the same bit for bit, also in a `Search` that was
  built anew from the trials' records.
- Proposals see the trials that are still running (constant liar in tpe and gp), those of the same batch too.
- Every proposal lies in the space and keeps its conditions.
- A trial that diverged is never forgotten: see `Search.tell`.
"""

import math
from collections.abc import Mapping, Sequence

from hpo.metrics import Direction
from hpo.search.distributions import Row, Terms
from hpo.search.samplers import check_sampler, learns_from_values
from hpo.search.stock import Stock
from hpo.search.structures import Key, Structures, grafted, structural, wanted
from hpo.search.tpe import Sampler
from hpo.search.trials import Trials
from hpo.search.values import ClosedState, PastTrial, Proposal, Told
from hpo.space import SearchSpace
from hpo.values import Configuration


class Search:
    """The search inside one stage: it answers to numbers and values."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        direction: Direction,
        sampler: str,
        seed: tuple[str | int, ...],
        startup: int,
        history: Sequence[PastTrial] = (),
    ) -> None:
        """`seed`: parts for `seeds.derive`, such as (study seed, stage, attempt). `startup`: random trials first.

        `history`: the stage's trials so far, running ones included, each with its attributes; numbers that are missing
        count as failed. Raises InputError where the sampler's packages are missing, and ValueError where a trial of
        the history does not lie in the space, a number comes twice, or a complete trial has no finite value.
        """
        check_sampler(sampler)
        self._space, self._direction, self._name = space, direction, sampler
        self._terms = Terms(space)
        self._trials = Trials(len(self._terms.names))
        self._structures = Structures(self._terms, self._trials, direction)
        # Optuna's own samplers keep an Optuna study; ours reads the arrays of `_trials`.
        self._stock: Stock | None = None
        if sampler not in ("tpe", "random"):
            self._stock = Stock(self._terms, direction=direction, sampler=sampler, seed=seed, startup=startup)
        random_first = startup if sampler == "tpe" else None
        self._sampler = Sampler(self._terms, self._trials, direction=direction, seed=seed, startup=random_first)
        self._worst: float | None = None
        for trial in sorted(history, key=lambda t: t.number):
            self._remember(trial)

    def ask(
        self, numbers: Sequence[int], *, structures: int | None = None, open_: Sequence[Configuration] = (),
        within: Configuration | None = None,
    ) -> list[Proposal]:  # fmt: skip
        """A configuration for each number, chosen one after another, each knowing those before it as running.

        `within`: all have this configuration's structure, and the two others mean nothing.

        `structures`: how many `SearchSpace.structure`s the proposals may have together (None: any number). `open_`:
        configurations of this space whose structures are compiled already; the better half of the bound is taken from
        these, see `structures`. Numbers must grow and be larger than every number known, and `structures` at least
        one; raises ValueError otherwise, and where a configuration of `open_` lies outside the space.
        """
        numbers = list(numbers)
        for before, number in zip([self._trials.next - 1, *numbers], numbers, strict=False):
            if number <= before:
                raise ValueError(f"trial {number} comes after trial {before}: numbers must grow")
        if structures is not None and structures < 1:
            raise ValueError(f"proposals have at least one structure, not {structures}")
        donors: dict[Key, Row] = {}
        if within is not None:
            row = self._terms.row(self._terms.params_of(within))
            structures, donors = 1, {self._structures.of(row): row}
        elif structures is not None and self._name not in ("random", "qmc"):
            ready = {
                self._structures.of(row): row for row in (self._terms.row(self._terms.params_of(c)) for c in open_)
            }
            donors = {key: ready[key] for key in self._structures.better_half(ready, structures)}
        if self._stock is not None:
            return [self._one(self._stock, number, structures, donors) for number in numbers]
        rows = self._sampler.propose(numbers)
        if structures is not None:
            rows = self._bounded(rows, structures, donors)
        for number in numbers:
            self._trials.add(number, rows[number], "running")
        return [self._proposal(number, rows[number], {}) for number in numbers]

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration as trial `number`, running from now on; the sampler learns from it as from its own.

        Values of hyperparameters that are fixed or inactive are replaced by the space's. Raises ValueError where it
        lies outside the space, or the number is not larger than every number known.
        """
        return self._proposal(number, self._remember(PastTrial(number, configuration, None, "running")), {})

    def tell(self, number: int, value: float | None, *, diverged: bool = False) -> Told:
        """Record how a running trial ended: `value` is its objective, None where its runs failed.

        A trial that diverged, or whose value is NaN or infinite, is told so that the sampler leaves that region: as
        pruned where the sampler learns from pruned trials (tpe; random and qmc learn nothing), else (cmaes, gp) as
        complete with the worst value seen so far, and as pruned while none has been seen. Optuna's own way, failed,
        would teach nothing. Raises ValueError where the trial is unknown or not running.
        """
        self._trials.check_running(number)
        state: ClosedState = "complete"
        if diverged or (value is not None and not math.isfinite(value)):
            value = self._worst if learns_from_values(self._name) else None
            state = "pruned" if value is None else "complete"
        elif value is None:
            state = "failed"
        study_attrs = {} if self._stock is None else self._stock.tell(number, state, value)
        self._trials.end(number, state, value)
        self._note_worst(value)
        return Told(state, value, {}, study_attrs)

    def _bounded(self, rows: dict[int, list[float]], most: int, donors: dict[Key, Row]) -> dict[int, list[float]]:
        """Rows of few structures: those whose structure stays, and in place of the others such as fill these up."""
        keys = {number: self._structures.of(row) for number, row in rows.items()}
        stay = wanted(list(donors), keys.values(), most)
        kept = {number: row for number, row in rows.items() if keys[number] in stay}
        # In turn: a structure gets places by how many proposals asked for it.
        turn = [*kept.values(), *(row for key, row in donors.items() if key not in [keys[n] for n in kept])]
        given = {n: turn[k % len(turn)] for k, n in enumerate(n for n in rows if n not in kept)}
        held = {number: structural(self._terms, donor) for number, donor in given.items()}
        filled = self._sampler.propose(list(given), held, list(kept.values()))
        for number, row in filled.items():
            if (
                self._structures.of(row) not in stay
            ):  # a condition on something else made a structural value inactive, say
                filled[number] = list(given[number])
        return kept | filled

    def _one(self, stock: Stock, number: int, most: int | None, donors: dict[Key, Row]) -> Proposal:
        """A proposal of stock Optuna's. `donors`: a row for each structure that may be used again, added to here."""
        params, attrs = stock.propose(number, anything_complete=self._worst is not None)
        row: Row = self._terms.row(params)
        if most is not None:
            key = self._structures.of(row)
            if key not in donors and len(donors) == most:
                donor = list(donors.values())[number % most]
                row = grafted(self._terms, row, donor)
                row = row if self._structures.of(row) in donors else donor
                stock.replace(number, self._terms.params(row))
            else:
                donors.setdefault(key, row)
        self._trials.add(number, row, "running")
        return self._proposal(number, row, attrs)

    def _proposal(self, number: int, row: Row, attrs: Mapping[str, str]) -> Proposal:
        params = self._terms.params(row)
        chosen = self._terms.values_of(params)
        return Proposal(number, self._space.complete(chosen), frozenset(chosen), params, attrs)

    def _remember(self, past: PastTrial) -> Row:
        """Take a trial as it was recorded; its row."""
        params = self._terms.params_of(past.configuration) if past.state != "failed" else ()
        if (past.state == "complete") != (past.value is not None and math.isfinite(past.value)):
            raise ValueError(f"trial {past.number} is {past.state} with the value {past.value}")
        row = self._terms.row(params)
        self._trials.add(past.number, row, past.state, past.value)
        if self._stock is not None:
            self._stock.add(past.number, params, past.state, past.value, past.attrs)
        self._note_worst(past.value)
        return row

    def _note_worst(self, value: float | None) -> None:
        if value is not None:
            worse = max if self._direction == "minimize" else min
            self._worst = value if self._worst is None else worse(self._worst, value)
