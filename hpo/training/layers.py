"""Layers whose strengths are variables, so that one compiled model serves runs of different strengths.

Each strength is a non-trainable variable named after its hyperparameter. Randomness comes from an integer hash of
(position in the array, run seed, step, layer): a counter, not a stream, so that it needs no generator state, maps over
a trial axis and gives the same integers on every backend, compiled or not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from hpo.training.backend import keras, ops
from hpo.training.constants import CENTERED_EPSILON, NOISE_DECAY, WEIGHT_NOISE
from hpo.values import Configuration

_GOLDEN, _SEED, _STEP = 0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35
_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))


def hashed_bits(shape: tuple[Any, ...], seed: Any, step: Any, layer: int) -> Any:
    """Integers in [0, 2**32), uint32 of `shape`, from one counter hash.

    The input is position * golden + seed * a + step * b + layer, modulo 2**32; the mixing is the two-round xorshift
    multiply `lowbias32` of C. Wellons (2018). `seed` and `step` are integer scalars, tensors or variables.
    """
    positions = ops.convert_to_tensor(np.arange(int(np.prod(shape)), dtype=np.uint64).astype(np.uint32))
    return ops.reshape(bits_at(positions, seed, step, layer), shape)


def bits_at(positions: Any, seed: Any, step: Any, layer: int) -> Any:
    """The hash of `hashed_bits` at positions (uint32) of an array; seed and step broadcast against them."""
    offset = _u32(seed) * _constant(_SEED) + _u32(step) * _constant(_STEP) + _constant(layer * 0x27D4EB2F)
    return _mixed(positions * _constant(_GOLDEN) + _mixed(offset))


def _mixed(h: Any) -> Any:
    for shift, factor in _ROUNDS:
        h = ops.bitwise_xor(h, ops.right_shift(h, _constant(shift))) * _constant(factor)
    return ops.bitwise_xor(h, ops.right_shift(h, _constant(16)))


def _u32(value: Any) -> Any:
    return ops.cast(ops.convert_to_tensor(value), "uint32")


def _constant(value: int) -> Any:
    return ops.convert_to_tensor(np.uint32(value & 0xFFFFFFFF))


def hashed_uniform(shape: tuple[Any, ...], seed: Any, step: Any, layer: int, dtype: str = "float32") -> Any:
    """Uniform numbers in [0, 1), multiples of 2**-24: the same bits on every backend."""
    return uniform(hashed_bits(shape, seed, step, layer), dtype)


def uniform(bits: Any, dtype: str = "float32") -> Any:
    """Hashed bits as numbers in [0, 1), multiples of 2**-24."""
    return ops.cast(ops.right_shift(bits, _constant(8)), dtype) * float(2.0**-24)


def hashed_normal(shape: tuple[Any, ...], seed: Any, step: Any, layer: int) -> Any:
    """Standard normal numbers, float32, by Box and Muller (1958) from two hashed uniforms.

    Backends agree in the integers but may differ in the last bit of logarithm and cosine.
    """
    return normal(hashed_bits(shape, seed, step, layer), hashed_bits(shape, seed, step, layer + 1))


def normal(first: Any, second: Any, dtype: str = "float32") -> Any:
    """Two arrays of hashed bits as standard normal numbers."""
    radius = ops.sqrt(-2.0 * ops.log(1.0 - uniform(first, dtype)))
    return radius * ops.cos(float(2 * np.pi) * uniform(second, dtype))


def noise_deviation(first: Any, step: Any) -> Any:
    """Of gradient noise at a step counted from 0 (a float), if it is `first` at the first."""
    return first * ops.exp(-NOISE_DECAY * ops.log(1.0 + step))


class RuntimeLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer whose variables belong to the run and not to the exported network."""

    def scalar(self, name: str, value: float, dtype: str = "float32") -> Any:
        """A non-trainable scalar variable; its name is the hyperparameter's."""
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


class Strengths(RuntimeLayer):
    """Lets its input through, and holds the factors of the kernels' penalty: `l1` and `l2`."""

    def __init__(self, l1: float, l2: float) -> None:
        super().__init__(name="strengths")
        self.l1 = self.scalar("l1", l1)
        self.l2 = self.scalar("l2", l2)

    def call(self, inputs: Any) -> Any:
        return inputs


class Penalty(keras.regularizers.Regularizer):  # type: ignore[misc]
    """l1 * sum |w| + l2 * sum w**2: Keras's form, where textbooks often halve the second factor."""

    def __init__(self, strengths: Strengths) -> None:
        self.strengths = strengths

    def __call__(self, kernel: Any) -> Any:
        kernel = ops.cast(kernel, "float32")
        return self.strengths.l1 * ops.sum(ops.abs(kernel)) + self.strengths.l2 * ops.sum(ops.square(kernel))


