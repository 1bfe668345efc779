"""What a tool's process is asked and what it answers."""

import argparse
import importlib.metadata
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FIT = {
    "tuned": "tf.data, steps_per_execution = the epoch's steps, validation in one batch",
    "default": "arrays, Keras's defaults",
}
"""How peers call `model.fit`: see `network`."""


@dataclass(frozen=True)
class Outcome:
    """What the trials of a case took with one tool."""

    trials: int
    seconds: float
    """End to end, imports and reading of the data apart."""
    scores: Sequence[float]
    """Validation accuracy of each trial at its end."""
    epochs: int
    """Trained by all trials together."""
    settings: str
    figures: Mapping[str, float | None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every tool has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--case", required=True)
    options.add_argument("--trials", type=int, required=True)
    options.add_argument("--folder", type=Path, required=True, help="an empty one, for the tool's own results")
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--fit", choices=["tuned", "default"], default="tuned")
    return options


def versions(*packages: str) -> dict[str, str]:
    """Of installed packages."""
    return {name: importlib.metadata.version(name) for name in packages}


def write(outcome: Outcome, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(asdict(outcome)))


def read(path: Path) -> Outcome:
    """The inverse of `write`."""
    plain: dict[str, Any] = json.loads(path.read_text())
    return Outcome(**plain)


def median(scores: Sequence[float]) -> float:
    """NaN where nothing was trained."""
    return statistics.median(scores) if scores else float("nan")
