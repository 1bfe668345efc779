"""The values that cross layers: frozen, typed, free of any framework.

Arrays inside them are read-only by convention of the project: who needs to write makes a copy.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Scalar = bool | int | float | str
"""What a hyperparameter can be: TOML's scalars."""

Configuration = Mapping[str, Scalar]
"""The values of all hyperparameters of a trial, by name; read-only."""

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[Any]


class Task(StrEnum):
    """What is to be learned."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def classifies(self) -> bool:
        return self is not Task.REGRESSION


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    """All its epochs were trained."""
    STOPPED = "stopped"
    """Early stopping ended it."""
    DROPPED = "dropped"
    """It gave up its slot at a rung."""
    DIVERGED = "diverged"
    """A loss became NaN or infinite."""


@dataclass(frozen=True)
class Check:
    """One test of the data or of the training skeleton."""

    name: str
    status: Status
    expected: str
    seen: str
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """What a learning curve and the layers say about a trial."""

    name: str
    """See `hpo.recipe.diagnosis`: `healthy`, `overfit`, `dead units`, ..."""
    sentence: str
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The decision that a stage ends in, with the numbers it rests on."""

    decision: str
    """For programs: `go on`, `widen`, `more capacity`, `stop`, and `done` at the end."""
    sentence: str
    """The decision and its evidence in words, for people."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """The numbers it rests on, by name."""
    hands_on: Mapping[str, Any] = field(default_factory=dict)
    """What the next stage builds on; plain JSON."""


@dataclass(frozen=True)
class TaskFacts:
    """What a network must take in and put out."""

    task: Task
    input_shape: tuple[int, ...]
    """Of one row after encoding: `(features,)` or `(height, width, channels)`."""
    classes: tuple[str, ...]
    """The labels in the order of the outputs; empty for regression."""

    @property
    def outputs(self) -> int:
        """One logit a class, two for a binary task too; one number for regression."""
        return len(self.classes) if self.task.classifies else 1


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the data as training sees it: encoded, imputed, scaled.

    x_train, x_valid: float32, (rows, *input_shape). y_train, y_valid: int32 class numbers (rows,), or float32
    targets standardised by the training rows' mean and deviation (rows,).
    """

    x_train: Array
    y_train: Array
    x_valid: Array
    y_valid: Array
    prior: Array
    """Class frequencies in the training rows, (classes,); for regression the mean target, (1,): zero."""
    offset: FloatArray
    scale: FloatArray
    """The scaling that was applied: x = (encoded - offset) * scale, broadcast over `input_shape`."""
    target_offset: float = 0.0
    target_scale: float = 1.0
    """Regression: target in its own unit = y * target_scale + target_offset."""


@dataclass(frozen=True)
class RunRequest:
    """One training to do: a configuration at one fold and one seed."""

    configuration: Configuration
    seed: int
    fold: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Curve:
    """The learning curve of a run: one entry an epoch in each column, float64, in epoch order from 1.

    Losses are unpenalised, in inference mode, at the end of the epoch: `training_loss` on the training probe,
    `validation_loss` on the validation rows. Metrics are in the metric's own unit.
    """

    training_loss: Array
    validation_loss: Array
    training_metric: Array
    validation_metric: Array
    learning_rate: Array
    """The rate of the epoch's last step."""
    gradient_norm: Array
    """Of the gradient that training followed, penalties included, over all trainable weights: root mean square over the
    epoch's steps of its Euclidean norm."""

    def __len__(self) -> int:
        return len(self.training_loss)


@dataclass(frozen=True)
class LayerHealth:
    """How a layer fares after an epoch, on a few rows of the training probe."""

    epoch: int
    """0: with the first weights."""
    layer: str
    """`hidden 1`, `hidden 2`, ..., `output`; in a custom model Keras's name, the last one `output`."""
    weight_norm: float
    """Euclidean, of the kernel."""
    update_ratio: float
    """How far the kernel moved in that epoch, as a share of its norm before; NaN where that was not seen."""
    gradient_norm: float
    """Euclidean, of the unpenalised loss with respect to the kernel."""
    activation_mean: float
    activation_deviation: float
    dead_share: float
    """Units that are zero on every row."""
    saturated_share: float
    """Activations in the flat ends of tanh (beyond 0.99) or sigmoid (outside 0.01 to 0.99)."""
    alike_share: float
    """Units whose incoming weights are those of the layer's mean unit, to one part in a thousand."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a training gave. Scores are those of the weights that are kept (see `best_epoch`)."""

    outcome: Outcome
    curve: Curve
    best_epoch: int
    """The epoch whose weights are kept, from 1: the best validation loss under early stopping, else the last."""
    training_loss: float
    validation_loss: float
    training_metric: float
    validation_metric: float
    parameters: int
    """Trainable weights of the network."""
    seconds: float
    engine: str
    device: str
    predictions: FloatArray
    """On the validation rows with the kept weights: class probabilities (rows, classes), or targets in their own unit
    (rows, 1)."""
    weights: tuple[Array, ...]
    """The kept weights, trainable and not, in the order of the exported model's `get_weights()`."""
    engine_reason: str = ""
    """Why this engine trained it, in a few words."""
    slots: int = 1
    """Slots of the cohort that it trained in."""
    health: tuple[LayerHealth, ...] = ()
    """At the start, after the first epoch and at the kept one; empty where its layers cannot be read."""

    @property
    def gap(self) -> float:
        """Validation loss minus training loss."""
        return self.validation_loss - self.training_loss


def fingerprint(value: object) -> str:
    """Sixteen hexadecimal digits that stand for a plain (JSON-able) value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_only(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The same arrays, protected against writing."""
    for array in arrays:
        array.setflags(write=False)
    return tuple(arrays)
