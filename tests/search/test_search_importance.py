"""Planted importances and interactions are found, and what is no effect is not."""

import itertools
import math
import random
import time

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from hpo.recipe.edges import Ranked
from hpo.recipe.insight import Explained
from hpo.search import importances
from hpo.search.variance import interval, leaves, mains, parts
from hpo.space import Choice, Fixed, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

SPACE = SearchSpace(
    "mlp",
    (
        Hyperparameter("optimizer", "any", Kind.NUMBER, Choice(("sgd", "momentum")), "sgd"),
        Hyperparameter("learning_rate", "any", Kind.NUMBER, FloatRange(1e-4, 1.0, log=True), 1e-3),
        Hyperparameter("idle", "any", Kind.NUMBER, FloatRange(0.0, 1.0), 0.5),
        Hyperparameter("momentum", "any", Kind.NUMBER, FloatRange(0.5, 0.99), 0.0, (("optimizer", ("momentum",)),)),
        Hyperparameter("stated", "any", Kind.NUMBER, Fixed(1.0), 1.0),
    ),
)
CUBE = SearchSpace(
    "mlp", tuple(Hyperparameter(f"x{i}", "any", Kind.NUMBER, FloatRange(0.0, 1.0), 0.5) for i in range(8))
)


def trials(count: int, seed: int | None = None) -> list[Ranked]:
    draw = random.Random(count if seed is None else seed)
    out = []
    for _ in range(count):
        drawn = {"optimizer": draw.choice(["sgd", "momentum"]), "learning_rate": 10 ** draw.uniform(-4, 0),
                 "idle": draw.random()}  # fmt: skip
        if drawn["optimizer"] == "momentum":
            drawn["momentum"] = draw.uniform(0.5, 0.99)
        cost = abs(math.log10(drawn["learning_rate"]) + 2) + 0.1 * draw.random()
        out.append(Ranked(SPACE.complete(drawn), math.inf if drawn["learning_rate"] > 0.5 else cost))
    return out


def of(explained: Explained, name: str) -> float:
    return next(s.share for s in explained.shares if s.name == name)


def cube(count: int, seed: int, cost) -> list[Ranked]:
    at = np.random.default_rng(seed).random((count, 8))
    noise = np.random.default_rng((seed, 1)).normal(size=count)
    return [Ranked(dict(zip(CUBE.names, map(float, x), strict=True)), cost(x) + 0.05 * e)
            for x, e in zip(at, noise, strict=True)]  # fmt: skip


def quarters(value) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four leaves that part the unit square at its middle, with the values of a function of the sides."""
    corners = list(itertools.product((0, 1), repeat=2))
    low = np.array(corners) / 2
    return low, low + 0.5, np.array([float(value(*c)) for c in corners])


def test_an_additive_function_has_no_interaction() -> None:
    variance, single, pair, total = parts(quarters(lambda a, b: 3 * a + 4 * b), [1, 1])
    assert variance == pytest.approx((9 + 16) / 4)
    assert single == pytest.approx([9 / 4, 16 / 4])
    assert pair[0, 1] == pytest.approx(0.0, abs=1e-12)
    assert total == pytest.approx(single)


def test_a_products_interaction_is_known() -> None:
    variance, single, pair, total = parts(quarters(lambda a, b: a * b), [1, 1])
    assert variance == pytest.approx(3 / 16)
    assert single == pytest.approx([1 / 16, 1 / 16])
    assert pair[0, 1] == pytest.approx(1 / 16)
    assert total == pytest.approx([2 / 16, 2 / 16])


def test_a_choice_counts_its_values_alike() -> None:
    """Of three values the second is worth 1: variance 1/3 - 1/9, all of it the choice's."""
    low, high = np.array([[0, 0, 0], [0, 0.5, 0]]), np.array([[1, 0.5, 1], [1, 1, 1]])
    variance, single, _, total = parts((low, high, np.array([0.0, 1.0])), [3])
    assert variance == pytest.approx(2 / 9)
    assert single == pytest.approx([2 / 9])
    assert total == pytest.approx([2 / 9])


