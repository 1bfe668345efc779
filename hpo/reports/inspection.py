"""Pictures of what `hpo inspect` measured, as PNG for a file or SVG for the report, in the style of the report's."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpo.reports.pictures import CHOSEN, INK, MUTED, STYLE, TRAINING, VALIDATION, as_svg, plain_log, whole
from hpo.training.inspection.rate_reading import RateReading
from hpo.training.inspection.signals import Signals

if TYPE_CHECKING:
    import pandas as pd

Form = Literal["png", "svg"]
"""Of a picture's bytes."""

DECADES = 4.0
"""A cell shows so many powers of ten above and below one; what lies beyond stands at the rim."""
_TINTS = {
    "keeps": "#e3f4e8", "collapses": "#e6eef8", "explodes": "#fde8dc", "saturates": "#fbf3d3", "dies": "#e9ebee",
    "alike": "#f1e7f6",
}  # fmt: skip
_PAD, _MIDDLE, _HALF = 0.1, 0.63, 0.28
"""Of a cell of one by one: blank sides, where the line of one lies from above, and how far the rims are from it."""


def signals_picture(found: Sequence[Signals], subtitle: str, form: Form = "png") -> bytes:
    """A cell for each initializer (down) and activation (across).

    In a cell, from the first layer to the last: the deviation of activations, and that of gradients relative to the
    last layer, both on a logarithmic scale about one; tinted by the reading. In a page the heading says what it is.
    """
    initializers, activations = (list(dict.fromkeys(names)) for names in (
        (s.initializer for s in found), (s.activation for s in found)))  # fmt: skip
    width, height = 1.6 + 1.12 * max(len(activations), 4), 1.75 + 0.66 * len(initializers)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for s in found:
            _cell(axes, activations.index(s.activation), initializers.index(s.initializer), s)
        axes.set_xlim(-0.02, len(activations))
        axes.set_ylim(len(initializers), 0)
        axes.set_xticks(np.arange(len(activations)) + 0.49, activations, color=INK)
        axes.set_yticks(np.arange(len(initializers)) + 0.5, initializers, color=INK)
        axes.xaxis.tick_top()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for colour, label in ((VALIDATION, "deviation of activations, from the first layer to the last"),
                              (CHOSEN, "deviation of gradients, relative to the last layer")):  # fmt: skip
            axes.plot([], [], color=colour, lw=1.8, label=label)
        axes.plot([], [], color=MUTED, lw=0.7, ls=(0, (2, 2)),
                  label=f"one; a cell reaches from 1e-{DECADES:.0f} to 1e+{DECADES:.0f}")  # fmt: skip
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", fontsize=8.5, labelcolor=INK,
                      ncols=1)  # fmt: skip
        heading = subtitle if form == "svg" else f"What the first weights do to the signal\n{subtitle}"
        figure.suptitle(heading, x=0.01, ha="left", fontsize=10.5)

    return drawn(width, height, draw, form)


def _cell(axes: Any, column: int, row: int, s: Signals) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((column, row + 0.02), 0.98, 0.96, color=_TINTS[s.reading], lw=0))
    axes.text(column + 0.06, row + 0.24, s.reading, fontsize=8, color=INK)
    middle = row + _MIDDLE
    axes.plot([column + _PAD, column + 0.98 - _PAD], [middle, middle], color=MUTED, lw=0.7, ls=(0, (2, 2)))
    x = column + np.linspace(_PAD, 0.98 - _PAD, len(s.activations))
    with np.errstate(divide="ignore", invalid="ignore"):
        lines = ((s.activations, VALIDATION), (s.gradients / s.gradients[-1], CHOSEN))
        for values, colour in lines:
            # Zero stands at the rim; what is no number (nothing over nothing) is not drawn.
            share = np.clip(np.log10(values), -DECADES, DECADES) / DECADES
            axes.plot(x, middle - share * _HALF, color=colour, lw=1.6, marker="o" if len(x) == 1 else "",
                      ms=3, solid_capstyle="round")  # fmt: skip


