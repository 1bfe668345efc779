"""Ranges are widened where the best trials crowd an end, and hardly ever where the value has no effect."""

import numpy as np
import pytest

from hpo.recipe.edges import Ranked, crowded_edges, narrowed_around, slow_rate_edge, widen
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace
from hpo.space.ranges import Range


def space(**ranges: Range) -> SearchSpace:
    return SearchSpace(
        "mlp",
        tuple(Hyperparameter(name, "optimizer", Kind.NUMBER, range_, 0.1) for name, range_ in ranges.items()),
    )


RATE = FloatRange(1e-6, 1e-4, log=True)


def trials(cost: object, seed: int, count: int = 20) -> list[Ranked]:
    rng = np.random.default_rng(seed)
    rates = 10 ** rng.uniform(-6, -4, count)
    return [Ranked({"learning_rate": float(r)}, float(cost(r))) for r in rates]  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(20))
def test_a_learning_rate_range_that_ends_too_low_is_widened(seed: int) -> None:
    found = crowded_edges(space(learning_rate=RATE), trials(lambda r: -r, seed))
    assert [(e.name, e.side) for e in found] == [("learning_rate", "high")]
    wider = widen(space(learning_rate=RATE), found)["learning_rate"].range
    assert isinstance(wider, FloatRange)
    assert (wider.low, wider.high) == (RATE.low, pytest.approx(1e-3))
    assert "high end of learning_rate" in found[0].sentence


def test_values_without_effect_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    widened = sum(bool(crowded_edges(space(learning_rate=RATE), trials(lambda _: rng.random(), s))) for s in range(300))
    assert widened <= 12  # two rules at two ends, a hundredth each


def test_few_whole_numbers_need_more_than_a_majority_at_the_end() -> None:
    rng = np.random.default_rng(1)
    layers = space(hidden_layers=IntRange(1, 3))
    widened = 0
    for _ in range(200):
        random = [Ranked({"hidden_layers": int(rng.integers(1, 4))}, rng.random()) for _ in range(24)]
        widened += bool(crowded_edges(layers, random))
    assert widened <= 8


def test_natural_zeros_choices_and_domain_ends_are_no_edges() -> None:
    rng = np.random.default_rng(2)
    whole = space(
        dropout=FloatRange(0.0, 0.5), learning_rate=FloatRange(1e-8, 1e4, log=True), activation=Choice(("a",))
    )
    low = [
        Ranked({"dropout": float(d), "learning_rate": 1e4 * 10**-d, "activation": "a"}, float(d))
        for d in rng.uniform(0, 0.5, 20)
    ]
    assert crowded_edges(whole, low) == ()


def test_of_structures_the_best_trials_count_however_many_share_them() -> None:
    depth = SearchSpace("mlp", (Hyperparameter("hidden_layers", "architecture", Kind.STRUCTURE, IntRange(1, 30), 2),))

    def tried(layers: int, copies: int) -> list[Ranked]:
        return [Ranked({"hidden_layers": layers}, -layers + 0.01 * i) for i in range(copies)]

    assert not crowded_edges(depth, [t for layers in (1, 29, 30) for t in tried(layers, 10)])
    (edge,) = crowded_edges(depth, [t for layers in range(1, 31) for t in tried(layers, 3)])
    assert (edge.side, edge.of) == ("high", "structures")


def test_narrowing_keeps_the_best_inside() -> None:
    whole = space(learning_rate=FloatRange(1e-6, 1.0, log=True))
    rng = np.random.default_rng(3)
    rates = 10 ** rng.uniform(-6, 0, 40)
    done = [Ranked({"learning_rate": float(r)}, abs(np.log10(r) + 3)) for r in rates]
    best = min(done, key=lambda t: t.cost).configuration
    found = narrowed_around(whole, done, best)["learning_rate"].range
    assert isinstance(found, FloatRange)
    assert 1e-6 < found.low <= best["learning_rate"] / 3
    assert best["learning_rate"] * 3 <= found.high < 1.0


def test_steady_losses_of_all_best_trials_widen_the_learning_rate_a_hundredfold() -> None:
    best = [({"learning_rate": rate}, 0.9) for rate in (1e-6, 3e-6, 1e-5, 9e-5)]
    (edge,) = slow_rate_edge(space(learning_rate=RATE), best)
    assert isinstance(edge.new, FloatRange)
    assert (edge.side, edge.new.high) == ("high", pytest.approx(1e-2))
    assert "as steadily at the end as at the beginning" in edge.sentence
    assert slow_rate_edge(space(learning_rate=RATE), [*best[:3], (best[3][0], 0.1)]) == ()
    assert slow_rate_edge(space(learning_rate=RATE), best[:3]) == ()
