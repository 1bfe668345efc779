"""Laws of the remedies, over every diagnosis, spaces wide and narrow, and rounds of them in any order."""

from itertools import product
from random import Random
from typing import Any

import pytest

from hpo.recipe.diagnosis import NAMES
from hpo.recipe.remedies import COURSES, LONGER, ROUNDS, Change, Remedy, remedy
from hpo.space import SearchSpace
from hpo.space.catalogue import known
from hpo.space.ranges import Fixed, contains
from hpo.studyfile import load_space
from hpo.values import Diagnosis

AILING = tuple(sorted(set(NAMES) - {"healthy", "label or data fault suspected"}))
FULL: dict[str, Any] = {
    "model": "mlp",
    "architecture": {
        "hidden_layers": {"int": [1, 8], "default": 4}, "units": {"int": [4, 512], "log": True, "default": 32},
        "activation": {"choice": ["tanh", "sigmoid", "relu", "leaky_relu"]},
        "initializer": {"choice": ["normal_1.0", "constant", "match", "he_normal"]},
        "batch_normalization": {"choice": ["none", "before"]},
    },
    "optimizer": {
        "name": {"choice": ["sgd", "adam"]}, "learning_rate": {"float": [1e-6, 10.0], "log": True, "default": 1e-2},
        "batch_size": {"int": [16, 256], "log": True}, "clip_norm": {"float": [0.0, 5.0], "default": 0.0},
    },
    "regularization": {
        "l2": {"float": [0.0, 1.0], "default": 0.0}, "dropout": {"float": [0.0, 0.8], "default": 0.0},
        "early_stopping": {"int": [0, 20], "default": 0},
    },
}  # fmt: skip
NARROW: dict[str, Any] = {
    "model": "mlp",
    "architecture": {"hidden_layers": 2, "units": {"int": [30, 40]}, "activation": {"choice": ["tanh", "sigmoid"]}},
    "optimizer": {"name": "sgd", "learning_rate": {"float": [1e-3, 1e-1], "log": True}},
    "regularization": {"dropout": {"float": [0.0, 0.1]}, "l2": 0.5},
}
FIXED: dict[str, Any] = {
    "model": "mlp",
    "architecture": {
        "hidden_layers": 4, "units": 32, "activation": "tanh", "initializer": "normal_1.0",
        "batch_normalization": "none",
    },
    "optimizer": {"name": "sgd", "learning_rate": 1e-2, "clip_norm": 0.0, "batch_size": 32},
    "regularization": {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "early_stopping": 0},
    "schedule": {"warmup_epochs": {"float": [0.0, 5.0]}},
}  # fmt: skip
SPACES = {"full": load_space(FULL), "narrow": load_space(NARROW), "fixed": load_space(FIXED)}


def ill(name: str, **evidence: float) -> Diagnosis:
    return Diagnosis(name, "", {"epochs": 20.0, "training_loss": 1.0, "prior": 2.0, **evidence})


def rounds(space: SearchSpace, names: list[str]) -> list[tuple[dict[str, Any], Remedy]]:
    """The configuration before each round, and what the round changes."""
    configuration, tried, seen = space.default(), (), []
    for name in names:
        found = remedy(ill(name), configuration, space, tried)
        seen.append((configuration, found))
        configuration, tried = found.applied_to(configuration), (*tried, *found.changes)
    return seen


def journeys(space: SearchSpace) -> list[list[tuple[dict[str, Any], Remedy]]]:
    """Diagnoses in many orders: each one again and again, and two hundred by chance."""
    chance = Random(3)
    orders = [[name] * 6 for name in AILING] + [chance.choices(AILING, k=8) for _ in range(200)]
    return [rounds(space, order) for order in orders]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_change_lies_in_the_range_and_is_never_of_what_the_user_fixed(space: SearchSpace) -> None:
    domains = known("mlp")
    for configuration, found in (step for journey in journeys(space) for step in journey):
        for change in found.changes:
            range_ = space[change.name].range
            assert not isinstance(range_, Fixed) or change.name in space.unstated
            assert contains(domains[change.name].domain if isinstance(range_, Fixed) else range_, change.new)
            assert change.old == configuration[change.name] != change.new
        assert all(isinstance(space[c.name].range, Fixed) and c.name not in space.unstated for c in found.complaints)
        assert len({c.name for c in found.changes}) == len(found.changes)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_no_value_comes_back_and_none_beyond_it(space: SearchSpace) -> None:
    for journey in journeys(space):
        held: dict[str, list[Any]] = {}
        for _, found in journey:
            for change in found.changes:
                before = held.setdefault(change.name, [change.old])
                assert change.new not in before
                if not isinstance(change.new, str):
                    low, high = sorted((change.old, change.new))
                    assert not any(low < value < high for value in before)
                before.append(change.new)


