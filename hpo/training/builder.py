"""From a configuration to a Keras model: logits for classes, one standardised number for regression.

The same network comes in two forms with the same weights in the same order. `runtime=True` trains: penalties, dropout
and noise are our layers, whose strengths are variables. `runtime=False` is stock Keras throughout: it is exported, and
the tests hold the first form against it.

Order inside a hidden layer: weights, batch normalization (`before`), activation, batch normalization (`after`),
pooling, dropout. A network with batch normalization drops units only behind the last of its normalizations: dropout
ahead of one shifts the variance that it has learned (Li et al. 2019).
"""

from typing import Any, Protocol

import numpy as np

from hpo.errors import InputError, Problem
from hpo.space import SearchSpace
from hpo.training.backend import assign, host, keras
from hpo.training.custom import custom_model
from hpo.training.initializers import first_kernel
from hpo.training.layers import HashedDropout, HashedNoise, Penalty, RuntimeLayer, Strengths
from hpo.values import Array, Configuration, TaskFacts

INPUT_NOISE = 2
"""The noise layer's number, whether or not there is one: dropout layers count on from it, so that a run draws the same
masks in an engine whose program holds layers that this run has no use for."""
BATCH_NORMALIZATION_MOMENTUM = 0.9
"""Keras's 0.99 needs hundreds of steps before its averages are worth anything; small data have twenty an epoch."""
BATCH_NORMALIZATION_EPSILON = 1e-3
"""Keras's."""


class _Parts(Protocol):
    """What differs between the two forms of a network."""

    def entry(self, x: Any) -> Any:
        """What stands before the first layer."""

    def penalty(self) -> Any:
        """The regularizer of a kernel, or None."""

    def dropout(self, x: Any) -> Any:
        """What stands behind a hidden layer."""


class _Runtime:
    """Our layers, present only where the configuration asks for them: an absent one costs no arithmetic."""

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        self.seed = seed
        self.number = INPUT_NOISE
        self.strengths: Strengths | None = None

    def entry(self, x: Any) -> Any:
        if presence(self.configuration)["penalty"]:
            self.strengths = Strengths(float(self.configuration["l1"]), float(self.configuration["l2"]))
            x = self.strengths(x)
        if presence(self.configuration)["input_noise"]:
            x = HashedNoise("input_noise", float(self.configuration["input_noise"]), INPUT_NOISE, self.seed)(x)
        return x

    def penalty(self) -> Any:
        return None if self.strengths is None else Penalty(self.strengths)

    def dropout(self, x: Any) -> Any:
        if not presence(self.configuration)["dropout"]:
            return x
        self.number += 2  # as many as normal numbers take, which need two hashes each
        return HashedDropout("dropout", float(self.configuration["dropout"]), self.number, self.seed)(x)


class _Stock:
    """Keras's own layers."""

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        self.seed = seed

    def entry(self, x: Any) -> Any:
        noise = float(self.configuration["input_noise"])
        return keras.layers.GaussianNoise(noise, seed=self.seed)(x) if noise else x

    def penalty(self) -> Any:
        if not presence(self.configuration)["penalty"]:
            return None
        return keras.regularizers.L1L2(float(self.configuration["l1"]), float(self.configuration["l2"]))

    def dropout(self, x: Any) -> Any:
        rate = float(self.configuration["dropout"])
        return keras.layers.Dropout(rate, seed=self.seed)(x) if rate else x


def presence(configuration: Configuration) -> dict[str, bool]:
    """Which optional parts a network has; with the structure and the activation it decides the compiled program."""
    return {
        "penalty": float(configuration["l1"]) > 0 or float(configuration["l2"]) > 0,
        "dropout": float(configuration["dropout"]) > 0,
        "input_noise": float(configuration["input_noise"]) > 0,
    }


def build(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, *, seed: int, runtime: bool
) -> keras.Model:
    """The network of a configuration, with first weights drawn from `seed`.

    Input (batch, *facts.input_shape); output (batch, facts.outputs): logits, or one standardised number. Raises
    InputError where the model cannot take such rows, or a custom function cannot be found or gives something else.
    """
    if ":" in space.model:
        return custom_model(space, configuration, facts, seed)
    parts: _Parts = _Runtime(configuration, seed) if runtime else _Stock(configuration, seed)
    if space.model == "cnn" and len(facts.input_shape) != 3:
        raise InputError(
            Problem(
                "search space", "model", "images of height, width and channels for cnn",
                f"rows of shape {facts.input_shape}", "Use the model mlp for tables.",
            )
        )  # fmt: skip
    network = _Network(configuration, parts)
    inputs = keras.Input(facts.input_shape, name="rows")
    x = parts.entry(inputs)
    x = network.convolutions(x) if space.model == "cnn" else network.hidden(x)
    model = keras.Model(inputs, network.output(x, facts.outputs), name=space.model)
    model.hpo_bundled = True
    assign(exported_variables(model), fresh_weights(model, configuration, seed))
    return model


