"""Tables of finished trainings as curves: a configuration takes those of the nearest one that its table has."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from replay import Direction

from hpo.seeds import derive
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, Range, SearchSpace
from hpo.values import Configuration, Scalar

DIRECTORY = (
    Path(os.environ.get("HPO_BENCHMARK_DIR", Path(__file__).parents[3] / "shared" / "benchmarks")) / "hpo_tables"
)
STRUCTURAL = ("batch_size", "depth", "width", "n_units_1", "n_units_2")


class Laddered(SearchSpace):
    """Widths and batch sizes count by the next power of two, as padded ones do."""

    def structure(self, configuration: Configuration) -> dict[str, Scalar]:
        return {
            h.name: 2 ** math.ceil(math.log2(float(configuration[h.name])))
            if isinstance(h.range, IntRange) and h.range.log
            else configuration[h.name]
            for h in self.hyperparameters
            if h.kind is Kind.STRUCTURE
        }


def hyperparameter(name: str, range_: Range) -> Hyperparameter:
    default = range_.values[0] if isinstance(range_, Choice) else range_.low  # type: ignore[union-attr]
    return Hyperparameter(name, "any", Kind.STRUCTURE if name in STRUCTURAL else Kind.NUMBER, range_, default)


class Table:
    """`best` and `median` are of the mean results of all its configurations."""

    direction: Direction
    space: SearchSpace
    epochs: int
    """That it shows."""
    trained_for: int
    """That these stand for."""
    best: float
    median: float

    def curve(self, seed: int) -> "Any":
        """The curve callable of one replay."""
        raise NotImplementedError

    def regret(self, value: float, configuration: Configuration | None) -> float:
        """Of an incumbent, in units of (best known - median random); 1 before there is any."""
        raise NotImplementedError


class Grid(Table):
    """hpobench and hpolib: every combination of a few values, final results alone: one epoch.

    It stands for a training of 50, so that a compilation costs 0.4 of one.
    """

    epochs, trained_for = 1, 50

    def __init__(self, name: str) -> None:
        facts = json.loads((DIRECTORY / "spaces.json").read_text())[name]
        self.axes: dict[str, list[Any]] = facts["space"]
        self.direction = facts["direction"]
        self.values = np.load(DIRECTORY / f"{name}.npz")["values"].astype(float)
        self.mean = self.values.mean(axis=-1)
        sign = 1 if self.direction == "minimize" else -1
        self.best, self.median = float(sign * (sign * self.mean).min()), float(np.median(self.mean))
        self.space = Laddered("a:table", tuple(hyperparameter(k, self._range(k, v)) for k, v in self.axes.items()))

    @staticmethod
    def _range(name: str, values: list[Any]) -> Range:
        if isinstance(values[0], str):
            return Choice(tuple(values))
        if name in STRUCTURAL:
            return IntRange(values[0], values[-1], log=values[-1] > 10)
        return FloatRange(float(values[0]), float(values[-1]), log=values[0] > 0)

    def at(self, configuration: Configuration) -> tuple[int, ...]:
        found = []
        for h in self.space.hyperparameters:
            values, value = self.axes[h.name], configuration[h.name]
            if isinstance(h.range, Choice):
                found.append(values.index(value))
            else:
                scale = np.log if h.range.log else np.asarray  # type: ignore[union-attr]
                found.append(int(np.argmin(np.abs(scale(np.array(values, dtype=float)) - scale(float(value))))))
        return tuple(found)

    def curve(self, seed: int) -> Any:
        seen: dict[tuple[int, ...], int] = {}

        def curve(configuration: Configuration) -> Sequence[float]:
            at = self.at(configuration)
            again = seen[at] = seen.get(at, -1) + 1
            repetition = derive(seed, str(at), again) % self.values.shape[-1]
            return [float(self.values[at][repetition])]

        return curve

    def regret(self, value: float, configuration: Configuration | None) -> float:
        if configuration is None:
            return 1.0
        return (float(self.mean[self.at(configuration)]) - self.best) / (self.median - self.best)


class Points(Table):
    """taskset: a thousand configurations with the validation loss at 51 steps, some diverging.

    In one replay each is given once: a search that comes back to a place gets the nearest one that it has not had, as
    it would get another training and not a copy.
    """

    direction = "minimize"
    FLIPPED = ("beta1", "beta2")
    """Drawn as one minus a logarithmic number: searched so, or nearly all of the range would be one place."""

    def __init__(self, name: str) -> None:
        file = np.load(DIRECTORY / f"{name}.npz")
        names = json.loads((DIRECTORY / "taskset.json").read_text())["hp_names"]
        points = np.where([n in self.FLIPPED for n in names], 1 - file["hp"], file["hp"])
        self.losses = file["valid"].astype(float)
        self.epochs = self.trained_for = self.losses.shape[1]
        low, high = points.min(axis=0), points.max(axis=0)
        self.space = SearchSpace(
            "a:table",
            tuple(
                hyperparameter(f"one_minus_{n}" if n in self.FLIPPED else n, FloatRange(float(a), float(b), log=True))
                for n, a, b in zip(names, low, high, strict=True)
            ),
        )
        self._low, self._span = np.log(low), np.log(high) - np.log(low)
        self.points = (np.log(points) - self._low) / self._span
        ended = self.losses[:, -1][np.isfinite(self.losses[:, -1])]
        self.best, self.median = float(ended.min()), float(np.median(ended))

    def curve(self, seed: int) -> Any:
        left = np.ones(len(self.points), bool)

        def curve(configuration: Configuration) -> Sequence[float]:
            here = (np.log([float(configuration[n]) for n in self.space.names]) - self._low) / self._span
            distances = ((self.points - here) ** 2).sum(axis=1)
            at = int(np.argmin(np.where(left | ~left.any(), distances, np.inf)))
            left[at] = False
            return self.losses[at].tolist()

        return curve

    def regret(self, value: float, configuration: Configuration | None) -> float:
        """Of the loss that was reached, at whatever step."""
        return 1.0 if configuration is None else (value - self.best) / (self.median - self.best)


def tables(family: str) -> dict[str, Table]:
    """By name: `hpobench`, `hpolib` or `taskset`."""
    kind: Any = Points if family == "taskset" else Grid
    return {path.stem: kind(path.stem) for path in sorted(DIRECTORY.glob(f"{family}_*.npz"))}
