"""How many configurations are proposed together, and of how many structures: counts alone decide.

What a sampler proposes depends on which numbers are asked for together. So where a batch ends follows from how many
trials there are, never from what happens to be finished: a resumed stage asks for the same batches.
"""

from collections.abc import Iterable
from math import ceil

from hpo.recipe.stages import EDGE_CHECK
from hpo.records.rows import TrialRow
from hpo.values import Configuration

LEAST, MOST = 4, 32
"""Bounds of a batch whose size the study leaves open."""
SHARE = 8
"""It is this part of the stage's planned trials: the sampler learns so many times."""
MANY_TRIALS = (64, 128)
"""Below the first, a stage has trials for two structures a batch; below the second for three, from there on for four.

On tables of finished trainings, 20 seeds, a bound of three was not seen to be worse than none after 64 trials and was
worse after 128, where a bound of four was not.
"""
OPEN = 8
"""Structures that a batch may go back to: the last ones used."""


def batch_size(stated: int | None, planned: int | None) -> int:
    """Configurations a batch."""
    if stated is not None:
        return stated
    return MOST if planned is None else min(MOST, max(LEAST, ceil(planned / SHARE)))


def structures(stated: int | None, planned: int | None) -> int:
    """Structures that a batch may open."""
    if stated is not None:
        return stated
    return 2 + sum(planned is None or planned >= many for many in MANY_TRIALS)


def edge_check(planned: int) -> int:
    """So many new trials must there be when the ends of the ranges are looked at."""
    return ceil(EDGE_CHECK * planned)


def next_batch(new: int, starts: int, size: int, planned: int | None) -> int:
    """Configurations to propose when there are `new` trials, the stage's `starts` among them.

    Batches follow one another from the last start on, and anew from the look at the ranges; each is cut where that look
    or the plan comes. Where a batch was cut off in the middle, what is left of it.
    """
    check = None if planned is None else edge_check(planned)
    first = starts if check is None or not starts < check <= new else check
    count, left = size - (new - first) % size, room(new, starts, planned)
    return count if left is None else min(count, left)


def room(new: int, starts: int, planned: int | None) -> int | None:
    """Trials that may follow `new` ones before the look at the ranges, or after it before the plan's end; None: any."""
    if planned is None:
        return None
    check = edge_check(planned)
    return (check if starts < check and new < check else planned) - new


def open_structures(trials: Iterable[TrialRow]) -> list[Configuration]:
    """A configuration of each of the last structures that trials had, the most recently used first."""
    found: dict[str, Configuration] = {}
    for trial in sorted(trials, key=lambda t: -t.number):
        found.setdefault(trial.structure, trial.configuration)
        if len(found) == OPEN:
            break
    return list(found.values())
