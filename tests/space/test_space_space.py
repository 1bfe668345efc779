"""Laws of a search space: conditions, completion, structure, order, and the way through JSON."""

import itertools
import json

import pytest

from hpo.space import (
    Choice,
    Fixed,
    FloatRange,
    Hyperparameter,
    IntRange,
    Kind,
    SearchSpace,
    bound,
    contains,
    known,
    order_by_conditions,
    space_from_plain,
    space_to_plain,
)
from hpo.space.catalogue import CNN, MLP, MODELS


def h(name, range_, default, *when, kind=Kind.NUMBER):
    return Hyperparameter(name, "optimizer", kind, range_, default, when)


SPACE = SearchSpace(
    "mlp",
    (
        h("optimizer", Choice(("adam", "momentum")), "adam"),
        h("momentum", FloatRange(0.5, 0.99), 0.9, ("optimizer", ("momentum",))),
        h("fine", IntRange(1, 9), 5, ("momentum", (0.9,))),
        h("units", IntRange(16, 256, log=True), 64, kind=Kind.STRUCTURE),
        h("layers", Fixed(2), 2, kind=Kind.STRUCTURE),
        h("low", FloatRange(0.1, 0.2), 0.0),
    ),
    frozenset({"layers"}),
)


def test_an_inactive_condition_silences_those_that_rest_on_it():
    assert SPACE.active("fine", {"optimizer": "momentum", "momentum": 0.9})
    assert not SPACE.active("fine", {"optimizer": "adam", "momentum": 0.9})
    assert not SPACE.active("fine", {"optimizer": "momentum", "momentum": 0.8})
    assert not SPACE.active("fine", {})


def test_complete_fills_in_and_fixed_values_win():
    found = SPACE.complete({"units": 32, "layers": 7})
    assert found == {"optimizer": "adam", "momentum": 0.9, "fine": 5, "units": 32, "layers": 2, "low": 0.0}
    assert SPACE.complete(found) == found


def test_active_varying_is_what_a_search_chose():
    adam = SPACE.complete({"optimizer": "adam"})
    assert set(SPACE.active_varying(adam)) == {"optimizer", "units", "low"}
    momentum = SPACE.complete({"optimizer": "momentum"})
    assert set(SPACE.active_varying(momentum)) == {"optimizer", "momentum", "fine", "units", "low"}


def test_holds_looks_at_active_values_only():
    good = SPACE.default()
    assert SPACE.holds(good)
    assert SPACE.holds({**good, "momentum": 7.0})
    assert not SPACE.holds({**good, "optimizer": "momentum", "momentum": 7.0})
    assert not SPACE.holds({**good, "layers": 3})


def test_the_default_lies_inside():
    assert SPACE.default()["low"] == pytest.approx(0.15)
    assert SPACE.default()["units"] == 64


def test_structure_is_decided_by_structural_values_alone():
    a, b = SPACE.complete({"units": 32}), SPACE.complete({"units": 32, "optimizer": "momentum", "momentum": 0.6})
    assert SPACE.structure(a) == SPACE.structure(b) == {"units": 32, "layers": 2}


def test_changed_spaces_leave_the_old_one_alone():
    fixed = SPACE.fixed_at({"units": 128, "optimizer": "adam"}, ["units"])
    assert fixed["units"].range == Fixed(128)
    assert SPACE["units"].varies
    assert SPACE.with_range("units", IntRange(1, 2))["units"].range == IntRange(1, 2)
    assert fixed.unstated == SPACE.unstated
    with pytest.raises(KeyError):
        SPACE["unit"]


def test_order_is_right_for_every_order_given():
    members = SPACE.hyperparameters[:4]
    for given in itertools.permutations(members):
        names = [x.name for x in order_by_conditions(given)]
        assert names.index("optimizer") < names.index("momentum") < names.index("fine")
    assert order_by_conditions(members) == members, "a good order is kept"


def test_only_the_members_of_a_circle_are_named():
    ring = [
        h("free", Fixed(1), 1),
        h("outside", Fixed(1), 1, ("a", (1,))),
        h("a", Fixed(1), 1, ("b", (1,))),
        h("b", Fixed(1), 1, ("free", (1,)), ("a", (1,))),
    ]
    with pytest.raises(ValueError, match=r"^(a -> b -> a|b -> a -> b)$"):
        order_by_conditions(ring)
    with pytest.raises(ValueError, match="b -> nowhere, which is unknown"):
        order_by_conditions([h("b", Fixed(1), 1, ("nowhere", (1,)))])


def test_a_space_comes_back_from_json():
    assert space_from_plain(json.loads(json.dumps(space_to_plain(SPACE)))) == SPACE


@pytest.mark.parametrize("model", [*MODELS, "nets:build"])
def test_the_catalogue_is_sound(model):
    catalogue = known(model)
    for entry in catalogue.values():
        assert contains(entry.domain, entry.default), entry.name
        if not isinstance(entry.domain, Choice) and entry.domain.log:
            assert entry.domain.low > 0, entry.name
        for on, values in entry.when:
            assert all(contains(catalogue[on].domain, v) for v in values), entry.name
    assert len(catalogue) == len(MODELS.get(model, catalogue))
    assert {"optimizer", "schedule"} <= set(catalogue)


def test_a_name_means_the_same_in_both_models():
    dense = {k.name: k for k in MLP}
    assert all(dense[k.name] is k for k in CNN if k.name in dense)


def test_bounds_come_from_the_catalogue():
    assert bound(SPACE, "learning_rate", "high") == 1e4
    assert bound(SPACE, "units", "low") == 1
    assert bound(SPACE, "optimizer", "high") is None
    assert bound(SPACE, "fine", "high") is None
