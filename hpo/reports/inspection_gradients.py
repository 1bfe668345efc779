"""The picture of the gradient check: how far each compared weight's gradient is from its central difference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.reports.inspection import Form, drawn
from hpo.reports.pictures import CHOSEN, INK, MUTED, TRAINING, VALIDATION
from hpo.values import Array, Status

if TYPE_CHECKING:
    from hpo.training.gradient_check import LayerGradient

LEAST = 1e-13
"""Smaller errors stand at the rim: they are rounding."""
_GAP = 0.35
"""Between layers, where an array is one wide."""


def gradients_picture(
    layers: "Sequence[LayerGradient]", tolerance: float, quantile: float, title: str, form: Form = "png"
) -> bytes:
    """Relative errors of each array's coordinates, sorted, on a logarithmic scale, with the bound.

    A layer passes where so large a share (`quantile`) of its errors, its arrays taken together, is at most `tolerance`.
    """
    columns = _columns(layers)
    width = min(max(1.6 + 0.95 * len(columns), 6.4), 24.0)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        ends = [x + 1 for x, *_ in columns] or [1.0]
        highest = tolerance
        for x, layer, name, errors in columns:
            failed = layer.status is Status.FAILED
            colour = CHOSEN if failed else VALIDATION if name in ("kernel", "gamma") else TRAINING
            at = x + (np.arange(len(errors)) + 0.5) / max(len(errors), 1)
            axes.plot(at, np.maximum(errors, LEAST), "o", color=colour, ms=3.2, mec="none", alpha=0.85)
            highest = max(highest, float(np.max(errors, initial=0.0)))
        bound = f"bound {tolerance:g}: a layer passes with {quantile:.0%} of its errors below it"
        axes.axhline(tolerance, color=CHOSEN, lw=1.2, ls=(0, (3, 2)), label=bound)
        for x, *_, errors in columns:
            if not len(errors):
                axes.text(x + 0.5, tolerance / 100, "nothing\ncompared", ha="center", fontsize=8, color=MUTED)
        axes.set_yscale("log")
        axes.set_ylim(LEAST / 2, highest * 30)
        axes.set_xlim(-0.15, ends[-1] + 0.15)
        crowded = len(columns) > 10
        axes.set_xticks([x + 0.5 for x, *_ in columns], [f"{name} ({len(errors)})" for *_, name, errors in columns],
                        **({"rotation": 40, "ha": "right"} if crowded else {}))  # fmt: skip
        axes.grid(axis="x", visible=False)
        for layer, start, end in _spans(columns):
            if start:
                axes.axvline(start - _GAP / 2, color=MUTED, lw=0.6)
            told = "wrong" if layer.status is Status.FAILED else str(layer.status)
            axes.text((start + end) / 2, 0.985, f"{layer.layer}\n{told}", transform=axes.get_xaxis_transform(),
                      ha="center", va="top", fontsize=8.5, color=CHOSEN if told == "wrong" else INK)  # fmt: skip
        axes.set_xlabel("arrays of each layer, with the coordinates compared; from the smallest error to the largest")
        axes.set_ylabel("relative error")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", fontsize=8.5, labelcolor=INK)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)

    return drawn(width, 3.9, draw, form)


def _columns(layers: "Sequence[LayerGradient]") -> "list[tuple[float, LayerGradient, str, Array]]":
    """(left end, layer, name of the array, its sorted errors) of each array that was looked at."""
    found, x = [], 0.0
    for layer in layers:
        of = layer.coordinates.array
        for number, name in enumerate(layer.arrays):
            found.append((x, layer, name, np.sort(layer.errors[of == number])))
            x += 1
        x += _GAP
    return found


def _spans(columns: "Sequence[tuple[float, LayerGradient, str, Array]]") -> "list[tuple[LayerGradient, float, float]]":
    """Each layer with the left and the right end of its columns."""
    spans: dict[int, tuple[LayerGradient, float, float]] = {}
    for x, layer, *_ in columns:
        start = spans[id(layer)][1] if id(layer) in spans else x
        spans[id(layer)] = (layer, start, x + 1)
    return list(spans.values())
