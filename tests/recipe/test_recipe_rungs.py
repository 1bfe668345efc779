"""The rung rule: rungs in closed form, and the laws of which runs go on."""

import math

import numpy as np
import pytest

from hpo.recipe.rungs import Judge, Rule, rungs


def judge(factor: int = 3, direction: str = "minimize") -> Judge:
    rule = Rule(factor=factor)
    return Judge((3, 9, 27), rule, direction)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("epochs", "factor", "least", "expected"),
    [(27, 3, 1, (1, 3, 9, 27)), (27, 3, 2, (3, 9, 27)), (51, 3, 2, (2, 6, 17, 51)), (51, 4, 2, (3, 13, 51)),
     (1, 3, 2, (1,)), (4, 2, 3, (4,)), (1, 2, 0, (1,)), (5, 2, 0, (1, 2, 5))],
)  # fmt: skip
def test_rungs_lie_a_factor_apart_from_the_end_backwards(epochs, factor, least, expected):
    assert rungs(epochs, Rule(factor=factor, least=least)) == expected


def test_one_in_factor_goes_on_and_those_judged_together_are_judged_alike():
    values = {n: (3, float(v)) for n, v in enumerate(np.random.default_rng(0).permutation(9))}
    ended = judge().judge(values)
    assert sorted(values[n][1] for n in set(values) - ended) == [0, 1, 2]
    assert judge().judge(dict(reversed(values.items()))) == ended


def test_between_rungs_nobody_is_judged_and_at_the_end_all_give_up_their_slots():
    assert judge().judge({n: (2, float(n)) for n in range(6)}) == set()
    assert judge().judge({n: (27, float(n)) for n in range(6)}) == set(range(6))


def test_a_lone_run_goes_on_where_it_is_the_best_seen():
    one = judge()
    assert one.judge({0: (3, 5.0)}) == set()
    assert one.judge({1: (3, 6.0)}) == {1}
    assert one.judge({2: (3, 4.0)}) == set()


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_diverged_run_gives_up_its_slot_at_once_and_counts_as_worst_later(odd):
    one = judge(factor=2)
    assert one.judge({0: (2, odd), 1: (2, odd)}) == {0, 1}
    # Two finite values, worse than nothing but the diverged: both are the better half of four.
    assert one.judge({2: (3, 1.0), 3: (3, 2.0)}) == set()
    assert [sorted(one.values[rung]) for rung in (3, 9, 27)] == [[0, 1, 2, 3], [0, 1], [0, 1]]


def test_greater_is_better_where_it_is_maximized():
    assert judge(direction="maximize").judge({n: (3, float(n)) for n in range(6)}) == {0, 1, 2, 3}


def test_what_the_records_say_counts_as_if_it_had_been_seen():
    one, other = judge(), judge()
    for n in range(6):
        one.learn(n, 3, float(n))
    one.learn(6, 4, math.nan)
    other.judge({n: (3, float(n)) for n in range(6)} | {6: (4, math.nan)})
    assert one.values == other.values
    assert one.judge({7: (3, 1.5)}) == other.judge({7: (3, 1.5)}) == {7}


def test_a_run_that_is_trained_again_is_not_judged_twice_but_may_diverge():
    one = judge()
    one.learn(0, 3, 9.0)
    for n in range(1, 6):
        one.learn(n, 3, float(n))
    assert one.judge({0: (3, 9.0)}) == set()
    assert one.judge({0: (9, 9.0)}) == set()
    assert one.judge({0: (10, math.nan)}) == {0}
    assert one.values[9][0] == 9.0
    assert one.values[27][0] == math.inf


def test_the_worst_of_factor_known_never_goes_on():
    one = judge(factor=3)
    random = np.random.default_rng(1)
    for n in range(200):
        value = float(random.normal())
        ended = one.judge({n: (3, value)})
        known = sorted(one.values[3].values())
        if n >= 2 and value == known[-1]:
            assert ended == {n}
