"""One compiled program of the `fit` engine: a network, its optimizer, and the rows it reads.

What is compiled is decided by structure, activation, the presence of penalty, dropout, noises, max-norm and class
weights, and whether the optimizer goes by the sign. Everything else are values of variables, so one program serves many
runs, one after another.
"""

from functools import cached_property
from typing import Any

import numpy as np

from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras, ops
from hpo.training.builder import build, presence
from hpo.training.curves import Scores
from hpo.training.layers import set_strengths
from hpo.training.losses import class_weights, loss_name, measured, own_unit, program_loss
from hpo.training.optimizers import TableOptimizer, optional_parts
from hpo.training.weights import fresh_weights, trained_variables
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

    def __init__(
        self, network: keras.Model, rows: Rows, task: Task, steps: int, batch: int, configuration: Configuration
    ) -> None:
        super().__init__(name="trainee")
        self.network = network
        self.data = rows
        self.task = task
        self.loss_name = loss_name(configuration, task)
        self.order = self.add_weight(
            shape=(steps, batch), dtype="int", initializer="zeros", trainable=False, name="order"
        )
        self.numbers = {
            name: self.add_weight(shape=(), dtype="float32", initializer="zeros", trainable=False, name=name)
            for name in ("label_smoothing", "focal_gamma", "huber_delta")
        }
        self.class_weights = None
        if weighs_classes(configuration, task):
            self.class_weights = self.add_weight(
                shape=(network.output_shape[-1],), dtype="float32", initializer="ones", trainable=False,
                name="class_weights",
            )  # fmt: skip
        self.built = True

    def begin(self, configuration: Configuration, prior: Array) -> None:
        """Take over a run's numbers; `prior`: of its fold."""
        for name, variable in self.numbers.items():
            variable.assign(float(configuration[name]))
        if self.class_weights is not None:
            self.class_weights.assign(class_weights(configuration, prior))

    def call(self, step: Any, training: bool = False) -> Any:
        return self.network(ops.take(self.data.x, self._rows(step), axis=0), training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The task's mean loss and the penalties."""
        smoothing, gamma, delta = (
            ops.reshape(ops.cast(ops.convert_to_tensor(v), y_pred.dtype), (1,)) for v in self.numbers.values()
        )
        weights = None if self.class_weights is None else ops.cast(self.class_weights, y_pred.dtype)
        y = ops.take(self.data.y, self._rows(x), axis=0)
        loss = program_loss(
            self.task, y, y_pred, self.loss_name, smoothing=smoothing, gamma=gamma, delta=delta, weights=weights
        )
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

    def begin(self, configuration: Configuration, seed: int, x: Array) -> None:
        """First weights from the run's seed and training rows x, the configuration's strengths, counters at zero."""
        if ":" in self.space.model:
            with backend.policy(self.precision):
                made = build(self.space, configuration, self.facts, seed=seed, runtime=True)
            backend.assign(self.variables, [backend.host(v) for v in made.variables])
        else:
            backend.assign(trained_variables(self.model), fresh_weights(self.model, configuration, seed, x))
        set_strengths(self.model, configuration, seed)

    def evaluate(self, rows: EvaluationRows) -> Array:
        """Outputs on probe and validation rows, (rows, outputs)."""
        return np.concatenate([self.outputs(chunk) for chunk in rows.chunks])


class Program:
    """A network with one optimizer, compiled once."""

    def __init__(self, network: Network, rows: Rows, configuration: Configuration, steps: int, batch: int) -> None:
        self.network = network
        self.optimizer = TableOptimizer(steps, network.model.trainable_variables, parts=optional_parts(configuration))
        self.trainee = Trainee(network.model, rows, network.facts.task, steps, batch, configuration)
        self.trainee.compile(optimizer=self.optimizer, steps_per_execution=steps)
        self.source = backend.step_source(steps)
        self.steps = steps

    def begin(self, configuration: Configuration, seed: int, prior: Array) -> None:
        """Take over the numbers of a run that its network does not hold."""
        self.optimizer.begin(configuration, seed)
        self.trainee.begin(configuration, prior)

    def fit(self, first: int, last: int, callback: keras.callbacks.Callback) -> None:
        """Train the epochs after `first` up to `last`."""
        self.trainee.fit(
            self.source, batch_size=_one_a_step(self.source), initial_epoch=first, epochs=last,
            steps_per_epoch=self.steps, shuffle=False, verbose=0, callbacks=[callback],
        )  # fmt: skip


def _one_a_step(source: Any) -> int | None:
    return 1 if isinstance(source, np.ndarray) else None


def network_key(configuration: Configuration) -> tuple[object, ...]:
    """What, besides the structure, decides the network that is compiled: here widths are exact."""
    return (configuration.get("units"), configuration["activation"], *presence(configuration).values())


def step_key(configuration: Configuration, task: Task) -> tuple[object, ...]:
    """What, besides the network and the rows, decides the training step that is compiled."""
    return (optional_parts(configuration), weighs_classes(configuration, task))


def weighs_classes(configuration: Configuration, task: Task) -> bool:
    """Whether rows of some classes count more."""
    return task.classifies and float(configuration["class_weight"]) > 0


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
