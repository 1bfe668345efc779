"""Pictures and sentences of `hpo inspect`: both forms, the same each time, of layers that pass, fail or say nothing."""

import struct
import time
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from hpo.reports.inspection import Form, trial_picture
from hpo.reports.inspection_gradients import gradients_picture
from hpo.reports.inspection_text import sharpness_lines
from hpo.reports.inspection_view import first_weights, kept_looks
from hpo.space import Choice, Fixed, Hyperparameter, IntRange, Kind, SearchSpace
from hpo.space.catalogue import ACTIVATIONS
from hpo.training.gradient_check import Coordinates, LayerGradient
from hpo.training.inspection.sharpness import Sharpness

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter(f"{SVG}text")]


def layer(name: str, errors: list[float], arrays: tuple[str, ...] = ("kernel", "bias")) -> LayerGradient:
    """A layer whose coordinates alternate between its arrays and have these relative errors."""
    e = np.array(errors)
    of = np.arange(len(e)) % len(arrays)
    return LayerGradient(name, 100, 96, arrays, Coordinates(of, np.arange(len(e)), 1 + e, 1 - e))


def drawn(*layers: LayerGradient, form: Form = "svg") -> bytes:
    return gradients_picture(layers, 1e-5, 0.9, "title", form)


def test_relative_errors_are_those_of_the_coordinates() -> None:
    assert layer("a", [1e-3, 0.5]).errors == pytest.approx([1e-3, 0.5])


def test_gradients_name_layers_arrays_bound_and_what_failed() -> None:
    shown = texts(drawn(layer("dense", [1e-9] * 20), layer("output", [1e-2] * 7), layer("lost", [])))
    assert {"dense", "passed", "output", "wrong", "lost", "warning", "nothing", "title"} <= set(shown)
    assert {"kernel (10)", "bias (10)", "kernel (4)", "bias (3)", "kernel (0)"} <= set(shown)
    assert "bound 1e-05: a layer passes with 90% of its errors below it" in shown


@pytest.mark.parametrize("count", [1, 30])
def test_gradients_of_any_number_of_layers_are_drawn_the_same_each_time(count: int) -> None:
    layers = [layer(f"dense_{n}", [0.0, 1e-9, 1e-7], ("kernel", "bias", "gamma")) for n in range(count)]
    assert drawn(*layers) == drawn(*layers)
    png = drawn(*layers, form="png")
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24])[0] > 800
    assert drawn() != b""


def curve(*losses: float) -> pd.DataFrame:
    numbers = np.array(losses, float)
    return pd.DataFrame({
        "epoch": range(1, len(losses) + 1),
        "training_loss": pd.array(numbers / 2, "Float64"), "validation_loss": pd.array(numbers, "Float64"),
    })  # fmt: skip


def health(layers: int) -> pd.DataFrame:
    rows = [(e, f"hidden {n}", 0.1 * (n + 1) / (e + 1)) for e in (0, 1, 9) for n in range(layers)]
    return pd.DataFrame(rows, columns=["epoch", "layer", "gradient_norm"])


def test_a_trial_s_curve_and_layers_are_drawn() -> None:
    shown = texts(trial_picture(curve(2.0, 0.2, 0.05), health(3), "a trial", "svg"))
    assert {"a trial", "training", "validation", "first weights", "epoch 1", "epoch 9", "hidden 2"} <= set(shown)
    assert {"0.1", "0.5"} <= set(shown)


@pytest.mark.parametrize("losses", [(), (0.5,), (float("nan"), float("nan")), (1.0, 0.0)])
def test_a_trial_without_layers_or_losses_is_drawn(losses: tuple[float, ...]) -> None:
    shown = texts(trial_picture(curve(*losses), health(0), "", "svg"))
    assert "its layers were not looked at" in shown


def searched(**ranges: object) -> SearchSpace:
    values: dict[str, object] = {
        "hidden_layers": Fixed(2), "units": Fixed(64), "activation": Fixed("relu"), "initializer": Fixed("match"),
        **ranges,
    }  # fmt: skip
    defaults = {"hidden_layers": 2, "units": 64, "activation": "relu", "initializer": "match"}
    return SearchSpace("mlp", tuple(
        Hyperparameter(name, "architecture", Kind.STRUCTURE, r, defaults[name]) for name, r in values.items()
    ))  # type: ignore[arg-type]  # fmt: skip


def test_first_weights_go_through_the_deepest_network_of_the_space() -> None:
    space = searched(hidden_layers=IntRange(1, 4), activation=Choice(("tanh", "relu")))
    look = first_weights({"baseline": searched(), "overfit": space}, {"hidden_layers": 2, "units": 30}, 7)
    assert "--layers 4 --width 30 --rows 256 --seed 7" in look.told
    assert "The chosen trial began with `match` and `relu`." in look.told
    assert look.picture is not None


def test_first_weights_of_a_large_space_are_those_of_the_chosen_configuration_and_take_little_time() -> None:
    space = searched(hidden_layers=IntRange(1, 50), activation=Choice(ACTIVATIONS), units=IntRange(16, 4096))
    began = time.monotonic()
    look = first_weights({"overfit": space}, {"hidden_layers": 4, "units": 2048, "activation": "tanh"}, 0)
    assert "--layers 4 --width 512" in look.told
    assert "the chosen configuration" in look.told
    assert time.monotonic() - began < 20, "two seconds on a machine that does nothing else"


def test_first_weights_of_other_models_are_not_drawn() -> None:
    cnn = SearchSpace("cnn", (Hyperparameter("blocks", "architecture", Kind.STRUCTURE, IntRange(1, 3), 2),))
    look = first_weights({"overfit": cnn}, {}, 0)
    assert look.picture is None
    assert "hpo inspect init" in look.told


def test_kept_pictures_or_their_commands() -> None:
    lr, gradients = kept_looks("digits", {"gradients": b"<svg/>"})
    assert lr.picture is None
    assert "`hpo inspect lr digits`" in lr.told
    assert gradients.picture is not None


def test_sharpness_in_words() -> None:
    converged = Sharpness(4.0, True, 5e-4, 12, 359, 100)
    told = " ".join(sharpness_lines(converged))
    for part in ("sharpness 4:", "359 rows", "12 products with the Hessian, converged.", "0.5 (Cohen et al. 2021)"):
        assert part in told
    assert "not converged: off by up to 0.25 of it" in sharpness_lines(Sharpness(4.0, False, 0.25, 200, 9, 1))[0]
    assert sharpness_lines(converged, (0.123456, 0.2))[0].endswith("training loss 0.2, recorded 0.1235.")
    assert "no finite numbers" in sharpness_lines(Sharpness(float("nan"), False, float("nan"), 1, 9, 1))[-1]
    assert "no learning rate follows" in sharpness_lines(Sharpness(0.0, True, 0.0, 1, 9, 1))[-1]
