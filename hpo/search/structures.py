"""The outer level of the search: which structures get slots in a cohort, so that few programs are compiled.

Structures are halved by results: of those that are open (compiled already), the better half of the bound stays, by the
best objective that any of their trials had; the other places go to structures that most of the sampler's proposals ask
for. Proposals of other structures are then chosen anew within the ones that stay.

random and qmc look at no results, here either: their structures are the ones that the cohort asks for most.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hpo.metrics import Direction
from hpo.search.density import Axis
from hpo.search.distributions import Row, Terms
from hpo.search.trials import CODES, Trials
from hpo.space.catalogue import Kind
from hpo.values import Scalar

Key = tuple[tuple[str, Scalar], ...]


class Structures:
    """The structures of a search's trials, and how well each has done."""

    def __init__(self, terms: Terms, trials: Trials, direction: Direction) -> None:
        self._terms, self._trials = terms, trials
        self._sign = 1.0 if direction == "minimize" else -1.0
        self._best: dict[Key, float] = {}
        self._seen: set[int] = set()

    def of(self, row: Row) -> Key:
        values = self._terms.active_values(row)
        return tuple(self._terms.space.structure(self._terms.space.complete(values)).items())

    def better_half(self, open_: Iterable[Key], most: int) -> list[Key]:
        """Of the open structures, at most half of `most`, best first."""
        for k in np.flatnonzero(self._trials.states == CODES["complete"]).tolist():
            if k not in self._seen:
                self._seen.add(k)
                key, cost = self.of(self._trials.rows[k].tolist()), self._sign * float(self._trials.values[k])
                self._best[key] = min(cost, self._best.get(key, math.inf))
        return sorted(dict.fromkeys(open_), key=lambda key: self._best.get(key, math.inf))[: most // 2]


def wanted(kept: Sequence[Key], asked: Iterable[Key], most: int) -> list[Key]:
    """`kept`, and after them what is asked for most, the first of equals first: at most `most`."""
    others = [key for key, _ in Counter(asked).most_common() if key not in kept]
    return [*kept, *others][:most]


def structural(terms: Terms, row: Row) -> dict[int, float]:
    """The columns that decide a row's structure, with its values."""
    return {
        c: x
        for c, (h, x) in enumerate(zip(terms.space.varying, row, strict=True))
        if h.kind is Kind.STRUCTURE and not math.isnan(x)
    }


def grafted(terms: Terms, row: Row, donor: Row) -> list[float]:
    """The row with the donor's structure. What only then becomes active comes from the donor too, or is the middle."""
    held: Mapping[int, float] = structural(terms, donor)
    found = [math.nan] * len(row)
    for c, (h, own, other) in enumerate(zip(terms.space.varying, row, donor, strict=True)):
        if h.name in terms.inactive(terms.active_values(found)):  # conditions look back only
            continue
        known = [x for x in (held.get(c, math.nan), own, other) if not math.isnan(x)]
        found[c] = known[0] if known else Axis.of(terms.distributions[h.name]).uniform_at(0.5)
    return found
