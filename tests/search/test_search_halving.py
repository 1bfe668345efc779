"""Asynchronous halving: rungs in closed form, and the laws of what goes on and what is begun."""

import math

import numpy as np
import pytest

from hpo.search.halving import Halving, SlotSearch, rungs
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

RATE = Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(1e-4, 1.0, log=True), 0.01)
SPACE = SearchSpace("a:model", (RATE,))
WIDE = SearchSpace(
    "a:model",
    (
        RATE,
        Hyperparameter("width", "any", Kind.STRUCTURE, IntRange(1, 6), 1),
        Hyperparameter("place", "any", Kind.STRUCTURE, Choice(("before", "after")), "before"),
    ),
)


def search(space: SearchSpace = SPACE, *, epochs: int = 27, seed: int = 0, **settings: float) -> SlotSearch:
    return SlotSearch(
        space, direction="minimize", epochs=epochs, seed=(seed,), settings=Halving(**settings),  # type: ignore[arg-type]
    )  # fmt: skip


def loss(rate: object) -> float:
    return abs(math.log10(float(rate)) + 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("epochs", "factor", "least", "expected"),
    [(27, 3, 1, (1, 3, 9, 27)), (27, 3, 2, (3, 9, 27)), (51, 3, 2, (2, 6, 17, 51)), (51, 4, 2, (3, 13, 51)),
     (1, 3, 2, (1,)), (4, 2, 3, (4,))],
)  # fmt: skip
def test_rungs_lie_a_factor_apart_from_the_end_backwards(epochs, factor, least, expected):
    assert rungs(epochs, Halving(factor=factor, least=least)) == expected


def test_one_in_factor_goes_on_and_those_judged_together_are_judged_alike():
    slots = search(factor=3)
    numbers = [p.number for p in slots.begin(9)]
    values = {n: (3, float(v)) for n, v in zip(numbers, np.random.default_rng(0).permutation(9), strict=True)}
    ended = slots.report(values)
    assert sorted(values[n][1] for n in set(numbers) - ended) == [0, 1, 2]
    again = search(factor=3)
    again.begin(9)
    assert again.report(dict(reversed(values.items()))) == ended


def test_between_rungs_nobody_is_judged_and_at_the_end_all_give_up_their_slots():
    slots = search()
    numbers = [p.number for p in slots.begin(6)]
    assert slots.report({n: (2, float(n)) for n in numbers}) == set()
    assert slots.report({n: (27, float(n)) for n in numbers}) == set(numbers)


def test_a_lone_run_goes_on_where_it_is_the_best_seen():
    slots = search()
    (first,) = slots.begin(1)
    assert slots.report({first.number: (3, 5.0)}) == set()
    (second,) = slots.begin(1)
    assert slots.report({second.number: (3, 6.0)}) == {second.number}
    (third,) = slots.begin(1)
    assert slots.report({third.number: (3, 4.0)}) == set()


def test_a_diverged_run_gives_up_its_slot_at_once_and_counts_as_worst_later():
    slots = search(factor=2)
    numbers = [p.number for p in slots.begin(4)]
    assert slots.report({numbers[0]: (2, math.nan), numbers[1]: (2, math.inf)}) == set(numbers[:2])
    # Two finite values, worse than nothing but the diverged: both are the better half of four.
    assert slots.report({numbers[2]: (7, 1.0), numbers[3]: (7, 2.0)}) == set()


def test_greater_is_better_where_it_is_maximized():
    slots = SlotSearch(SPACE, direction="maximize", epochs=27, seed=(0,))
    numbers = [p.number for p in slots.begin(6)]
    ended = slots.report({n: (3, float(n)) for n in numbers})
    assert set(numbers) - ended == set(numbers[-2:])


def run(slots: SlotSearch, steps: int = 12) -> list[tuple[int, float]]:
    """Eight slots, every run reported at its first rung only."""
    begun = []
    for _ in range(steps):
        proposals = slots.begin(8)
        begun += [(p.number, float(p.configuration["rate"])) for p in proposals]
        slots.report({p.number: (3, loss(p.configuration["rate"])) for p in proposals})
    return begun


def test_the_same_calls_begin_the_same_runs_and_refills_learn():
    begun = run(search())
    assert begun == run(search())
    assert begun != run(search(seed=1))
    early, late = (np.mean([loss(r) for _, r in part]) for part in (begun[:24], begun[-24:]))
    assert late < early / 1.5
    assert [n for n, _ in begun] == list(range(96))


def test_the_share_of_insurance_stays_random():
    begun = run(search(random=1.0))
    assert np.mean([loss(r) for _, r in begun[-48:]]) > 0.7


def test_starts_come_first():
    slots = SlotSearch(SPACE, direction="minimize", epochs=9, seed=(0,), starts=[{"rate": 0.5}, {"rate": 0.25}])
    assert [p.configuration["rate"] for p in slots.begin(3)][:2] == [0.5, 0.25]


def test_a_cohort_keeps_its_structure_and_is_left_when_the_sampler_asks_for_another():
    slots = search(WIDE, structures=1, visit=2)
    first = slots.begin(8)
    structures = {tuple(WIDE.structure(p.configuration).items()) for p in first}
    assert len(structures) == 1
    home = first[0].configuration
    slots.report({p.number: (3, 9.0) for p in first})
    refill = slots.begin(8, within=home)
    assert {tuple(WIDE.structure(p.configuration).items()) for p in refill} == structures
    slots.report({p.number: (3, 9.0) for p in refill})
    assert slots.begin(8, within=home) == []
    elsewhere = slots.begin(8)
    assert len({tuple(WIDE.structure(p.configuration).items()) for p in elsewhere}) == 1


def test_a_new_cohort_is_begun_in_few_structures_random_ones_too():
    slots = search(WIDE, structures=2, random=0.5)
    for _ in range(4):
        begun = slots.begin(16)
        assert len({tuple(WIDE.structure(p.configuration).items()) for p in begun}) <= 2
        slots.report({p.number: (3, loss(p.configuration["rate"])) for p in begun})
