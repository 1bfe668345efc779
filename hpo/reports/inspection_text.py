"""What `hpo inspect` measured, as small tables of text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.numbers import count, number
from hpo.reports.text import TextTable, cell, records
from hpo.training.inspection.rate_reading import RateReading
from hpo.training.inspection.signals import Signals

if TYPE_CHECKING:
    import pandas as pd

    from hpo.training.gradient_check import LayerGradient
    from hpo.training.inspection.sharpness import Sharpness

_RATES_SHOWN, _EPOCHS_SHOWN = 17, 12


def signals_table(found: Sequence[Signals]) -> TextTable:
    """One row an initializer and activation: deviations at the first, middle and last layer, and the reading."""
    layers = len(found[0].activations)
    shown = sorted({1, (layers + 1) // 2, layers})
    columns = (
        "initializer", "activation", *(f"layer {n}" for n in shown), f"gradient 1/{layers}", "dead", "saturated",
        "reading",
    )  # fmt: skip
    rows = tuple(
        (s.initializer, s.activation, *(_digits(s.activations[n - 1]) for n in shown),
         _digits(s.gradient_ratio), _share(s.dead[-1]), _share(s.saturated[-1]), s.reading)
        for s in found
    )  # fmt: skip
    title = "standard deviation of activations by layer, of gradients at the first layer over the last"
    return TextTable(title, columns, rows, frozenset(columns[2:-1]))


def rates_table(reading: RateReading) -> TextTable:
    """The smoothed loss at rates evenly spread over the test."""
    at = np.unique(np.linspace(0, len(reading.rates) - 1, _RATES_SHOWN).round().astype(int))
    rows = tuple(
        (number(float(reading.rates[i]), 3), number(float(reading.losses[i])), number(float(reading.smoothed[i])))
        for i in at
    )
    columns = ("learning rate", "loss", "smoothed")
    return TextTable("loss by learning rate", columns, rows, frozenset(columns))


def trial_lines(
    stage: str, trial: int, state: str, value: float | None, varied: Mapping[str, Any]
) -> tuple[str, str]:  # fmt: skip
    """What the trial is, and what the search chose for it."""
    told = "" if value is None else f", value {number(value)}"
    chosen = ", ".join(f"{name} {cell(v)}" for name, v in varied.items())
    return f"{stage}, trial {trial}: {state}{told}", f"searched: {chosen or 'nothing'}"


def curve_table(curve: "pd.DataFrame") -> TextTable:
    """The learning curve at epochs evenly spread, the first and the last among them."""
    at = np.unique(np.linspace(0, max(len(curve) - 1, 0), _EPOCHS_SHOWN).round().astype(int))
    columns = (
        "epoch", "training_loss", "validation_loss", "training_metric", "validation_metric", "learning_rate",
        "gradient_norm",
    )  # fmt: skip
    rows = tuple(tuple(cell(row[name]) for name in columns) for row in records(curve.iloc[at] if len(curve) else curve))
    return TextTable("curve", columns, rows, frozenset(columns))


def health_table(health: "pd.DataFrame") -> TextTable:
    """One row a layer and epoch looked at."""
    columns = tuple(name for name in health.columns if name not in ("stage", "trial", "run", "fold", "seed"))
    rows = tuple(tuple(cell(row[name]) for name in columns) for row in records(health))
    heads = tuple(name.replace("activation_", "").replace("_share", "") for name in columns)
    return TextTable("layers", heads, rows, frozenset(heads) - {"layer"})


def gradients_table(layers: "Sequence[LayerGradient]") -> TextTable:
    """One row a layer with weights."""
    rows = tuple(
        (layer.layer, f"{layer.weights:,}", f"{len(layer.errors)} of {layer.drawn}",
         *(number(float(f(layer.errors)), 3) if len(layer.errors) else number(None) for f in (np.median, np.max)),
         str(layer.status) if len(layer.errors) else "nothing to compare")
        for layer in layers
    )  # fmt: skip
    columns = ("layer", "weights", "compared", "median error", "worst error", "status")
    return TextTable("gradient against central differences", columns, rows, frozenset(columns[1:-1]))


def gradients_sentence(layers: "Sequence[LayerGradient]", *, passed: bool) -> str:
    """What the table comes to."""
    wrong = [layer.layer for layer in layers if layer.status == "failed"]
    compared = sum(len(layer.errors) for layer in layers)
    if wrong:
        return f"The gradient is wrong in {', '.join(wrong)}."
    if not passed:
        return "Nothing was compared: every coordinate crosses a kink."
    return f"The gradient agrees with central differences at {count(compared, 'coordinate')}."


def sharpness_lines(found: "Sharpness", again: tuple[float, float] | None = None) -> list[str]:
    """The value with how it was come by, then what it means. `again`: the training loss recorded, and trained again."""
    lines = []
    if again is not None:
        then, now = map(number, again)
        lines.append(f"Trained again with its seed: training loss {now}, recorded {then}.")
    if np.isnan(found.value):
        return [*lines, "sharpness: none, for weights or gradients are no finite numbers."]
    ended = "converged" if found.converged else f"not converged: off by up to {found.residual:.2g} of it"
    lines.append(
        f"sharpness {number(found.value)}: the largest eigenvalue of the Hessian of the unpenalised training loss at "
        f"the kept weights, in inference mode, on {count(found.rows, 'row')} of the training probe; "
        f"{count(found.products, 'product')} with the Hessian, {ended}."
    )
    if found.highest_rate is None:
        return [*lines, "The loss curves upwards nowhere: no learning rate follows from it."]
    return [
        *lines,
        f"Plain gradient descent on this loss is unstable above a learning rate of 2/sharpness, "
        f"{number(found.highest_rate, 3)} (Cohen et al. 2021). Between trials of one network, a lower sharpness is a "
        "flatter minimum, which tends to generalize better (Keskar et al. 2017).",
    ]


def _digits(value: float) -> str:
    """Three digits, with a power of ten where there are more before the point: one column may hold 1e-12 and 1e12."""
    return number(None) if np.isnan(value) else f"{value:.3g}"


def _share(value: float) -> str:
    return number(None) if np.isnan(value) else f"{value:.0%}"
