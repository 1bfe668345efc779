"""A stage ends where going on would bring no more than the noise, and says which rule ended it."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from hpo.metrics import METRICS
from hpo.recipe.judging import Bar, Baseline
from hpo.recipe.noise import Noise
from hpo.recipe.stopping import WORTH_STOPPING, effect, ended, expected_improvement, gain, noise_of, patience, plateau
from hpo.search import Search
from hpo.space import FloatRange, Hyperparameter, Kind, SearchSpace

BAR = Bar(METRICS["accuracy"], Noise(0.003, 0.004, 0.1, 0.1), 2.3, 0.0, {"prior": Baseline(0.1, 2.3)})
UNKNOWNS = 6
SPACE = SearchSpace(
    "mlp",
    tuple(Hyperparameter(f"x{i}", "any", Kind.NUMBER, FloatRange(0.0, 1.0), 0.5) for i in range(UNKNOWNS)),
)


def test_plateau_counts_trials_since_the_best() -> None:
    assert not plateau([3.0, 2.0, 2.5, 2.5], 3)
    assert plateau([3.0, 2.0, 2.5, None, 2.0], 3)
    assert not plateau([], 1)
    assert not plateau([1.0, 2.0, 2.0, 2.0], 3, carried=3)
    assert plateau([1.0, 2.0, 2.0, 2.0], 1, carried=3)


def test_patience_is_half_of_the_plan_ten_at_least_or_as_stated() -> None:
    assert patience(60, None) == 30
    assert patience(8, None) == 10
    assert patience(60, 5) == 5


def test_gains_within_the_noise_count_only_where_together_they_exceed_it() -> None:
    falling = [1.0, 0.96, 0.92, 0.88, 0.84, 0.80]
    assert not plateau(falling, 3, noise=0.119)  # from 0.92 to 0.80
    assert plateau(falling, 3, noise=0.121)
    assert plateau([1.0, 0.95, 0.95, 0.95], 3, noise=0.051)
    assert not plateau([1.0, 0.95, 0.95, 0.95], 3, noise=0.049)


def test_where_nothing_has_a_value_patience_ends_too() -> None:
    assert plateau([None] * 5, 5, noise=0.1)
    assert not plateau([None] * 4, 5, noise=0.1)
    assert not plateau([None, None, 1.0], 3, noise=0.1)  # the first value there is


def test_noise_is_that_of_the_metric_or_a_share_of_the_priors_loss() -> None:
    assert noise_of(BAR, "validation metric") == pytest.approx(0.005)
    assert noise_of(BAR, "training loss") == pytest.approx(0.023)


def test_expected_improvement_is_the_mean_gain_a_trial_times_those_left() -> None:
    costs = [1.0, 0.8, None, 0.9, 0.7, 0.75]
    assert expected_improvement(costs, 8, 4) == pytest.approx(0.1 / 4 * 8)
    assert expected_improvement(costs, 3, 5) == pytest.approx(0.3 / 5 * 3)
    assert expected_improvement(costs, 3, 5, carried=2) is None
    assert expected_improvement(costs, 3, 6) is None
    assert expected_improvement([1.0, None, None], 3, 2) == 0.0
    assert expected_improvement([1.0, 2.0, 2.0], 3, 2) == 0.0


def test_it_is_no_less_than_what_independent_draws_bring() -> None:
    """The bound that the module states, on exponential tails: expected and real gains of m more draws."""
    draw = np.random.default_rng(0)
    expected, brought = [], []
    for _ in range(2000):
        costs = -draw.exponential(size=90)
        expected.append(expected_improvement(list(costs[:60]), 30, 30))
        brought.append(costs[:60].min() - costs.min())
    assert np.mean(brought) == pytest.approx(math.log(90 / 60), rel=0.1)
    assert np.mean(expected) == pytest.approx(math.log(60 / 30), rel=0.1)  # the line, where it is log(1.5)


@pytest.mark.parametrize(
    ("costs", "more", "wanted"),
    [
        ([1.0], {"new": 9, "planned": 9}, "all 9 planned trials were used"),
        ([1.0], {"seconds": 8.0, "spent": 9.0}, "its 8 s were used up"),
        ([1.0], {"seconds": 0.0, "spent": 0.1}, "no time was left for more"),
        ([1.0], {"seconds": 8.0, "spent": 8.0}, None),
        ([1.0, *[0.999] * 20], {}, "the last 20 trials brought nothing better than the noise (0.0031)"),
        ([1.0, *[0.999] * 18], {}, None),
        (
            [*[1.0] * 20, *[0.9964] * 10], {"planned": 40},
            "what 10 more trials are expected to bring (0.0018) is below the noise (0.0031)",
        ),
        ([*[1.0] * 20, *[0.9964] * 10], {"planned": None}, None),
        ([*[1.0] * 20, *[0.9964] * 10], {"planned": 34}, None),  # too few are left to be worth it
    ],
)  # fmt: skip
def test_the_sentence_tells_which_rule(costs: list[float], more: dict[str, float], wanted: str | None) -> None:
    settings = {"noise": 0.0031, "patience": 20, "new": len(costs), "planned": 60} | more
    assert ended(costs, **settings) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(200))
def test_laws(seed: int) -> None:
    """Never before its patience is out; never where the last k gained four noises; more noise ends no later."""
    draw = np.random.default_rng(seed)
    size, k, carried = int(draw.integers(1, 60)), int(draw.integers(1, 30)), int(draw.integers(0, 5))
    costs = [None if draw.random() < 0.2 else float(c) for c in draw.normal(size=size + carried)]
    left = int(draw.integers(1, 100))
    noise = float(draw.exponential())
    settings = {"patience": k, "new": size, "planned": size + left, "carried": carried}
    told = ended(costs, noise=noise, **settings)
    if size < k:
        assert told is None
    brought = gain(costs, k)
    if brought is not None and brought > noise / WORTH_STOPPING:
        assert told is None
    moved = [None if c is None else 4.0 * c + 8.0 for c in costs]
    assert (ended(moved, noise=4 * noise, **settings) is None) == (told is None)
    if told is not None:
        assert ended(costs, noise=2 * noise, **settings) is not None


def simulated(objective: Callable[[np.ndarray], float], noise: float, seed: int, planned: int = 100) -> int:
    """Trials that a stage uses which searches an objective with noise."""
    draw = np.random.default_rng(seed)
    search = Search(SPACE, direction="minimize", sampler="tpe", seed=(seed, "stopping"), startup=10)
    costs: list[float | None] = []
    while ended(costs, noise=noise, patience=patience(planned, None), new=len(costs), planned=planned) is None:
        for proposal in search.ask(range(len(costs), min(len(costs) + 12, planned))):
            at = np.array([proposal.configuration[name] for name in SPACE.names], dtype=float)
            costs.append(objective(at) + noise * float(draw.normal()))
            search.tell(proposal.number, costs[-1])
    return len(costs)


def test_a_search_that_still_improves_goes_on() -> None:
    used = [simulated(lambda x: 3 * float(np.mean((x - 0.37) ** 2)), 0.003, seed) for seed in range(40)]
    assert sum(n == 100 for n in used) >= 38, used


def test_a_search_on_a_plateau_ends_before_its_budget() -> None:
    used = [simulated(lambda _: 0.0, 0.01, seed) for seed in range(20)]
    assert sum(n < 100 for n in used) >= 18, used
    assert min(used) >= 50
    found_early = [simulated(lambda x: 2 * abs(float(x[0]) - 0.4), 0.05, seed) for seed in range(20)]
    assert sum(n < 100 for n in found_early) >= 15, found_early


def test_effect_is_the_gain_of_more() -> None:
    assert effect([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]) == pytest.approx(3.0)
    assert effect([1, 2, 3], [3, 2, 1]) == 0.0
    assert effect([1] * 8, list(range(8))) == 0.0
