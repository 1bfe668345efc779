"""Spaces in Optuna's terms."""

import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, json_to_distribution

from hpo.search.distributions import Terms, distribution, distributions, inside
from hpo.search.stock import Memory
from hpo.space import Choice, Fixed, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

SPACE = SearchSpace(
    "mlp",
    (
        Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(1e-5, 0.3, log=True), 1e-3),
        Hyperparameter("units", "any", Kind.NUMBER, IntRange(8, 512, log=True), 64),
        Hyperparameter("batch", "any", Kind.NUMBER, Choice((32, 64)), 32),
        Hyperparameter("place", "any", Kind.NUMBER, Choice(("none", "before")), "none"),
        Hyperparameter("bias", "any", Kind.NUMBER, Choice((True, False)), True),
        Hyperparameter("stated", "any", Kind.NUMBER, Fixed(1.0), 1.0),
    ),
)


def test_each_range_has_its_distribution() -> None:
    assert distributions(SPACE) == {
        "rate": FloatDistribution(1e-5, 0.3, log=True),
        "units": IntDistribution(8, 512, log=True),
        "batch": CategoricalDistribution((32, 64)),
        "place": CategoricalDistribution(("none", "before")),
        "bias": CategoricalDistribution((True, False)),
    }
    with pytest.raises(ValueError, match="fixed value"):
        distribution(Fixed(1.0))


def test_params_and_values_are_inverse_and_typed() -> None:
    configuration = {"rate": 0.1, "units": 8.0, "batch": 64.0, "place": "before", "bias": False, "stated": 1.0}
    params = Terms(SPACE).params_of(configuration)  # a database may give whole numbers back as floats
    assert [p.internal for p in params] == [0.1, 8.0, 1.0, 1.0, 1.0]
    assert [json_to_distribution(p.distribution) for p in params] == list(distributions(SPACE).values())
    values = Terms(SPACE).values_of(params)
    assert values == {"rate": 0.1, "units": 8, "batch": 64, "place": "before", "bias": False}
    assert [type(v) for v in values.values()] == [float, int, int, str, bool]


def test_every_value_outside_is_named() -> None:
    with pytest.raises(ValueError, match=r"rate = 1\.0, place = 'after'"):
        Terms(SPACE).params_of(SPACE.default() | {"rate": 1.0, "place": "after"})


def test_rounding_cannot_leave_the_range() -> None:
    range_ = FloatDistribution(1e-5, 0.3, log=True)
    below = math.nextafter(1e-5, 0)
    assert inside(range_, below) == 1e-5
    assert inside(range_, math.nextafter(0.3, 1)) == 0.3
    assert inside(range_, 0.1) == 0.1
    assert inside(CategoricalDistribution((1, 2)), 1.0) == 1.0
    study = optuna.create_study(storage=(memory := Memory()), study_name="s", sampler=optuna.samplers.RandomSampler(0))
    study.ask()
    memory.set_trial_param(0, "rate", below, range_)
    assert memory.get_trial(0).params == {"rate": 1e-5}
