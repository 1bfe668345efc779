"""Planted importances are found."""

import math
import random

import pytest

from hpo.search import PastTrial, importances
from hpo.space import Choice, Fixed, FloatRange, Hyperparameter, Kind, SearchSpace

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


def trials(count: int, weight: float = 1.0) -> list[PastTrial]:
    draw = random.Random(count)
    out = []
    for number in range(count):
        drawn = {"optimizer": draw.choice(["sgd", "momentum"]), "learning_rate": 10 ** draw.uniform(-4, 0),
                 "idle": draw.random()}  # fmt: skip
        if drawn["optimizer"] == "momentum":
            drawn["momentum"] = draw.uniform(0.5, 0.99)
        value = weight * abs(math.log10(drawn["learning_rate"]) + 2) + 0.1 * draw.random()
        diverged = drawn["learning_rate"] > 0.5
        state = "pruned" if diverged else "complete"
        out.append(PastTrial(number, SPACE.complete(drawn), None if diverged else value, state))
    return out


def test_the_planted_one_is_found_and_shares_add_up() -> None:
    found = importances(SPACE, trials(30), "minimize", 0)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.6
    assert set(found) == {"optimizer", "learning_rate", "idle", "momentum"}
    assert sum(found.values()) == pytest.approx(1.0)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_order_direction_and_scale_do_not_matter() -> None:
    found = importances(SPACE, trials(30), "minimize", 0)
    assert importances(SPACE, trials(30)[::-1], "minimize", 0) == found
    mirrored = [PastTrial(t.number, t.configuration, None if t.value is None else -math.exp(t.value), t.state)
                for t in trials(30)]  # fmt: skip
    assert importances(SPACE, mirrored, "maximize", 0) == found


def test_too_little_to_tell_gives_nothing() -> None:
    assert importances(SPACE, trials(7), "minimize", 0) == {}
    equal = [PastTrial(t.number, t.configuration, 1.0, "complete") for t in trials(20)]
    assert importances(SPACE, equal, "minimize", 0) == {}
    running = [PastTrial(t.number, t.configuration, None, "running") for t in trials(20)]
    assert importances(SPACE, running, "minimize", 0) == {}
    fixed = SPACE.fixed_at(SPACE.default(), SPACE.names)
    assert importances(fixed, trials(20), "minimize", 0) == {}
