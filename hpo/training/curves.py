"""What both engines do alike: the order of rows, a run's learning curve, what is kept of it, and when it has ended."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from hpo.seeds import derive
from hpo.values import Array, Curve, LayerHealth, Outcome, read_only

COLUMNS = (
    "training_loss", "validation_loss", "training_metric", "validation_metric", "learning_rate", "gradient_norm",
)  # fmt: skip

Scores = tuple[float, float, float, float]
"""Training loss, validation loss, training metric, validation metric."""


@dataclass
class Tape:
    """One row an epoch, and the epoch whose weights are kept: the best one under early stopping, else the last."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[Array] | None = None
    """Set under early stopping alone: else the weights that the run ends with are the ones to keep."""
    kept_predictions: Array | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    health: list[LayerHealth] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: tuple[float, ...], predictions: Array, patience: int) -> bool:
        """Write an epoch down; whether its weights are to be kept as `best_weights`."""
        self.rows.append(row)
        diverged = self.diverged
        better = self.best_epoch == 0 or row[1] < self.rows[self.best_epoch - 1][1] or not patience
        if better:
            self.best_epoch, self.kept_predictions = len(self.rows), predictions
        return bool(patience) and better and not diverged

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's losses are no numbers."""
        return bool(self.rows) and not (np.isfinite(self.rows[-1][0]) and np.isfinite(self.rows[-1][1]))

    @property
    def kept_scores(self) -> Scores:
        """Of the kept epoch; NaN before the first."""
        a, b, c, d = self.rows[self.best_epoch - 1][:4] if self.best_epoch else (np.nan,) * 4
        return a, b, c, d

    @property
    def latest(self) -> tuple[int, Scores]:
        """Epochs so far, and the scores after the last; NaN before the first."""
        a, b, c, d = self.rows[-1][:4] if self.rows else (np.nan,) * 4
        return len(self.rows), (a, b, c, d)

    def curve(self) -> Curve:
        """The learning curve so far."""
        columns = np.array(self.rows, np.float64).reshape(-1, len(COLUMNS)).T
        return Curve(*read_only([np.ascontiguousarray(c) for c in columns]))

    def plain(self) -> dict[str, Any]:
        """Arrays and plain values, for a snapshot."""
        return {
            "curve": np.array(self.rows, np.float64).reshape(-1, len(COLUMNS)), "best_epoch": self.best_epoch,
            "best_weights": None if self.best_weights is None else [w.copy() for w in self.best_weights],
            "kept_predictions": None if self.kept_predictions is None else self.kept_predictions.copy(),
            "outcome": None if self.outcome is None else self.outcome.value, "seconds": self.seconds,
            "health": [astuple(row) for row in self.health],
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Tape":
        """The inverse of `plain`."""
        outcome = plain["outcome"]
        return cls(
            [tuple(map(float, row)) for row in plain["curve"]], plain["best_epoch"], plain["best_weights"],
            plain["kept_predictions"], None if outcome is None else Outcome(outcome), plain["seconds"],
            [LayerHealth(*row) for row in plain["health"]],
        )  # fmt: skip


def ended(tape: Tape, patience: int, epochs: int) -> Outcome | None:
    """How a run has ended with its last epoch; None while it goes on."""
    if tape.diverged:
        return Outcome.DIVERGED
    if patience and len(tape) - tape.best_epoch >= patience:
        return Outcome.STOPPED
    return Outcome.DONE if len(tape) >= epochs else None


def row_order(seed: int, epoch: int, rows: int) -> Array:
    """The permutation of the training rows in an epoch, the same in both engines."""
    return np.random.default_rng(derive(seed, "rows", epoch)).permutation(rows)
