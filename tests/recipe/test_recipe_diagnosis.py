"""Each name is given to the curve it is meant for, at several strengths."""

import numpy as np
import pytest

from hpo.recipe.diagnosis import NAMES, Scale, diagnose, has_gap, still_improving
from hpo.values import Curve, LayerHealth

SCALE = Scale(noise=0.05, prior=2.3, reference=0.3)


def curve(validation: np.ndarray, training: np.ndarray | None = None) -> Curve:
    n = len(validation)
    flat = np.full(n, 1e-3)
    return Curve(validation if training is None else training, validation, flat, flat, flat, flat)


def falling(to: float, epochs: int = 15, pace: float = 0.5) -> np.ndarray:
    """A loss that has settled at `to`."""
    return to + 2.0 * np.exp(-pace * np.arange(epochs))


@pytest.mark.parametrize(
    ("training", "validation", "expected"),
    [(0.01, 0.5, "overfit"), (0.2, 1.0, "overfit"), (0.35, 1.3, "overfit"), (1.2, 1.22, "underfit"),
     (0.6, 0.55, "underfit"), (0.1, 0.12, "healthy"), (0.25, 0.3, "healthy"), (0.2, 0.35, "healthy"),
     (0.5, 0.38, "healthy")],
)  # fmt: skip
def test_settled_curves(training: float, validation: float, expected: str) -> None:
    found = diagnose(
        curve(falling(validation)), diverged=False, training_loss=training, validation_loss=validation, scale=SCALE
    )
    assert found.name == expected
    assert found.name in NAMES
    assert found.evidence["gap"] == pytest.approx(validation - training)
    assert f"{training:.3g}" in found.sentence


def test_worse_than_the_prior_is_no_question_of_capacity() -> None:
    found = diagnose(curve(falling(5.0)), diverged=False, training_loss=5.0, validation_loss=5.0, scale=SCALE)
    assert found.name == "underfit"
    assert "look at the learning rate" in found.sentence


@pytest.mark.parametrize("pace", [0.03, 0.06, 0.1])
def test_a_loss_cut_off_on_its_way_down_is_still_improving(pace: float) -> None:
    losses = 2.3 * np.exp(-pace * np.arange(15))
    found = diagnose(curve(losses), diverged=False, training_loss=losses[-1], validation_loss=losses[-1], scale=SCALE)
    assert found.name == "still improving"


def test_a_settled_loss_is_not_still_improving() -> None:
    assert not still_improving(curve(falling(0.3)))
    assert not still_improving(curve(np.r_[falling(0.3, 10), np.linspace(0.3, 0.5, 5)]))
    assert not still_improving(curve(np.array([1.0, 0.5])))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_has_diverged(value: float) -> None:
    found = diagnose(
        curve(np.array([1.0, value])), diverged=False, training_loss=value, validation_loss=value, scale=SCALE
    )
    assert found.name == "diverged"
    assert "epoch 2" in found.sentence


def test_a_gap_counts_only_beyond_the_noise() -> None:
    assert not has_gap(0.1, 0.1 + 0.09, SCALE)
    assert has_gap(0.1, 0.1 + 0.11, SCALE)
    assert not has_gap(0.5, 0.3, SCALE)


def layer(number: int, epoch: int = 3, **values: float) -> LayerHealth:
    plain = {
        "weight_norm": 1.0, "update_ratio": 0.01, "gradient_norm": 1.0, "activation_mean": 0.0,
        "activation_deviation": 1.0, "dead_share": 0.0, "saturated_share": 0.0, "alike_share": 0.0,
    }  # fmt: skip
    return LayerHealth(epoch, f"hidden {number}", **{**plain, **values})


POOR = np.array([2.3, 2.25, 2.29, 2.27, 2.28, 2.27])
AILMENTS = {
    "exploding gradient, all alike": [layer(1, 0, gradient_norm=1e6), layer(2, 0, gradient_norm=1e6), layer(1)],
    "symmetric": [layer(1, 0, alike_share=1.0), layer(1, alike_share=1.0)],
    "dead units": [layer(1), layer(2, dead_share=0.8)],
    "saturated": [layer(1, saturated_share=0.9)],
    "underfit": [layer(1, 0, weight_norm=10.0), layer(1, weight_norm=1.0)],
    "too slow": [layer(1, 1, update_ratio=1e-5), layer(1)],
    "vanishing gradient": [layer(1, 0, gradient_norm=1e-6), layer(2, 0, gradient_norm=1.0), layer(1)],
    "exploding gradient": [layer(1, 0, gradient_norm=1e6), layer(2, 0, gradient_norm=1.0), layer(1)],
}