def rates_picture(reading: RateReading, title: str, form: Form = "png") -> bytes:
    """Loss by learning rate, with the rates that were read off and the suggested range."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        if reading.suggested is not None:
            axes.axvspan(*reading.suggested, color=_TINTS["keeps"], lw=0, label="suggested range")
        low, high = _limits(reading)
        axes.plot(reading.rates, reading.losses, ".", color=TRAINING, ms=3.5, mec="none", label="loss of a batch")
        axes.plot(reading.rates, reading.smoothed, color=VALIDATION, lw=1.8, label="smoothed")
        if reading.steepest is not None:
            axes.axvline(reading.steepest, color=CHOSEN, lw=1.1, label=f"falls fastest: {reading.steepest:.2g}")
        if reading.diverges is not None:
            dashes = (0, (3, 2))
            axes.axvline(reading.diverges, color=CHOSEN, lw=1.1, ls=dashes, label=f"diverges: {reading.diverges:.2g}")
        axes.set_xscale("log")
        axes.set_xlim(reading.rates[0], reading.rates[-1])
        if low > 0 and high / low > 30:
            axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss after a step, penalties included")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5, labelcolor=INK)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)

    return drawn(7.4, 3.6, draw, form)


def trial_picture(curve: "pd.DataFrame", health: "pd.DataFrame", title: str, form: Form = "png") -> bytes:
    """Losses by epoch, and beside them the gradient norm of each layer at the epochs looked at."""

    def draw(figure: Any) -> None:
        losses, layers = figure.subplots(1, 2)
        epochs = curve["epoch"].to_numpy(int)
        both = curve[["training_loss", "validation_loss"]].to_numpy(float, na_value=np.nan)
        for values, name, colour in zip(both.T, ("training", "validation"), (TRAINING, VALIDATION), strict=True):
            losses.plot(epochs, values, "o-" if len(epochs) == 1 else "-", color=colour, lw=1.6, label=name)
        finite = both[np.isfinite(both)]
        if len(finite) and finite.min() > 0 and finite.max() / finite.min() > 20:
            losses.set_yscale("log")
            plain_log(losses.yaxis, fine=finite.max() / finite.min() < 1e3)
        whole(losses.xaxis)
        losses.set_xlabel("epoch")
        losses.set_ylabel("loss")
        looked = sorted(health["epoch"].unique())
        for epoch, colour in zip(looked, (MUTED, VALIDATION, CHOSEN), strict=False):
            part = health[health["epoch"] == epoch]
            norms = part["gradient_norm"].to_numpy(float, na_value=np.nan)
            label = "first weights" if epoch == 0 else f"epoch {epoch}"
            layers.plot(np.arange(len(part)), norms, "o-", color=colour, lw=1.4, label=label)
            turned = {"rotation": 30, "ha": "right"} if len(part) > 5 else {}
            layers.set_xticks(np.arange(len(part)), list(part["layer"]), **turned)
        if looked:
            layers.set_yscale("log", nonpositive="mask")
            layers.set_ylabel("gradient norm of the kernel")
        else:
            layers.set_axis_off()
            layers.text(0.5, 0.5, "its layers were not looked at", transform=layers.transAxes, ha="center", color=MUTED)
        for axes in (losses, layers):
            if axes.lines:
                # Above the lines, not among them.
                axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8.5, labelcolor=INK,
                            borderaxespad=0.2, handlelength=1.4, columnspacing=1.2)  # fmt: skip
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)

    return drawn(8.4, 3.6, draw, form)


def _limits(reading: RateReading) -> tuple[float, float]:
    """Of the losses shown: what explodes at the end would leave the fall before it no room."""
    finite = reading.losses[np.isfinite(reading.losses)]
    if not len(finite):
        return 0.0, 1.0
    start = float(np.median(finite[: max(len(finite) // 20, 3)]))
    lowest = float(min(finite.min(), reading.smoothed.min()))
    high = max(1.6 * start - 0.6 * lowest, float(np.quantile(finite[: len(finite) // 2 + 1], 0.98)))
    room = 0.05 * (high - lowest) or 1.0
    return (lowest - room if lowest < room else lowest * 0.9), high + room


def drawn(width: float, height: float, draw: Callable[[Any], None], form: Form) -> bytes:
    """What `draw` puts on a figure of so many inches; the same input gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=160 if form == "png" else 72)
        (FigureCanvasAgg if form == "png" else FigureCanvasSVG)(figure)
        draw(figure)
        if form == "svg":
            return as_svg(figure).encode()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None}, facecolor="white")
        return buffer.getvalue()