def test_parts_are_those_of_the_trees_predictions_on_a_grid() -> None:
    """Another way to the same numbers: analysis of variance on all cells of a grid that no leaf cuts."""
    steps, draw = 8, np.random.default_rng(0)
    grid = (np.array(list(itertools.product(range(steps), repeat=3))) + 0.5) / steps
    x = grid[draw.integers(0, len(grid), 200)]
    tree = DecisionTreeRegressor(max_leaf_nodes=30).fit(x, x[:, 0] * x[:, 1] + x[:, 2] + draw.normal(size=200))
    fine = (np.array(list(itertools.product(range(2 * steps), repeat=3))) + 0.5) / (2 * steps)  # splits lie between
    cells = tree.predict(fine).reshape((2 * steps,) * 3)
    boxes = leaves(tree.tree_, 3)
    variance, single, pair, total = parts(boxes, [1, 1, 1])
    assert variance == pytest.approx(cells.var())
    effects = [cells.mean(axis=tuple({0, 1, 2} - {j})) - cells.mean() for j in range(3)]
    assert single == pytest.approx([e.var() for e in effects])
    assert pair[0, 2] == pytest.approx(cells.mean(axis=1).var() - effects[0].var() - effects[2].var())
    assert total[1] == pytest.approx(cells.var() - cells.mean(axis=1).var())
    additive = cells.mean() + effects[0][:, None, None] + effects[1][:, None] + effects[2]
    assert mains(fine, boxes, [1, 1, 1]) == pytest.approx(additive.ravel())


def test_the_interval_of_a_bagged_mean_is_that_of_the_mean() -> None:
    """A mean's deviation is known: s / sqrt(n); the trees' noise is taken off."""
    draw = np.random.default_rng(0)
    values = 0.5 + 0.05 * draw.normal(size=40)
    rows = draw.integers(0, 40, (4000, 40))
    counts = np.stack([np.bincount(r, minlength=40) for r in rows])
    mean, low, high = interval(values[rows].mean(axis=1)[:, None], counts)
    assert mean[0] == pytest.approx(values.mean(), abs=1e-3)
    assert (high[0] - low[0]) / 2 == pytest.approx(1.645 * values.std() / math.sqrt(40), rel=0.1)


def test_an_interval_is_never_surer_than_its_trees() -> None:
    """Where trees differ by chance alone, the correction may take all of the deviation off: that is no certainty."""
    draw = np.random.default_rng(0)
    counts = np.stack([np.bincount(r, minlength=16) for r in draw.integers(0, 16, (128, 16))])
    _, low, high = interval(0.5 + 0.1 * draw.normal(size=(128, 200)), counts)
    assert (high - low).min() > 0.02


def test_what_was_never_active_is_left_out() -> None:
    rows = [t for t in trials(40) if t.configuration["optimizer"] == "sgd"]
    assert "momentum" not in {s.name for s in importances(SPACE, rows, 0).shares}


def test_the_planted_one_is_found() -> None:
    found = importances(SPACE, trials(30), 0)
    first = found.shares[0]
    assert first.name == "learning_rate"
    assert first.share > 0.6
    assert first.low < first.share < first.high
    assert {s.name for s in found.shares} == {"optimizer", "learning_rate", "idle", "momentum"}
    assert sum(s.share for s in found.shares) <= 1.0
    assert [s.share for s in found.shares] == sorted((s.share for s in found.shares), reverse=True)
    assert all(0 <= s.low <= s.share <= s.high <= s.most <= 1 and s.share <= s.total for s in found.shares)
    assert found.trials == 30


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_interaction_is_found_and_none_in_what_is_additive(seed: int) -> None:
    ridge = importances(CUBE, cube(100, seed, lambda x: abs(x[0] + x[1] - 1) + 0.3 * x[2]), 0).interactions
    assert ridge[0].names == ("x0", "x1")
    assert ridge[0].share > max(0.05, 2 * ridge[1].share)
    plain = importances(CUBE, cube(60, seed, lambda x: 2 * abs(x[0] - 0.4) + x[1] ** 2), 0).interactions
    assert plain[0].share < 0.03
    assert plain[0].low <= 0.02