@pytest.mark.parametrize("name", AILMENTS)
def test_what_ails_a_layer_is_named_where_the_network_is_poor_alone(name: str) -> None:
    health = AILMENTS[name]
    sick = diagnose(curve(POOR), health, diverged=False, training_loss=2.27, validation_loss=2.27, scale=SCALE)
    assert sick.name == name.partition(",")[0]
    assert sick.sentence.endswith(".")
    well = diagnose(curve(falling(0.05)), health, diverged=False, training_loss=0.05, validation_loss=0.06, scale=SCALE)
    assert well.name == ("symmetric" if name == "symmetric" else "healthy")  # however well one unit a layer does


def test_a_divergence_that_the_first_weights_foretold_is_an_exploding_gradient() -> None:
    losses = np.array([np.nan])
    for health, name in ((AILMENTS["exploding gradient"], "exploding gradient"), ([], "diverged")):
        found = diagnose(
            curve(losses), health, diverged=True, training_loss=np.nan, validation_loss=np.nan, scale=SCALE
        )
        assert found.name == name


def test_a_loss_that_goes_up_and_down_oscillates_and_one_that_creeps_is_too_slow() -> None:
    for losses, name in (
        (np.array([2.3, 1.9, 2.5, 1.8, 2.6, 1.9, 2.7]), "oscillating"), (np.linspace(2.3, 2.29, 12), "too slow"),
        (np.array([0.9, 0.1, 0.4, 0.1, 0.5, 0.1]), "oscillating"), (np.array([0.9, 0.01, 0.05, 0.02, 0.06]), "healthy"),
    ):  # fmt: skip
        last = float(losses[-1])
        found = diagnose(curve(losses), diverged=False, training_loss=last, validation_loss=last, scale=SCALE)
        assert found.name == name


def test_a_validation_loss_that_has_turned_up_is_overfit_unless_the_best_weights_were_kept() -> None:
    turned = np.r_[falling(0.15, 10), np.linspace(0.15, 0.45, 10)]
    for kept, name in ((0.45, "overfit"), (0.15, "healthy")):
        found = diagnose(curve(turned), diverged=False, training_loss=0.02, validation_loss=kept, scale=SCALE)
        assert found.name == name
        assert found.evidence["rise"] == pytest.approx(kept - 0.15, abs=0.02)
    assert has_gap(0.02, 0.15, SCALE)  # nearly every good training has one, so a gap alone is no fault


@pytest.mark.parametrize("kept", [2.2, 2.5, 9.0])
@pytest.mark.parametrize("learned", [0.0, 1.0, 2.25])
def test_rows_that_nobody_can_learn_from_are_suspected(kept: float, learned: float) -> None:
    """Whatever was learned of the training rows; but not where a baseline, or one epoch, beat the prior."""
    rows = curve(np.linspace(2.5, kept, 9), falling(learned, 9))
    hopeless = Scale(noise=0.06, prior=2.3, reference=2.29)
    found = diagnose(rows, diverged=False, training_loss=learned, validation_loss=kept, scale=hopeless)
    assert found.name == "label or data fault suspected"
    assert "labels" in found.sentence
    assert ("Nothing was learned" in found.sentence) == (learned > 2)
    for scale, low in ((SCALE, 2.5), (hopeless, 1.5)):
        rows = curve(np.r_[low, np.linspace(2.5, kept, 9)], falling(learned, 10))
        found = diagnose(rows, diverged=False, training_loss=learned, validation_loss=kept, scale=scale)
        assert found.name != "label or data fault suspected"


@pytest.mark.parametrize("epochs", [3, 5])
def test_few_epochs_that_all_lowered_the_loss_of_a_poor_network_are_too_few(epochs: int) -> None:
    losses = 1.5 + 0.5 * 0.6 ** np.arange(epochs)
    last = float(losses[-1])
    found = diagnose(curve(losses), diverged=False, training_loss=last, validation_loss=last, scale=SCALE)
    assert found.name == "still improving"
    settled = curve(1.5 + 0.5 * 0.6 ** np.arange(60))
    found = diagnose(settled, diverged=False, training_loss=1.5, validation_loss=1.5, scale=SCALE)
    assert found.name == "underfit"
