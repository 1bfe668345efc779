"""One compiled program of the `fit` engine: a network, its optimizer, and the rows it reads.

What is compiled is decided by structure, activation, the presence of penalty, dropout and noise, and whether the
optimizer goes by the sign. Everything else are values of variables, so one program serves many runs, one after another.
"""

from functools import cached_property
from typing import Any

import numpy as np

from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training import backend, update_rule
from hpo.training.backend import keras, ops
from hpo.training.builder import build, exported_variables, fresh_weights, presence
from hpo.training.curves import Scores
from hpo.training.layers import set_strengths
from hpo.training.losses import measured, own_unit, program_loss
from hpo.training.optimizers import TableOptimizer
from hpo.values import Array, Configuration, Fold, Task, TaskFacts

_TABLE_CHUNK, _IMAGE_CHUNK = 8192, 512
"""Rows evaluated at once: bounds the memory that hidden layers of the probe take."""


class Rows(keras.layers.Layer):  # type: ignore[misc]
    """The training rows on the device, shared by all programs of a session; another fold is other values."""

    def __init__(self, x: Array, y: Array) -> None:
        super().__init__(name="rows")
        kind = "int" if np.issubdtype(y.dtype, np.integer) else "float32"
        self.x = self.add_weight(shape=x.shape, dtype="float32", initializer="zeros", trainable=False, name="x")
        self.y = self.add_weight(shape=y.shape, dtype=kind, initializer="zeros", trainable=False, name="y")
        self.built = True


class EvaluationRows:
    """The training probe and the validation rows of a fold.

    The probe has as many rows as the validation set, or all training rows if those are fewer; which ones is decided by
    the fold alone, so all its runs are measured on the same rows.
    """

    def __init__(self, fold: Fold, index: int) -> None:
        rows = len(fold.x_train)
        picked = np.random.default_rng(index).permutation(rows)[: len(fold.x_valid)]
        self.fold = fold
        self.probe = len(picked)
        self.y_probe = fold.y_train[picked]
        self.x = np.concatenate([fold.x_train[picked], fold.x_valid]).astype(np.float32)

    @cached_property
    def chunks(self) -> list[Any]:
        """Probe and validation rows on the device."""
        size = _IMAGE_CHUNK if self.x.ndim > 2 else _TABLE_CHUNK
        return [ops.convert_to_tensor(self.x[i : i + size]) for i in range(0, len(self.x), size)]


class Trainee(keras.Model):  # type: ignore[misc]
    """What `fit` trains: takes the number of a step, looks its rows up, and answers with the network's outputs."""

    def __init__(self, network: keras.Model, rows: Rows, task: Task, steps: int, batch: int) -> None:
        super().__init__(name="trainee")
        self.network = network
        self.data = rows
        self.task = task
        self.order = self.add_weight(
            shape=(steps, batch), dtype="int", initializer="zeros", trainable=False, name="order"
        )
        self.smoothing = self.add_weight(
            shape=(), dtype="float32", initializer="zeros", trainable=False, name="label_smoothing"
        )
        self.built = True

    def call(self, step: Any, training: bool = False) -> Any:
        return self.network(ops.take(self.data.x, self._rows(step), axis=0), training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The task's mean loss and the penalties."""
        smoothing = ops.cast(ops.convert_to_tensor(self.smoothing), y_pred.dtype)
        loss = program_loss(self.task, ops.take(self.data.y, self._rows(x), axis=0), y_pred, smoothing)
        return sum((ops.sum(ops.cast(p, loss.dtype)) for p in self.losses), start=loss)

    def _rows(self, step: Any) -> Any:
        return ops.reshape(ops.take(self.order, step, axis=0), (-1,))


class Network:
    """A network with its compiled inference functions. `resident` says whose weights it holds at the moment."""

    def __init__(self, space: SearchSpace, configuration: Configuration, facts: TaskFacts, precision: str) -> None:
        with backend.policy(precision):
            self.model = build(space, configuration, facts, seed=0, runtime=True)
        self.space, self.facts, self.precision = space, facts, precision
        self.outputs = backend.compiled_outputs(self.model)
        self.resident: object | None = None

    @property
    def variables(self) -> list[Any]:
        return list(self.model.variables)

    def begin(self, configuration: Configuration, seed: int) -> None:
        """First weights from the run's seed, the configuration's strengths, all counters at zero."""
        if ":" in self.space.model:
            with backend.policy(self.precision):
                made = build(self.space, configuration, self.facts, seed=seed, runtime=True)
            backend.assign(self.variables, [backend.host(v) for v in made.variables])
        else:
            backend.assign(exported_variables(self.model), fresh_weights(self.model, configuration, seed))
        set_strengths(self.model, configuration, seed)

    def evaluate(self, rows: EvaluationRows) -> Array:
        """Outputs on probe and validation rows, (rows, outputs)."""
        return np.concatenate([self.outputs(chunk) for chunk in rows.chunks])


class Program:
    """A network with one optimizer, compiled once."""

    def __init__(self, network: Network, rows: Rows, configuration: Configuration, steps: int, batch: int) -> None:
        self.network = network
        self.optimizer = TableOptimizer(
            steps, network.model.trainable_variables, signs=update_rule.signed(configuration)
        )
        self.trainee = Trainee(network.model, rows, network.facts.task, steps, batch)
        self.trainee.compile(optimizer=self.optimizer, steps_per_execution=steps)
        self.source = backend.step_source(steps)
        self.steps = steps

    def fit(self, first: int, last: int, callback: keras.callbacks.Callback) -> None:
        """Train the epochs after `first` up to `last`."""
        self.trainee.fit(
            self.source, batch_size=_one_a_step(self.source), initial_epoch=first, epochs=last,
            steps_per_epoch=self.steps, shuffle=False, verbose=0, callbacks=[callback],
        )  # fmt: skip


def _one_a_step(source: Any) -> int | None:
    return 1 if isinstance(source, np.ndarray) else None


def program_key(configuration: Configuration) -> tuple[object, ...]:
    """What, besides the structure, decides the network that is compiled: here widths are exact."""
    return (configuration.get("units"), configuration["activation"], *presence(configuration).values())


def program_targets(y: Array) -> Array:
    """Targets as programs take them: 32 bits."""
    return y.astype(np.int32 if np.issubdtype(y.dtype, np.integer) else np.float32)


def scored(task: Task, metric: Metric, rows: EvaluationRows, outputs: Array) -> list[tuple[Scores, Array]]:
    """Of each slot's outputs on probe and validation rows: its four scores, and its predictions on the latter.

    `outputs` (slots, rows, outputs): those of all slots at once, for one after another costs a cohort of small
    networks a sixth of its time.
    """
    parts = []
    for z, y in ((outputs[:, : rows.probe], rows.y_probe), (outputs[:, rows.probe :], rows.fold.y_valid)):
        loss, p = measured(task, y, z, rows.fold)
        targets = own_unit(task, y, rows.fold)
        parts.append((loss.tolist(), [metric(targets, each) for each in p], p))
    (probe_loss, on_probe, _), (valid_loss, on_valid, p_valid) = parts
    return list(zip(zip(probe_loss, valid_loss, on_probe, on_valid, strict=True), p_valid, strict=True))
