"""The outer level: which structure a cohort is opened for, and when it is given up for another."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.search.distributions import Row, Terms
from hpo.search.ledger import Ledger
from hpo.search.refills import Model
from hpo.values import Configuration

VOTES = 16
"""Proposals that are looked at to see which structure the sampler asks for."""


@dataclass(frozen=True)
class Outer:
    """The settings of the outer level."""

    visit: int = 4
    """So many runs a slot are begun in a structure before the sampler is asked whether it shall stay."""


class Openings:
    """Decides on the structures of a stage's cohorts."""

    def __init__(
        self, terms: Terms, ledger: Ledger, settings: Outer, seed: tuple[str | int, ...], slots: int,
        planned: int | None,
    ) -> None:  # fmt: skip
        self._terms, self._ledger, self._settings = terms, ledger, settings
        self._seed, self._slots, self._planned = seed, slots, planned

    def next(self, numbers: Sequence[int], model: Model, beside: Sequence[Row]) -> Row:
        """A row of the structure to open."""
        taken = {self._key(row) for row in beside}
        asked = self._asked(numbers[0], model)
        votes = Counter(key for key, _ in asked if key not in taken) or Counter(key for key, _ in asked)
        most = votes.most_common(1)[0][0]
        return next(row for key, row in asked if key == most)

    def stays(self, within: Configuration, number: int, model: Model) -> bool:
        """Whether a cohort of that structure goes on to be refilled."""
        structure = self._ledger.structure(within)
        begun = int((self._ledger.structures == structure).sum()) if structure is not None else 0
        if begun < self._settings.visit * self._slots:
            return True
        votes = Counter(key for key, _ in self._asked(number, model))
        return votes.most_common(1)[0][0] == self._ledger.key(within)

    def _asked(self, first: int, model: Model) -> list[tuple[str, Row]]:
        asked = model.propose(range(first, first + VOTES), None)
        return [(self._key(row), row) for row, _ in asked.values()]

    def _key(self, row: Row) -> str:
        return self._ledger.key(self._terms.space.complete(self._terms.active_values(row)))
