"""The outer level: structures are tried with few runs, and the better ones get more."""

from collections import Counter

import numpy as np
import pytest

from hpo.search.distributions import Terms
from hpo.search.halving import Refill, SlotSearch
from hpo.search.ledger import Ledger
from hpo.search.openings import Openings, Outer
from hpo.search.refills import Home
from hpo.search.values import Proposal
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

RATE = Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(0.0, 1.0), 0.5)
LAYERS = Hyperparameter("layers", "any", Kind.STRUCTURE, IntRange(1, 12), 1)
SPACE = SearchSpace("a:model", (RATE, LAYERS))
PADDED = SearchSpace("mlp", (RATE, Hyperparameter("units", "any", Kind.STRUCTURE, IntRange(10, 300, log=True), 16)))


def search(space: SearchSpace = SPACE, seed: int = 0, tried: int = 4, factor: int = 3) -> SlotSearch:
    return SlotSearch(
        space, direction="minimize", rungs=(1, 3), sampler="tpe", seed=(seed,), slots=16,
        settings=Refill(outer=Outer(tried=tried, factor=factor)),
    )  # fmt: skip


def loss(proposal: Proposal) -> float:
    return abs(float(proposal.configuration["layers"]) - 7) + 0.5 * abs(float(proposal.configuration["rate"]) - 0.5)


def cohorts(slots: SlotSearch, calls: int) -> list[list[Proposal]]:
    """One cohort of sixteen slots at a time, whose runs all end at the first rung."""
    found: list[list[Proposal]] = []
    number, home = 0, None
    for _ in range(calls):
        begun = slots.begin(range(number, number + 16), within=home)
        if begun and home is None:
            found.append([])
        if begun:
            found[-1] += begun
        for p in begun:
            slots.see(p.number, 1, loss(p))
            slots.end(p.number, None, dropped=True)
        number += len(begun)
        home = begun[0].configuration if begun else None
    return found


def test_a_structure_is_tried_with_few_runs_and_no_more_before_their_values_are_known():
    slots = search()
    begun = slots.begin(range(16))
    assert len(begun) == 4
    assert slots.begin(range(4, 16), within=begun[0].configuration) == []
    assert len(slots.begin(range(4, 16), beside=[begun[0].configuration])) == 4


def test_the_better_structures_get_most_of_the_runs():
    counts: Counter[int] = Counter()
    for seed in range(3):
        for cohort in cohorts(search(seed=seed), 60):
            counts[int(cohort[0].configuration["layers"])] += len(cohort)
    assert set(counts) == set(range(1, 13))
    assert counts.most_common(1)[0][0] == 7
    assert counts[7] > sum(counts.values()) / 3


def test_of_a_single_structure_slots_are_filled_at_once():
    slots = search(SearchSpace("a:model", (RATE,)))
    begun = slots.begin(range(16))
    assert len(begun) == 16
    assert len(slots.begin(range(16, 20), within=begun[0].configuration)) == 4


@pytest.mark.parametrize("count", [2, 3])
def test_of_few_structures_the_best_is_filled(count):
    space = SearchSpace("a:model", (RATE, Hyperparameter("layers", "any", Kind.STRUCTURE, IntRange(6, 5 + count), 6)))
    last = cohorts(search(space), 20)[-1]
    assert {p.configuration["layers"] for p in last} == {7}
    assert len(last) > 32


def test_where_all_diverged_another_is_opened():
    slots = search()
    opened = []
    for k in range(8):
        begun = slots.begin(range(4 * k, 4 * k + 4))
        opened.append(begun[0].configuration["layers"])
        for p in begun:
            slots.see(p.number, 1, float("nan"))
            slots.end(p.number, None, diverged=True)
    assert len(set(opened)) == 8


def test_where_every_structure_is_open_already_one_of_them_is_opened_again():
    space = SearchSpace("a:model", (RATE, Hyperparameter("place", "any", Kind.STRUCTURE, Choice(("a", "b")), "a")))
    slots = search(space)
    first = slots.begin([0])[0].configuration
    second = slots.begin([1], beside=[first])[0].configuration
    assert first["place"] != second["place"]
    assert len(slots.begin([2], beside=[first, second])) == 1


def test_first_runs_are_held_against_as_many_of_the_others():
    """A structure with many runs has a better best by luck alone: only its first ones count against a new one."""
    terms = Terms(SPACE)
    ledger = Ledger(terms, (1,), "minimize")
    values = {1: [3.0] * 4 + [0.0] * 12, 2: [5.0] * 4, 3: [2.0] * 4}
    for layers, costs in values.items():
        for cost in costs:
            number = len(ledger)
            configuration = {"rate": 0.5, "layers": layers}
            ledger.add(number, terms.row(terms.params_of(configuration)), configuration, running=False)
            ledger.see(number, 1, cost)
    openings = Openings(terms, ledger, Outer(tried=4, factor=3), ("seed",), 8, None)
    assert openings.stays({"rate": 0.5, "layers": 3})
    assert not openings.stays({"rate": 0.5, "layers": 2})


def test_refills_take_every_width_that_shares_the_program():
    home = Home(Terms(PADDED), [0.5, 40.0])
    assert (home.free[1].low, home.free[1].high) == (33.0, 64.0)
    assert Home(Terms(PADDED), [0.5, 12.0]).free[1].low == 10
    assert Home(Terms(PADDED), [0.5, 300.0]).free[1].high == 300
    assert Home(Terms(SPACE), [0.5, 3.0]).free == {}
    slots = search(PADDED, tried=32)
    widths = {int(p.configuration["units"]) for p in slots.begin(range(32))}
    assert len(widths) > 2
    assert np.ptp(list(widths)) <= 100


def test_a_single_slot_tries_a_structure_with_two_runs():
    slots = SlotSearch(SPACE, direction="minimize", rungs=(1, 3), sampler="tpe", seed=(0,), slots=1)
    layers = []
    for number in range(8):
        (p,) = slots.begin([number])
        slots.see(p.number, 1, float(number))
        slots.end(p.number, None, dropped=True)
        layers.append(p.configuration["layers"])
    assert layers[0] == layers[1] != layers[2] == layers[3] != layers[4] == layers[5]
    # Of three that were tried the best gets more.
    assert layers[6] == layers[7] == layers[0]


def test_of_a_short_plan_a_structure_takes_little():
    slots = SlotSearch(SPACE, direction="minimize", rungs=(1, 3), sampler="tpe", seed=(0,), slots=8, planned=24)
    assert len(slots.begin(range(8))) == 3