@pytest.mark.parametrize("how_many", [50])
def test_what_has_no_effect_is_bounded_and_what_has_one_is_not(how_many: int) -> None:
    """Of 6 data sets: bounds below 10 % for most of what is idle, and for none of what is not."""
    idle, effective = [], []
    for seed in range(6):
        found = importances(CUBE, cube(how_many, seed, lambda x: 2 * abs(x[0] - 0.4) + x[1] ** 2), 0)
        most = {s.name: s.most for s in found.shares}
        effective += [most["x0"] < 0.1, most["x1"] < 0.1]
        idle += [most[f"x{j}"] < 0.1 for j in range(2, 8)]
    assert not any(effective)
    assert np.mean(idle) > 0.5


def test_intervals_cover_the_share_that_other_trials_give() -> None:
    """A 90 % interval holds what 12 data sets give on average."""
    found = [importances(CUBE, cube(50, seed, lambda x: 2 * abs(x[0] - 0.4) + x[1]), 0) for seed in range(12)]
    mean = np.mean([of(f, "x1") for f in found])
    held = [next(s.low <= mean <= s.high for s in f.shares if s.name == "x1") for f in found]
    assert np.mean(held) >= 0.7


def test_scale_and_units_do_not_matter_and_the_seed_hardly() -> None:
    found = importances(SPACE, trials(40), 0)
    stretched = [Ranked(t.configuration, math.exp(3 * t.cost)) for t in trials(40)]
    assert importances(SPACE, stretched, 0) == found
    lost = [Ranked(t.configuration, math.nan if t.cost == math.inf else t.cost) for t in trials(40)]
    assert importances(SPACE, lost, 0) == found
    other = importances(SPACE, trials(40), 1)
    assert other != found
    assert of(other, "learning_rate") == pytest.approx(of(found, "learning_rate"), abs=0.05)


def test_whole_numbers_take_equal_parts_of_their_range() -> None:
    """Four depths of which the first alone is bad: all that counts is which one it is."""
    depth = Hyperparameter("hidden_layers", "any", Kind.STRUCTURE, IntRange(1, 4), 2)
    space = SearchSpace("mlp", (depth, CUBE.hyperparameters[0]))
    rows = [Ranked({"hidden_layers": 1 + i % 4, "x0": (i * 7 % 40) / 40}, float(i % 4 == 0)) for i in range(40)]
    found = importances(space, rows, 0)
    assert of(found, "hidden_layers") == pytest.approx(1.0)
    assert of(found, "x0") == pytest.approx(0.0)


def test_too_little_to_tell_gives_nothing() -> None:
    assert importances(SPACE, trials(7), 0) == Explained()
    assert importances(SPACE, [], 0) == Explained()
    assert importances(SPACE, [Ranked(t.configuration, 1.0) for t in trials(20)], 0) == Explained()
    assert importances(SPACE, [Ranked(t.configuration, math.inf) for t in trials(20)], 0) == Explained()
    fixed = SPACE.fixed_at(SPACE.default(), SPACE.names)
    assert importances(fixed, trials(20), 0) == Explained()


def test_a_stage_is_judged_in_seconds() -> None:
    """About 1 s for 100 trials of 8 hyperparameters on one core; the bound leaves room for a busy machine."""
    rows = cube(100, 0, lambda x: abs(x[0] - 0.4) + x[1] * x[2])
    importances(CUBE, rows[:10], 0)  # the import of the trees
    began = time.process_time()
    importances(CUBE, rows, 0)
    assert time.process_time() - began < 4.0
