"""Pictures: SVG that parses, shows what it is given, and is the same each time."""

import logging
import math
import warnings
import xml.etree.ElementTree as ET

import pytest

from hpo.reports.pictures import Bar, Curves, Points, comparison, loss_curves, searched


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def curves(*validation: float, kept: int | None = None) -> Curves:
    epochs = tuple(range(1, len(validation) + 1))
    return Curves((epochs,), (tuple(v / 2 for v in validation),), (validation,), kept)


def test_loss_curves_name_both_losses_and_the_kept_epoch() -> None:
    shown = texts(loss_curves(curves(1.0, 0.7, 0.6, 0.65, kept=3)))
    assert {"training", "validation", "kept", "epoch"} <= set(shown)
    assert "kept" not in texts(loss_curves(curves(1.0, 0.7)))


def test_wide_losses_are_drawn_on_a_log_axis_with_plain_labels() -> None:
    assert "0.1" in texts(loss_curves(curves(2.0, 0.2, 0.02)))


@pytest.mark.parametrize("values", [(0.5,), (1.0, math.nan, math.nan), (math.nan,), (), (1.0, 0.0)])
def test_curves_of_any_shape_are_drawn_without_a_warning(values: tuple[float, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss_curves(curves(*values)).startswith("<svg")


def test_comparison_shows_every_model_in_order() -> None:
    bars = [Bar("final model", 0.98, 0.96, 0.99, True), Bar("linear", 0.95, 0.93, 0.97, False)]
    shown = texts(comparison(bars, "accuracy"))
    assert [t for t in shown if t in ("final model", "linear")] == ["final model", "linear"]
    assert "accuracy on the test rows" in shown


def test_searched_values_of_every_kind() -> None:
    objective = (0.9, 0.8, 0.85, 0.7)
    log = texts(searched(Points("rate", (1e-4, 1e-3, 1e-2, 1e-1), objective, log=True), "accuracy"))
    assert {"0.001", "0.01", "rate", "accuracy"} <= set(log)
    choice = texts(searched(Points("kind", ("adam", "sgd", "adam", True), objective, chosen=1, best=0), "accuracy"))
    assert [t for t in choice if t in ("True", "adam", "sgd")] == ["True", "adam", "sgd"]
    whole = texts(searched(Points("layers", (1, 2, 1, 2), objective, whole=True), "accuracy"))
    assert {"1", "2"} <= set(whole)
    assert "1.5" not in whole
    narrow = texts(searched(Points("rate", (0.002, 0.003, 0.004, 0.005), objective, log=True), "accuracy"))
    assert {"0.002", "0.003", "0.005"} <= set(narrow)


def test_the_same_input_gives_the_same_picture_and_no_font_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert loss_curves(curves(1.0, 0.5, kept=1)) == loss_curves(curves(1.0, 0.5, kept=1))
    assert not [r for r in caplog.records if "findfont" in r.message]
    assert "Helvetica" in loss_curves(curves(1.0, 0.5))