@pytest.mark.parametrize("name", AILING)
def test_every_ailment_has_a_remedy_in_a_full_space(name: str) -> None:
    found = remedy(ill(name), SPACES["full"].default() | {"initializer": "normal_1.0"}, SPACES["full"])
    assert found.changes
    assert not found.complaints
    assert all(change.why for change in found.changes)


@pytest.mark.parametrize("name", AILING)
def test_what_is_fixed_is_told_and_not_changed(name: str) -> None:
    space = SPACES["fixed"]
    found = remedy(ill(name), space.default(), space)
    assert {c.name for c in found.changes} <= space.unstated
    assert found.complaints


def test_nothing_is_changed_where_nothing_ails_or_no_hyperparameter_helps() -> None:
    space = SPACES["full"]
    assert remedy(ill("healthy"), space.default(), space) == Remedy()
    found = remedy(ill("label or data fault suspected"), space.default(), space)
    assert not found.changes
    assert "labels" in found.told
    assert set(COURSES) == set(AILING)


def only(found: Remedy, name: str) -> Change:
    return next(change for change in found.changes if change.name == name)


def test_the_way_back_is_half_of_it() -> None:
    space = SPACES["full"]
    start = space.default() | {"learning_rate": 1e-3, "optimizer": "adam"}
    up = only(remedy(ill("too slow"), start, space), "learning_rate")
    assert up.new == pytest.approx(1e-2)
    back = remedy(ill("oscillating"), start | {"learning_rate": up.new}, space, [up])
    assert only(back, "learning_rate").new == pytest.approx(10**-2.5)


@pytest.mark.parametrize(("rate", "expected"), [(1e-1, 1e-2), (5.0, 3e-2), (1e-3, 1e-4)])
def test_a_rate_is_a_tenth_and_never_far_above_what_is_customary(rate: float, expected: float) -> None:
    space = SPACES["full"]
    found = remedy(ill("diverged"), space.default() | {"learning_rate": rate, "optimizer": "sgd"}, space)
    assert only(found, "learning_rate").new == pytest.approx(expected)
    assert only(found, "clip_norm").new == 1.0


def test_longer_training_only_where_the_caller_allows_it() -> None:
    space = SPACES["full"]
    for name, longer in product(AILING, (1.0, 1.5, 100.0)):
        found = remedy(ill(name), space.default(), space, longer=longer)
        assert found.epochs == (min(longer, LONGER) if name == "still improving" else 1.0)


def test_a_penalty_that_shrinks_the_weights_is_weakened_before_anything_grows() -> None:
    space = SPACES["full"]
    strong = space.default() | {"l2": 1.0, "dropout": 0.8}
    found = remedy(ill("underfit", weights_left=0.01), strong, space)
    assert {c.name for c in found.changes} == {"l2", "dropout"}
    assert all(float(c.new) < float(c.old) for c in found.changes)
    assert only(remedy(ill("underfit"), space.default(), space), "units").new == 128
    assert only(remedy(ill("underfit", training_loss=9.0), space.default(), space), "learning_rate").new < 1e-2


def test_well_chosen_first_weights_are_kept() -> None:
    space = SPACES["full"]
    for first in ("match", "he_normal"):
        found = remedy(ill("saturated"), space.default() | {"initializer": first}, space)
        assert {c.name for c in found.changes} == {"learning_rate"}


@pytest.mark.parametrize("name", ["overfit", "underfit"])
def test_a_deep_network_loses_layers_before_it_gets_units(name: str) -> None:
    space = SPACES["full"]
    found = remedy(ill(name), space.default() | {"hidden_layers": 8}, space)
    assert only(found, "hidden_layers").new == 4
    shallow = remedy(ill(name), space.default(), space)
    assert "hidden_layers" not in {change.name for change in shallow.changes}


def test_a_choice_that_was_left_is_not_made_again() -> None:
    space = SPACES["full"]
    start = space.default() | {"activation": "sigmoid", "initializer": "match"}
    found = remedy(ill("vanishing gradient"), start, space, [Change("activation", "relu", "sigmoid", "")])
    assert only(found, "activation").new == "leaky_relu"


def test_the_rounds_end() -> None:
    for name in AILING:
        seen = rounds(SPACES["full"], [name] * 60)
        assert not seen[-1][1].changes
    assert ROUNDS == 4
