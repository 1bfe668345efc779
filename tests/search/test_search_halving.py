"""Slots kept full: the laws of what is begun, for every sampler, and after a resume."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from hpo.search.halving import Refill, SlotSearch
from hpo.search.values import PastTrial, Proposal
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

RATE = Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(1e-4, 1.0, log=True), 0.01)
SPACE = SearchSpace("a:model", (RATE,))
WIDE = SearchSpace(
    "a:model",
    (
        RATE,
        Hyperparameter("width", "any", Kind.STRUCTURE, IntRange(1, 6), 1),
        Hyperparameter("place", "any", Kind.STRUCTURE, Choice(("before", "after")), "before"),
        Hyperparameter("depth", "any", Kind.STRUCTURE, IntRange(2, 9), 2, (("place", ("after",)),)),
        Hyperparameter("strength", "any", Kind.NUMBER, FloatRange(0.0, 1.0), 0.0, (("place", ("after",)),)),
    ),
)
RUNGS = (3, 9, 27)
SAMPLERS = ("tpe", "random", "qmc", "cmaes")


def search(
    space: SearchSpace = SPACE, *, seed: int = 0, sampler: str = "tpe", slots: int = 8, **given: object
) -> SlotSearch:
    settings = Refill(**{k: given.pop(k) for k in ("enough", "random") if k in given})  # type: ignore[arg-type]
    return SlotSearch(
        space, direction="minimize", rungs=RUNGS, sampler=sampler, seed=(seed,), slots=slots, settings=settings,
        **given,  # type: ignore[arg-type]
    )  # fmt: skip


def loss(proposal: Proposal) -> float:
    c = proposal.configuration
    return abs(math.log10(float(c["rate"])) + 2) + 0.2 * abs(float(c.get("width", 3)) - 3)


def structure(proposal: Proposal) -> tuple[object, ...]:
    return tuple(WIDE.structure(proposal.configuration).items())


def run(slots: SlotSearch, steps: int = 12) -> list[Proposal]:
    """Eight slots; every run is seen at the second rung and dropped there."""
    begun: list[Proposal] = []
    for step in range(steps):
        proposals = slots.begin(range(8 * step, 8 * step + 8))
        begun += proposals
        for p in proposals:
            slots.see(p.number, 9, loss(p))
            slots.end(p.number, None, dropped=True)
    return begun


def test_the_same_calls_begin_the_same_runs_and_refills_learn():
    begun = run(search())
    assert begun == run(search())
    assert begun != run(search(seed=1))
    early, late = (np.mean([loss(p) for p in part]) for part in (begun[:24], begun[-24:]))
    assert late < early / 1.5


def test_greater_is_better_where_it_is_maximized():
    one = SlotSearch(SPACE, direction="maximize", rungs=RUNGS, sampler="tpe", seed=(0,), slots=8)
    begun: list[Proposal] = []
    for step in range(12):
        proposals = one.begin(range(8 * step, 8 * step + 8))
        begun += proposals
        for p in proposals:
            one.see(p.number, 9, -loss(p))
    assert np.mean([loss(p) for p in begun[-24:]]) < np.mean([loss(p) for p in begun[:24]]) / 1.5


def test_the_share_of_insurance_stays_random():
    assert np.mean([loss(p) for p in run(search(random=1.0))[-48:]]) > 0.7


def test_begins_before_the_startup_are_random():
    assert run(search(startup=48))[:48] == run(search(sampler="random"))[:48]
    assert run(search(startup=48))[48:] != run(search(sampler="random"))[48:]


def test_what_is_best_at_the_first_of_several_rungs_is_no_model():
    first, random = search(), search(sampler="random")
    for step in range(12):
        numbers = range(8 * step, 8 * step + 8)
        begun = first.begin(numbers)
        assert begun == random.begin(numbers)
        for p in begun:
            first.see(p.number, 3, loss(p))
            first.end(p.number, None, dropped=True)


def test_a_single_structure_is_never_left():
    slots = search()
    (home, *_) = slots.begin(range(8))
    for step in range(1, 20):
        assert len(slots.begin(range(8 * step, 8 * step + 8), within=home.configuration)) == 8


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_begun_together_has_one_structure_and_keeps_the_conditions(sampler):
    slots = search(WIDE, sampler=sampler)
    number, home, visited = 0, None, set()
    for _ in range(60):
        begun = slots.begin(range(number, number + 8), within=home and home.configuration)
        if not begun:
            home = None
            continue
        assert len({structure(p) for p in [home or begun[0], *begun]}) == 1
        for p in begun:
            assert WIDE.holds(p.configuration)
            assert ("strength" in p.varied) == (p.configuration["place"] == "after")
            slots.see(p.number, 9, loss(p))
            slots.end(p.number, None, dropped=True)
        visited.add(structure(begun[0]))
        home, number = begun[0], number + 8
    assert len(visited) > 1


def test_another_structure_is_opened_beside_those_that_are_open():
    slots = search(WIDE)
    found: list[Proposal] = []
    for k in range(4):
        found += slots.begin([k], beside=[p.configuration for p in found])
    assert len({structure(p) for p in found}) == 4


def test_numbers_grow():
    slots = search()
    slots.begin([0, 1])
    with pytest.raises(ValueError, match="numbers must grow"):
        slots.begin([1])
    with pytest.raises(ValueError, match="numbers must grow"):
        slots.begin([5, 4])
    assert slots.begin([]) == []
    assert [p.number for p in slots.begin([7, 9])] == [7, 9]


def test_a_given_configuration_is_known_as_its_own():
    slots = search()
    assert slots.propose(0, {"rate": 0.5}).configuration["rate"] == 0.5
    with pytest.raises(ValueError, match="outside the search space"):
        slots.propose(1, {"rate": 5.0})
    slots.see(0, 3, 1.0)
    assert slots.end(0, 1.0).state == "complete"
    with pytest.raises(ValueError, match="not running"):
        slots.end(0, 1.0)


@pytest.mark.parametrize(
    ("end", "state", "value"),
    [({"value": 2.0}, "complete", 2.0), ({"value": None, "dropped": True}, "pruned", None),
     ({"value": None, "diverged": True}, "pruned", None), ({"value": math.nan}, "pruned", None),
     ({"value": None}, "failed", None)],
)  # fmt: skip
def test_how_an_end_is_written_down(end, state, value):
    slots = search()
    slots.begin([0])
    told = slots.end(0, **end)
    assert (told.state, told.value) == (state, value)


def test_diverged_runs_are_kept_away_from():
    """Everything above a rate diverges: refills leave it, although all others are alike."""
    slots = search(random=0.0)
    share = []
    for step in range(10):
        begun = slots.begin(range(8 * step, 8 * step + 8))
        bad = [p for p in begun if float(p.configuration["rate"]) > 0.02]
        share.append(len(bad) / 8)
        for p in begun:
            slots.see(p.number, 9, math.nan if p in bad else 1.0)
            slots.end(p.number, None, diverged=p in bad, dropped=p not in bad)
    assert np.mean(share[-5:]) < 0.25


Records = tuple[list[PastTrial], dict[int, dict[int, float]]]


def live(
    sampler: str, steps: int, *, slots: SlotSearch | None = None, past: Records | None = None
) -> tuple[list[Proposal], Records]:
    """Slots refilled two at a time, runs ending in turn in each way that there is."""
    one = slots or search(WIDE, sampler=sampler, slots=4)
    trials: dict[int, PastTrial] = {t.number: t for t in past[0]} if past else {}
    seen: dict[int, dict[int, float]] = {n: dict(v) for n, v in past[1].items()} if past else {}
    found: list[Proposal] = []
    for step in range(steps):
        number = len(trials)
        home = trials[number - 1].configuration if number and step % 3 else None
        begun = one.begin([number, number + 1], within=home) or one.begin([number, number + 1])
        found += begun
        for p in begun:
            trials[p.number] = PastTrial(p.number, p.configuration, None, "running", p.attrs)
            how, value = p.number % 5, loss(p)
            seen[p.number] = {3: math.nan if how == 4 else value}
            if how in (1, 2):
                seen[p.number][9] = value - 0.1
            for rung, v in seen[p.number].items():
                one.see(p.number, rung, v)
            if how != 1:
                ends: Mapping[int, dict[str, object]] = {
                    0: {"value": None, "dropped": True},
                    2: {"value": value - 0.2},
                    3: {"value": None},
                    4: {"value": None, "diverged": True},
                }
                told = one.end(p.number, **ends[how])  # type: ignore[arg-type]
                trials[p.number] = replace(trials[p.number], state=told.state, value=told.value)
    return found, (list(trials.values()), seen)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_built_anew_from_the_records_begins_the_same(sampler):
    whole, _ = live(sampler, 24)
    first, records = live(sampler, 12)
    anew = search(WIDE, sampler=sampler, slots=4, history=records[0], seen=records[1])
    rest, _ = live(sampler, 12, slots=anew, past=records)
    # not the attributes: what CMA-ES pickles has more than one spelling
    assert [(p.number, p.params) for p in whole] == [(p.number, p.params) for p in first + rest]
