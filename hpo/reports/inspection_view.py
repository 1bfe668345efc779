"""What the report shows of `hpo inspect`: the chosen trial, the first weights, and pictures that were kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.numbers import MISSING, count, number, present
from hpo.reports.frames import Results
from hpo.reports.inspection import signals_picture, trial_picture
from hpo.reports.stage_view import Picture, Row, picture
from hpo.reports.text import records
from hpo.space import Choice, IntRange, SearchSpace
from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS, MLP
from hpo.training.inspection.signals import drawable, signals

if TYPE_CHECKING:
    import pandas as pd

KEPT = {"lr": "The learning-rate range test", "gradients": "The gradient against central differences"}
"""What `hpo inspect` keeps pictures of, by the subcommand's name."""

_ROWS = 256
_MOST_WIDTH, _MOST_LAYERS = 512, 20
_PRODUCTS = 2.5e10
"""Multiplications that the first weights may take, forwards: about two seconds of two cores."""


@dataclass(frozen=True)
class Look:
    """A picture with its heading, or the command that gives it."""

    title: str
    told: str
    """Under the heading; names in backticks are code."""
    picture: Picture | None = None


@dataclass(frozen=True)
class Chosen:
    """The trial that the last searching stage chose."""

    stage: str
    number: int
    diagnosis: str
    sentence: str
    told: str
    picture: Picture


def kind_of(name: str) -> str:
    """What the records call the kept picture of a subcommand among a study's artifacts."""
    return f"inspect-{name}"


def worst_run(results: Results, study: str, stage: str, number: int) -> "tuple[int, pd.DataFrame, pd.DataFrame]":
    """(key, curve, health of layers) of the trial's run with the worst validation loss: its diagnosis was read there.

    The trial must have a run.
    """

    def of_trial(frame: "pd.DataFrame") -> "pd.DataFrame":
        part: pd.DataFrame = frame[(frame["stage"] == stage) & (frame["trial"] == number)]
        return part

    runs = of_trial(results.runs(study))
    run = runs.sort_values("validation_loss", na_position="last").iloc[-1]["run"]
    curve, health = (of_trial(frame) for frame in (results.curves(study), results.layer_health(study)))
    return int(run), curve[curve["run"] == run], health[health["run"] == run]


def chosen_trial(
    results: Results, study: str, stages: Sequence[Row], trials: Mapping[str, Sequence[Row]]
) -> Chosen | None:
    """Of the last searching stage that chose one; None before, and where it has no runs of its own (carried over)."""
    for stage in reversed(stages):
        if not present(stage["optuna_study"]) or not present(stage["chosen_trial"]):
            continue
        label, n = str(stage["stage"]), int(stage["chosen_trial"])
        row = next((t for t in trials.get(label, []) if t["number"] == n and t["runs"] > 0), None)
        if row is None:
            continue
        _, curve, health = worst_run(results, study, label, n)
        told = "Losses by epoch"
        if not health.empty:
            told += ", and each layer's gradient norm at the epochs looked at"
        if row["runs"] > 1:
            told += f"; of its {count(int(row['runs']), 'training')}, the one with the worst validation loss"
        drawn = trial_picture(curve, health, "", "svg").decode()
        return Chosen(
            label, n, diagnosis=_text(row["diagnosis"]), sentence=_text(row["diagnosis_sentence"]),
            told=f"{told}. More, with its sharpness: `hpo inspect trial {study} {n} --stage {label}`.",
            picture=picture(drawn, f"Losses and layers of trial {n} of stage {label}"),
        )  # fmt: skip
    return None


def _text(value: Any) -> str:
    return str(value) if present(value) else ""


def first_weights(spaces: Mapping[str, SearchSpace], configuration: Mapping[str, Any], seed: int) -> Look:
    """Every initializer with the activations of the space, through the deepest network that it allows.

    `spaces`: by stage, in order; `configuration`: the chosen one, else empty. Where that is too much work, with the
    configuration's depth and activation. Deterministic; loads no framework.
    """
    title = "What the first weights do to the signal"
    space = next((s for s in spaces.values() if s.varying), None)
    if space is None or space.model != "mlp":
        why = "Nothing was searched yet" if space is None else f"It is drawn for dense networks, not for {space.model}"
        return Look(title, f"{why}: `hpo inspect init` shows any depth and width.")
    defaults = {k.name: k.default for k in MLP}
    fixed = {**defaults, **space.default(), **{k: v for k, v in configuration.items() if present(v)}}
    width, layers = min(int(fixed["units"]), _MOST_WIDTH), min(int(fixed["hidden_layers"]), _MOST_LAYERS)
    activations, deepest = [str(fixed["activation"])], layers
    for h in space.varying:
        if h.name == "activation" and isinstance(h.range, Choice):
            activations = [a for a in ACTIVATIONS if a in h.range.values]
        if h.name == "hidden_layers" and isinstance(h.range, IntRange):
            deepest = min(max(h.range.high, layers), _MOST_LAYERS)
    initializers = [name for name in INITIALIZERS if drawable(name)]
    whose = "the deepest network and the activations of the search space"
    if len(initializers) * len(activations) * deepest * width**2 * _ROWS > _PRODUCTS:
        activations, deepest, whose = [str(fixed["activation"])], layers, "the chosen configuration"
    found = signals(initializers, activations, layers=deepest, width=width, rows=_ROWS, seed=seed)
    told = f"{count(deepest, 'layer')} of {width} units, {_ROWS} rows of standard normal numbers, no normalization"
    svg = signals_picture(found, told, "svg").decode()
    initializer = fixed["initializer"]
    chosen = f"The chosen trial began with `{initializer}` and `{fixed['activation']}`. " if configuration else ""
    return Look(
        title, f"Every initializer, with {whose}. {chosen}The numbers: `hpo inspect init --layers {deepest} --width "
        f"{width} --rows {_ROWS} --seed {seed}`.",
        picture(svg, "Deviation of activations and gradients from layer to layer, by initializer and activation"),
    )  # fmt: skip


def kept_looks(study: str, kept: Mapping[str, bytes]) -> tuple[Look, ...]:
    """The kept pictures by subcommand, as SVG; for what is not there, which command gives it."""
    return tuple(
        Look(title, f"Kept by `hpo inspect {name} {study}`.", picture(kept[name].decode(), title)) if name in kept
        else Look(title, f"Not looked at yet: `hpo inspect {name} {study}`, with the `--storage` of this report, "
                  "draws it and keeps it for here.")
        for name, title in KEPT.items()
    )  # fmt: skip


def looks(results: Results, study: Row, chosen: Chosen | None, kept: Mapping[str, bytes]) -> tuple[Look, ...]:
    """First weights, learning rates, gradients."""
    name = str(study["study"])
    configuration: dict[str, Any] = {}
    if chosen is not None:
        configuration = {
            p["name"]: p["value"]
            for p in records(results.params(name))
            if p["stage"] == chosen.stage and p["trial"] == chosen.number
        }
    seed = int(study["seed"]) if number(study["seed"]) != MISSING else 0
    return first_weights(results.spaces(name), configuration, seed), *kept_looks(name, kept)
