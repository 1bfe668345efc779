"""From a configuration to a Keras model: logits for classes, one standardised number for regression.

The same network comes in two forms. `runtime=True` trains: penalties, dropout and noise are our layers, whose strengths
are variables. `runtime=False` is stock Keras throughout: it is exported, and the tests hold the first form against it.
Both have the same weights in the same order, but for weight normalization, whose gain is folded into the kernel.

Order inside a hidden layer: weights, batch normalization (`before`), activation, batch normalization (`after`),
pooling, activation noise, dropout. A network with batch normalization disturbs its units only behind the last of its
normalizations: dropout ahead of one shifts the variance that it has learned (Li et al. 2019), and so does noise.
"""

from typing import Any, Protocol

import numpy as np

from hpo.errors import InputError, Problem
from hpo.space import SearchSpace
from hpo.training.backend import assign, keras
from hpo.training.constants import (
    ACTIVATION_NOISE,
    BATCH_NORMALIZATION_MOMENTUM,
    DROPOUT,
    INPUT_NOISE,
    WEIGHT_NOISE,
)
from hpo.training.custom import custom_model
from hpo.training.layers import (
    HashedDropout,
    HashedNoise,
    KernelNoise,
    Penalty,
    RuntimeConvolution,
    RuntimeDense,
    Strengths,
)
from hpo.training.weights import fresh_weights, trained_variables
from hpo.values import Configuration, TaskFacts


class _Parts(Protocol):
    """What differs between the two forms of a network."""

    def entry(self, x: Any) -> Any:
        """What stands before the first layer."""

    def penalty(self) -> Any:
        """The regularizer of a kernel, or None."""

    def disturbed(self, x: Any) -> Any:
        """Noise and dropout behind a hidden layer."""

    def dense(self, units: int, **settings: Any) -> Any:
        """A dense layer."""

    def convolution(self, filters: int, size: int, **settings: Any) -> Any:
        """A convolution that keeps height and width."""


class _Runtime:
    """Our layers, present only where the configuration asks for them: an absent one costs no arithmetic."""

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        self.seed = seed
        self.layers = self.kernels = 0
        self.strengths: Strengths | None = None
        self.noise: KernelNoise | None = None

    def entry(self, x: Any) -> Any:
        if presence(self.configuration)["penalty"]:
            self.strengths = Strengths(float(self.configuration["l1"]), float(self.configuration["l2"]))
            x = self.strengths(x)
        if presence(self.configuration)["weight_noise"]:
            strength = float(self.configuration["weight_noise"])
            self.noise = KernelNoise("weight_noise", strength, WEIGHT_NOISE, self.seed)
            x = self.noise(x)
        return self._hashed(HashedNoise, "input_noise", INPUT_NOISE, x)

    def penalty(self) -> Any:
        return None if self.strengths is None else Penalty(self.strengths)

    def disturbed(self, x: Any) -> Any:
        x = self._hashed(HashedNoise, "activation_noise", ACTIVATION_NOISE + 2 * self.layers, x)
        x = self._hashed(HashedDropout, "dropout", DROPOUT + 2 * self.layers, x)
        self.layers += 1
        return x

    def dense(self, units: int, **settings: Any) -> Any:
        return self._layer(RuntimeDense, keras.layers.Dense, units, **settings)

    def convolution(self, filters: int, size: int, **settings: Any) -> Any:
        return self._layer(RuntimeConvolution, keras.layers.Conv2D, filters, size, padding="same", **settings)

    def _hashed(self, kind: type[HashedNoise] | type[HashedDropout], strength: str, number: int, x: Any) -> Any:
        if not presence(self.configuration)[strength]:
            return x
        return kind(strength, float(self.configuration[strength]), number, self.seed)(x)

    def _layer(self, own: Any, stock: Any, *sizes: int, output: bool = False, **settings: Any) -> Any:
        number, self.kernels = self.kernels, self.kernels + 1
        normalized = not output and self.configuration["weight_normalization"] == "centered"
        if self.noise is None and not normalized:
            return stock(*sizes, **settings)
        noise = None if self.noise is None else self.noise.noise
        return own(*sizes, noise=noise, number=number, normalized=normalized, **settings)


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

    def disturbed(self, x: Any) -> Any:
        noise, rate = float(self.configuration["activation_noise"]), float(self.configuration["dropout"])
        x = keras.layers.GaussianNoise(noise, seed=self.seed)(x) if noise else x
        return keras.layers.Dropout(rate, seed=self.seed)(x) if rate else x

    def dense(self, units: int, *, output: bool = False, **settings: Any) -> Any:
        return keras.layers.Dense(units, **settings)

    def convolution(self, filters: int, size: int, **settings: Any) -> Any:
        return keras.layers.Conv2D(filters, size, padding="same", **settings)


def presence(configuration: Configuration) -> dict[str, bool]:
    """Which optional parts a network has; with the structure and the activation it decides the compiled program."""
    return {
        "penalty": float(configuration["l1"]) > 0 or float(configuration["l2"]) > 0,
        **{
            name: float(configuration[name]) > 0
            for name in ("dropout", "input_noise", "activation_noise", "weight_noise")
        },
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
    assign(trained_variables(model), fresh_weights(model, configuration, seed))
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
            x = self._activated(self.parts.dense(int(self.configuration["units"]), **self._weights())(x))
            x = self._disturbed(x, last=i == layers - 1)
        return x

    def convolutions(self, x: Any) -> Any:
        blocks, head = int(self.configuration["blocks"]), int(self.configuration["dense_units"])
        size = int(self.configuration["kernel_size"])
        pool = keras.layers.MaxPooling2D if self.configuration["pooling"] == "max" else keras.layers.AveragePooling2D
        for i in range(blocks):
            filters = int(self.configuration["filters"]) * 2**i
            x = self._activated(self.parts.convolution(filters, size, **self._weights())(x))
            x = pool(2, padding="same")(x)
            x = self._disturbed(x, last=i == blocks - 1 and not head)
        x = keras.layers.Flatten()(x)
        if head:
            x = self._disturbed(self._activated(self.parts.dense(head, **self._weights())(x)), last=True)
        return x

    def output(self, x: Any, outputs: int) -> Any:
        # A name of its own keeps the output layer recognisable; 32 bits keep the loss exact under mixed precision.
        x = self.parts.dense(outputs, name="output", output=True, **self._weights(output=True))(x)
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

    def _disturbed(self, x: Any, *, last: bool) -> Any:
        return self.parts.disturbed(x) if last or self.normalization == "none" else x


def count_parameters(space: SearchSpace, configuration: Configuration, facts: TaskFacts) -> int:
    """Trainable weights, without building the network where the model is a bundled one."""
    if ":" in space.model:
        model = custom_model(space, configuration, facts, 0)
        return int(sum(np.prod(v.shape) for v in model.trainable_variables))
    normalized = configuration["batch_normalization"] != "none"
    per_unit = (0 if configuration["batch_normalization"] == "before" else 1) + (2 if normalized else 0)
    per_unit += configuration["weight_normalization"] == "centered"
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
