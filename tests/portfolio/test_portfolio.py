"""Bundled configurations: few, valid, and moved into whatever space a stage has."""

import pytest

from hpo.portfolio import bundled, starts
from hpo.space import Choice, Fixed, FloatRange, IntRange
from hpo.studyfile.spacefile import load_space

NAMES = {"hidden_layers", "units", "activation", "optimizer", "learning_rate", "batch_size", "l2"}
SPACE = load_space("mlp")


def test_at_most_eight_are_bundled_and_all_name_the_same():
    assert 1 <= len(bundled()) <= 8
    assert all(set(c) == NAMES for c in bundled())


def test_all_lie_in_the_bundled_space_and_differ():
    found = starts(SPACE)
    assert all(SPACE.holds(c) and set(c) == set(SPACE.names) for c in found)
    assert len({tuple(SPACE.active_varying(c).items()) for c in found}) == len(found) > 1


def test_values_are_moved_to_the_nearest_end_or_choice_and_the_rest_stays_at_its_default():
    space = load_space({"model": "mlp", "architecture": {"units": {"int": [8, 20]}}, "optimizer": {
        "batch_size": {"choice": [3, 5000]}}})  # fmt: skip
    for configuration, learned in zip(starts(space), bundled(), strict=False):
        assert configuration["units"] == 20
        assert configuration["batch_size"] == 3
        assert configuration["learning_rate"] == space.default()["learning_rate"] != learned["learning_rate"]
    assert len(starts(space)) == 1


def test_what_the_space_fixes_stays():
    space = SPACE.with_range("learning_rate", Fixed(0.5)).with_range("l2", Fixed(0.0))
    assert {(c["learning_rate"], c["l2"]) for c in starts(space)} == {(0.5, 0.0)}


def test_rates_learned_under_adam_are_not_moved_to_another_optimizer():
    space = SPACE.with_range("optimizer", Choice(("nesterov", "rmsprop")))
    assert {c["learning_rate"] for c in starts(space)} == {space.default()["learning_rate"]}
    kept = SPACE.with_range("optimizer", Choice(("nesterov", "adam"))).with_range(
        "learning_rate", FloatRange(1e-8, 1.0)
    )
    assert {c["learning_rate"] for c in starts(kept)} == {c["learning_rate"] for c in bundled()}


def test_none_where_nothing_varies_that_was_learned():
    space = SPACE
    for name in NAMES:
        space = space.with_range(name, Fixed(space[name].default))
    assert starts(space) == ()
    assert starts(load_space("cnn")) == ()


@pytest.mark.parametrize("range_", [IntRange(1, 3), Choice((1, 2)), Choice(("two", 2)), FloatRange(0.5, 2.5)])
def test_any_kind_of_range_takes_them(range_):
    space = SPACE.with_range("hidden_layers", range_)
    assert all(space.holds(c) for c in starts(space))