class Hashed(RuntimeLayer):
    """A layer that acts at random in training alone: it counts its own steps.

    Variables: the strength, `run_seed` and `step` (integers). Each layer has a number of its own, so that layers draw
    independently.
    """

    def __init__(self, strength: str, value: float, number: int, seed: int) -> None:
        super().__init__(name=f"hashed_{strength}_{number}")
        self.number = number
        self.strength = self.scalar(strength, value)
        self.run_seed = self.scalar("run_seed", seed, "int")
        self.step = self.scalar("step", 0, "int")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        outputs = self.disturbed(inputs)
        self.step.assign_add(1)
        return outputs

    def disturbed(self, inputs: Any) -> Any:
        """The input with this step's randomness."""
        raise NotImplementedError


class HashedDropout(Hashed):
    """Inverted dropout (Srivastava et al. 2014): kept units are scaled by 1 / (1 - rate)."""

    def disturbed(self, inputs: Any) -> Any:
        kept = hashed_uniform(_shape(inputs), self.run_seed, self.step, self.number) >= self.strength
        return inputs * ops.cast(ops.cast(kept, "float32") / (1.0 - self.strength), inputs.dtype)


class HashedNoise(Hashed):
    """Gaussian noise of the given deviation, added to what comes in."""

    def disturbed(self, inputs: Any) -> Any:
        noise = hashed_normal(_shape(inputs), self.run_seed, self.step, self.number)
        return inputs + ops.cast(noise * self.strength, inputs.dtype)


class KernelNoise(Hashed):
    """Lets its input through; kernels ask it for their noise of the step (Murray and Edwards 1994).

    It stands ahead of all kernels, so that each of them meets the step that it has counted.
    """

    def disturbed(self, inputs: Any) -> Any:
        return inputs

    def noise(self, kernel: Any, number: int) -> Any:
        """Of the `number`-th kernel, shaped as it is."""
        step = ops.convert_to_tensor(self.step) - 1
        normal = hashed_normal(tuple(kernel.shape), self.run_seed, step, WEIGHT_NOISE + 2 * number)
        return ops.cast(normal * self.strength, kernel.dtype)


def centered(kernel: Any, gain: Any) -> Any:
    """The weights that a layer of centered weight normalization works with, of Keras or NumPy arrays alike.

    For each unit gain (v - mean(v)) / |v - mean(v)| (Huang et al. 2017); kernel v (..., inputs, units), gain (units,).
    """
    axes = tuple(range(len(kernel.shape) - 1))
    numpy = isinstance(kernel, np.ndarray)
    mean, sum_, square, root = (np.mean, np.sum, np.square, np.sqrt) if numpy else (
        ops.mean, ops.sum, ops.square, ops.sqrt)  # fmt: skip
    direction = kernel - mean(kernel, axis=axes, keepdims=True)
    return gain * (direction / root(sum_(square(direction), axis=axes, keepdims=True) + CENTERED_EPSILON))


def first_gain(kernel: Any) -> Any:
    """The gain with which `centered` gives the centered kernel itself, (units,); kernel a NumPy array."""
    axes = tuple(range(kernel.ndim - 1))
    return np.sqrt(np.square(kernel - kernel.mean(axes)).sum(axes))


class _Reparametrized(keras.layers.Layer):  # type: ignore[misc]
    """Of a layer with a kernel: computes with a kernel that is made of its variables at each step."""

    def __init__(
        self, *args: Any, noise: Callable[[Any, int], Any] | None, number: int, normalized: bool, **kwargs: Any
    ) -> None:
        """`noise`: `KernelNoise.noise`, rather than its layer, which Keras would take for a part of this one."""
        super().__init__(*args, **kwargs)
        self._noise, self._number, self._normalized, self._training = noise, number, normalized, False

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self._normalized:
            self.gain = self.add_weight(name="gain", shape=(self._kernel.shape[-1],), initializer="ones")

    @property
    def kernel(self) -> Any:
        kernel = ops.convert_to_tensor(self._kernel)
        if self._normalized:
            kernel = centered(kernel, ops.convert_to_tensor(self.gain))
        return kernel + self._noise(kernel, self._number) if self._noise and self._training else kernel

    def call(self, inputs: Any, training: bool = False) -> Any:
        self._training = bool(training)
        return super().call(inputs)


class RuntimeDense(_Reparametrized, keras.layers.Dense):  # type: ignore[misc]
    """Keras's dense layer with kernel noise or centered weight normalization."""


class RuntimeConvolution(_Reparametrized, keras.layers.Conv2D):  # type: ignore[misc]
    """Keras's convolution with kernel noise or centered weight normalization."""


def _shape(inputs: Any) -> tuple[Any, ...]:
    """The static shape; while a model is being described the batch has no size yet, and any will do."""
    return tuple(1 if n is None else n for n in inputs.shape)


def set_strengths(model: keras.Model, configuration: Configuration, seed: int) -> None:
    """Give every strength the configuration's value, and start the layers' own randomness at `seed`."""
    for variable in model.non_trainable_variables:
        if variable.name in configuration:
            variable.assign(float(configuration[variable.name]))
        elif variable.name == "run_seed":
            variable.assign(seed)
        elif variable.name == "step":
            variable.assign(0)
