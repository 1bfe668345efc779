"""Pictures of a study as SVG texts, drawn on matplotlib's SVG canvas: no window, no pyplot.

Small on purpose (a phone's width), so that text stays readable where the page is narrow.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
TRAINING = "#9aa5b1"
VALIDATION = "#2563a8"
CHOSEN = "#c2571a"

FONTS = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"

STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "hpo",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Curves:
    """The losses of one trial by epoch; several runs (folds) each."""

    epochs: tuple[tuple[int, ...], ...]
    training: tuple[tuple[float, ...], ...]
    validation: tuple[tuple[float, ...], ...]
    kept: int | None = None
    """The epoch whose weights are kept, where it is not the last."""


@dataclass(frozen=True)
class Bar:
    """One model's score on the test rows."""

    name: str
    value: float
    low: float
    high: float
    ours: bool


@dataclass(frozen=True)
class Points:
    """The values of one hyperparameter in a stage's trials against the objective."""

    name: str
    values: tuple[Any, ...]
    objective: tuple[float, ...]
    chosen: int | None = None
    """Position of the chosen trial."""
    best: int | None = None
    log: bool = False
    whole: bool = False
    """Whole numbers only."""


def loss_curves(curves: Curves) -> str:
    """Training and validation loss over the epochs, one pair of lines a run."""
    with _figure(2.9, 1.85) as (figure, axes):
        finite = [v for runs in (curves.training, curves.validation) for run in runs for v in run if math.isfinite(v)]
        width = 1.6 if len(curves.epochs) == 1 else 0.9
        for i, epochs in enumerate(curves.epochs):
            named = i == 0
            label = ("training", "validation") if named else (None, None)
            axes.plot(epochs, curves.training[i], color=TRAINING, lw=width, label=label[0])
            axes.plot(epochs, curves.validation[i], color=VALIDATION, lw=width, label=label[1])
            if len(epochs) == 1:
                axes.plot(epochs, curves.training[i], "o", color=TRAINING, ms=4)
                axes.plot(epochs, curves.validation[i], "o", color=VALIDATION, ms=4)
        if finite and min(finite) > 0 and max(finite) / min(finite) > 20:
            axes.set_yscale("log")
            plain_log(axes.yaxis)
        if curves.kept is not None:
            axes.axvline(curves.kept, color=CHOSEN, lw=1, ls=(0, (3, 2)), label="kept")
        axes.set_xlabel("epoch")
        whole(axes.xaxis)
        axes.legend(loc="best", fontsize=8, handlelength=1.4, labelcolor=MUTED)
        return as_svg(figure)


def comparison(bars: Sequence[Bar], metric: str) -> str:
    """The models' test scores as points with their intervals, in the order given, top to bottom."""
    with _figure(3.8, 0.6 + 0.36 * max(len(bars), 1)) as (figure, axes):
        for row, bar in enumerate(bars):
            colour = CHOSEN if bar.ours else VALIDATION
            axes.plot([bar.low, bar.high], [row, row], color=colour, lw=2.2, solid_capstyle="round")
            axes.plot([bar.value], [row], "o", color=colour, ms=6.5, mec="white", mew=1)
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        for tick, bar in zip(axes.get_yticklabels(), bars, strict=True):
            tick.set_color(CHOSEN if bar.ours else INK)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{metric} on the test rows")
        return as_svg(figure)


def searched(points: Points, objective: str, *, log_objective: bool = False) -> str:
    """One hyperparameter's values against the objective; the best trial is ringed, the chosen one filled."""
    with _figure(2.6, 1.9) as (figure, axes):
        positions, names = _positions(points.values)
        axes.plot(positions, points.objective, "o", color=VALIDATION, alpha=0.45, ms=4.5, mec="none")
        if points.best is not None:
            axes.plot(positions[points.best], points.objective[points.best], "o", mfc="none", mec=CHOSEN, mew=1.4, ms=9)
        if points.chosen is not None:
            axes.plot(positions[points.chosen], points.objective[points.chosen], "o", color=CHOSEN, ms=6)
        if names:
            turned = {} if _fits(names) else {"rotation": 30, "ha": "right"}
            axes.set_xticks(range(len(names)), names, **turned)
            axes.set_xlim(-0.6, len(names) - 0.4)
        elif points.log:
            axes.set_xscale("log")
            _few_log(axes.xaxis, positions)
        elif points.whole:
            whole(axes.xaxis)
        else:
            axes.locator_params(axis="x", nbins=5)
        if log_objective:
            axes.set_yscale("log")
            plain_log(axes.yaxis)
        axes.set_xlabel(points.name)
        axes.set_ylabel(objective, fontsize=8)
        return as_svg(figure)


class _figure:  # noqa: N801 (used as a function)
    """A figure of so many inches in our style, which applies while it is drawn and saved, and to nobody else's."""

    def __init__(self, width: float, height: float) -> None:
        self.size = (width, height)

    def __enter__(self) -> tuple[Any, Any]:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self._context = mpl.rc_context(STYLE)
        self._context.__enter__()
        figure = Figure(figsize=self.size, layout="constrained")
        FigureCanvasSVG(figure)
        return figure, figure.add_subplot()

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


def as_svg(figure: Any) -> str:
    """The figure as an SVG text whose fonts are the reader's own."""
    buffer = io.StringIO()
    # No date: the same study gives the same picture, byte for byte.
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    # Laid out in the font that matplotlib brings along, shown in the reader's own, which is narrower: nothing is cut.
    text = buffer.getvalue().replace("'DejaVu Sans'", FONTS)
    return text[text.index("<svg") :]


def _positions(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Numbers as they are; anything else spread over its distinct values, whose names come second."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return [float(v) for v in values], []
    names = sorted({str(v) for v in values})
    seen: dict[str, int] = {}
    spread = []
    for value in values:
        name = str(value)
        # Trials of equal value stand side by side, by a fixed pattern instead of chance.
        nth = seen[name] = seen.get(name, -1) + 1
        spread.append(names.index(name) + ((nth * 0.618) % 1 - 0.5) * 0.4)
    return spread, names


def _fits(names: Sequence[str]) -> bool:
    return sum(len(name) + 1 for name in names) <= 28


def whole(axis: Any) -> None:
    """Few labels, at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def plain_log(axis: Any, *, fine: bool = False) -> None:
    """Few labels, written as 0.01 and not as a power; `fine`: within a decade too."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12) if fine else LogLocator(numticks=4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _few_log(axis: Any, values: Sequence[float]) -> None:
    """On a log axis within one decade powers of ten alone would leave no label."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = min(values), max(values)
    plain_log(axis)
    if low > 0 and high / low < 30:
        axis.set_major_locator(FixedLocator(sorted({float(f"{v:.1g}") for v in (low, math.sqrt(low * high), high)})))
        axis.set_minor_locator(NullLocator())