class _Network:
    """Puts layers on top of each other."""

    def __init__(self, configuration: Configuration, parts: _Parts) -> None:
        self.configuration = configuration
        self.parts = parts
        self.normalization = str(configuration["batch_normalization"])

    def hidden(self, x: Any) -> Any:
        if len(x.shape) > 2:
            x = keras.layers.Flatten()(x)
        layers = int(self.configuration["hidden_layers"])
        for i in range(layers):
            x = self._activated(keras.layers.Dense(int(self.configuration["units"]), **self._weights())(x))
            x = self._dropout(x, last=i == layers - 1)
        return x

    def convolutions(self, x: Any) -> Any:
        blocks, head = int(self.configuration["blocks"]), int(self.configuration["dense_units"])
        size = int(self.configuration["kernel_size"])
        pool = keras.layers.MaxPooling2D if self.configuration["pooling"] == "max" else keras.layers.AveragePooling2D
        for i in range(blocks):
            filters = int(self.configuration["filters"]) * 2**i
            x = self._activated(keras.layers.Conv2D(filters, size, padding="same", **self._weights())(x))
            x = pool(2, padding="same")(x)
            x = self._dropout(x, last=i == blocks - 1 and not head)
        x = keras.layers.Flatten()(x)
        if head:
            x = self._dropout(self._activated(keras.layers.Dense(head, **self._weights())(x)), last=True)
        return x

    def output(self, x: Any, outputs: int) -> Any:
        # A name of its own keeps the output layer recognisable; 32 bits keep the loss exact under mixed precision.
        x = keras.layers.Dense(outputs, name="output", **self._weights(output=True))(x)
        return x if x.dtype in ("float32", "float64") else keras.layers.Activation("linear", dtype="float32")(x)

    def _weights(self, output: bool = False) -> dict[str, Any]:
        # A bias ahead of a batch normalization is subtracted again.
        return {
            "kernel_regularizer": self.parts.penalty(),
            "use_bias": output or self.normalization != "before",
        }

    def _activated(self, x: Any) -> Any:
        if self.normalization == "before":
            x = keras.layers.BatchNormalization(momentum=BATCH_NORMALIZATION_MOMENTUM)(x)
        x = keras.layers.Activation(str(self.configuration["activation"]))(x)
        if self.normalization == "after":
            x = keras.layers.BatchNormalization(momentum=BATCH_NORMALIZATION_MOMENTUM)(x)
        return x

    def _dropout(self, x: Any, *, last: bool) -> Any:
        return self.parts.dropout(x) if last or self.normalization == "none" else x


def fresh_weights(model: keras.Model, configuration: Configuration, seed: int) -> list[Array]:
    """The first weights of a bundled model for any seed, in the order of `exported_weights`, without building it."""
    layers = [layer for layer in model.layers if layer.weights and not isinstance(layer, RuntimeLayer)]
    kernels = [layer for layer in layers if hasattr(layer, "kernel")]
    weights = []
    for layer in layers:
        for variable in layer.weights:
            if hasattr(layer, "kernel") and variable is layer.kernel:
                number = kernels.index(layer)
                last = number == len(kernels) - 1
                drawn = first_kernel(configuration, tuple(variable.shape), seed=seed, layer=number, output=last)
                weights.append(drawn.astype(variable.dtype))
            else:
                ones = variable.name in ("gamma", "moving_variance")
                weights.append(np.full(variable.shape, 1.0 if ones else 0.0, variable.dtype))
    return weights


def exported_variables(model: keras.Model) -> list[Any]:
    """The variables that the stock form has too, in the order of its `weights`."""
    if not getattr(model, "hpo_bundled", False):
        return list(model.weights)
    own = {id(v) for layer in model.layers if isinstance(layer, RuntimeLayer) for v in layer.variables}
    return [v for v in model.weights if id(v) not in own]


def exported_weights(model: keras.Model) -> list[Array]:
    """Weights and normalization statistics as the stock form's `set_weights` takes them."""
    return [host(v) for v in exported_variables(model)]


def set_exported_weights(model: keras.Model, weights: list[Array] | tuple[Array, ...]) -> None:
    """The inverse of `exported_weights`, on either form."""
    for variable, value in zip(exported_variables(model), weights, strict=True):
        variable.assign(value)


def count_parameters(space: SearchSpace, configuration: Configuration, facts: TaskFacts) -> int:
    """Trainable weights, without building the network where the model is a bundled one."""
    if ":" in space.model:
        model = custom_model(space, configuration, facts, 0)
        return int(sum(np.prod(v.shape) for v in model.trainable_variables))
    normalized = configuration["batch_normalization"] != "none"
    per_unit = (0 if configuration["batch_normalization"] == "before" else 1) + (2 if normalized else 0)
    if space.model == "mlp":
        width, count = int(np.prod(facts.input_shape)), 0
        for _ in range(int(configuration["hidden_layers"])):
            units = int(configuration["units"])
            count += (width + per_unit) * units
            width = units
        return count + (width + 1) * facts.outputs
    height, breadth, channels = facts.input_shape
    count = 0
    for i in range(int(configuration["blocks"])):
        filters = int(configuration["filters"]) * 2**i
        count += (int(configuration["kernel_size"]) ** 2 * channels + per_unit) * filters
        height, breadth, channels = -(-height // 2), -(-breadth // 2), filters
    width, head = height * breadth * channels, int(configuration["dense_units"])
    if head:
        count, width = count + (width + per_unit) * head, head
    return count + (width + 1) * facts.outputs
