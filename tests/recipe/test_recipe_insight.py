"""What a stage taught is told in plain words, and only what surely hardly matters is fixed."""

import json
from typing import Any

import pytest

from hpo.recipe.edges import Edge
from hpo.recipe.insight import (
    ENOUGH,
    Explained,
    Insight,
    Interaction,
    Share,
    insight,
    insight_figures,
    insight_to_plain,
    settled,
)
from hpo.space import Choice, Fixed, FloatRange, Hyperparameter, Kind, SearchSpace

RATE = Share("learning_rate", 0.62, 0.48, 0.71, 0.7, 0.76)
UNITS = Share("units", 0.2, 0.11, 0.29, 0.3, 0.4)
IDLE = Share("dropout", 0.02, 0.0, 0.04, 0.03, 0.06)
PAIR = Interaction(("units", "learning_rate"), 0.11, 0.06, 0.16)
CHOSEN = {"learning_rate": 0.01, "units": 64, "dropout": 0.1, "l2": 1e-4}
SPACE = SearchSpace(
    "mlp",
    (
        Hyperparameter("learning_rate", "optimizer", Kind.NUMBER, FloatRange(1e-4, 1.0, True), 1e-3),
        Hyperparameter("dropout", "regularization", Kind.NUMBER, FloatRange(0.2, 0.5), 0.2),
        Hyperparameter("l2", "regularization", Kind.NUMBER, FloatRange(0.0, 0.1), 0.0),
        Hyperparameter("l1", "regularization", Kind.NUMBER, Fixed(0.0), 0.0),
        Hyperparameter("loss", "loss", Kind.STRUCTURE, Choice(("match", "focal")), "match"),
    ),
)


def of(*shares: Share, pairs: tuple[Interaction, ...] = (), trials: int = ENOUGH, **more: Any) -> Insight:
    settings = {"chosen": CHOSEN, "fixes": True} | more
    return insight(Explained(shares, pairs, trials), **settings)  # type: ignore[arg-type]


def test_the_sentence_says_what_matters_what_interacts_and_what_is_fixed() -> None:
    found = of(RATE, UNITS, IDLE, pairs=(PAIR,))
    assert found.sentence == (
        "learning_rate matters most (62 %, 48 to 71), then units (20 %, 11 to 29); units and learning_rate interact "
        "(11 %, 6 to 16); dropout hardly matters (2 %, at most 6 with its interactions): fixed next at 0.1."
    )
    assert found.fix == {"dropout": 0.1}


def test_most_is_said_of_one_only_where_the_next_is_surely_less() -> None:
    near = Share("units", 0.5, 0.3, 0.6, 0.6, 0.7)
    assert of(RATE, near).sentence == "learning_rate (62 %, 48 to 71) and units (50 %, 30 to 60) matter most."
    assert of(Share("l2", 0.04, 0.0, 0.3, 0.1, 0.3)).sentence == "No hyperparameter stands out."
    assert of().sentence == ""


def test_several_that_hardly_matter_are_told_together() -> None:
    found = of(RATE, Share("l2", 0.01, 0.0, 0.02, 0.02, 0.03), IDLE)
    assert found.sentence.endswith("l2 and dropout hardly matter (1 and 2 %, at most 6 with their interactions): "
                                   "fixed next at 0.0001 and 0.1.")  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [{"trials": ENOUGH - 1}, {"fixes": False}, {"chosen": None}],
    ids=["too few trials", "another objective", "nothing chosen"],
)
def test_nothing_is_fixed_without_confidence(more: dict[str, Any]) -> None:
    found = of(RATE, IDLE, **more)
    assert found.fix == {}
    assert "dropout hardly matters (2 %, at most 6 with its interactions)." in found.sentence


def test_the_learning_rate_and_what_may_matter_stay_free() -> None:
    idle_rate = Share("learning_rate", 0.01, 0.0, 0.02, 0.02, 0.03)
    doubtful = Share("l2", 0.02, 0.0, 0.2, 0.1, 0.25)
    assert of(UNITS, idle_rate, doubtful).fix == {}


def test_interactions_that_may_be_chance_are_not_told() -> None:
    assert "interact" not in of(RATE, pairs=(Interaction(("a", "b"), 0.11, 0.01, 0.2),)).sentence
    assert "interact" not in of(RATE, pairs=(Interaction(("a", "b"), 0.04, 0.03, 0.05),)).sentence
    assert "interact" not in of(RATE, pairs=(PAIR,), trials=ENOUGH - 1).sentence


def test_edges_that_were_reached_and_not_widened_are_told() -> None:
    edge = Edge("units", "high", 4, 4, FloatRange(1, 64), FloatRange(1, 256))
    found = of(RATE, edges=(edge,))
    assert found.edges == ("the high end of units (64)",)
    assert found.sentence.endswith(
        "The best trials crowd the high end of units (64): a wider range may hold better ones."
    )


def test_an_insight_becomes_json_and_figures() -> None:
    found = of(RATE, IDLE, pairs=(PAIR,))
    plain = json.loads(json.dumps(insight_to_plain(found)))
    assert plain["interactions"][0] == {"names": ["units", "learning_rate"], "share": 0.11, "low": 0.06, "high": 0.16}
    assert plain["fix"] == {"dropout": 0.1}
    assert insight_figures(found) == {"sensitivity_learning_rate": 0.62, "sensitivity_dropout": 0.02}


def test_the_next_space_holds_what_was_fixed_inside_its_range() -> None:
    fix = {"dropout": 0.1, "l1": 0.5, "unknown": 1.0, "loss": "focal"}
    held = settled(SPACE, {"insight": {"fix": fix}})
    assert held["dropout"].range == Fixed(0.2)  # no nearer value is in the range
    assert held["loss"].range == Fixed("focal")
    assert [h.name for h in held.varying] == ["learning_rate", "l2"]
    assert held["l1"].range == Fixed(0.0)  # the user's own
    assert settled(SPACE, {}) == SPACE
