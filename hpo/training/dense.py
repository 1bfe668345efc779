"""The dense network of many slots at once: `builder`'s `mlp` with a slot axis, padded to one width.

What differs between the runs of a cohort enters as numbers with a slot axis: width (a mask), activation (a selection),
penalties, dropout, noise and seeds. Symbols: S slots, B rows, P padded width, F inputs, O outputs. Kernels are
(S, in, out), vectors (S, 1, out). Padding starts at zero and stays there, for no gradient reaches it: the mask stands
behind activation and normalization of each hidden layer.

Written for all slots at once rather than mapped from one slot's Keras model: no loop over slots can hide in it, and
TensorFlow's `vectorized_map` took longer to trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hpo.space import Choice, Fixed, SearchSpace, padded_width
from hpo.training import update_rule
from hpo.training.backend import ops
from hpo.training.constants import (
    ACTIVATION_NOISE,
    BATCH_NORMALIZATION_EPSILON,
    BATCH_NORMALIZATION_MOMENTUM,
    CENTERED_EPSILON,
    DROPOUT,
    GRADIENT_NOISE,
    INPUT_NOISE,
    WEIGHT_NOISE,
)
from hpo.training.layers import bits_at, centered, first_gain, noise_deviation, normal, uniform
from hpo.training.losses import class_weights, loss_name, program_loss
from hpo.training.weights import first_arrays
from hpo.values import Array, Configuration, Task, TaskFacts

STATISTICS = ("mean", "variance")
_VECTORS = ("mask", "activation", "class_weights")
"""Of a slot's numbers, those that are not one."""
_OF_CLASSES = ("label_smoothing", "class_weight")
_STRENGTHS = (
    "l1", "l2", "dropout", "input_noise", "activation_noise", "weight_noise", "gradient_noise", "clip_norm",
    "max_norm", *_OF_CLASSES,
)  # fmt: skip
_NUMBERS = ("l1", "l2", "dropout", "input_noise", "activation_noise", "weight_noise", "gradient_noise", "clip_norm",
            "max_norm", "label_smoothing", "focal_gamma", "huber_delta")  # fmt: skip


class _Part(NamedTuple):
    """One array of a network, as (rows, columns); what is no kernel has one row."""

    name: str
    layer: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Dense:
    """What of a cohort is compiled: its structure, and which optional parts its space can ask for."""

    task: Task
    inputs: int
    outputs: int
    layers: int
    width: int
    normalization: str
    centered: bool
    """Whether hidden kernels are a gain times a direction: weight normalization."""
    loss: str
    activations: tuple[str, ...]
    parts: frozenset[str]
    """Of the strengths, those that the space lets be other than zero; `signs`: whether a step may go by the sign."""
    dtype: str = "float32"

    @classmethod
    def of(cls, space: SearchSpace, configuration: Configuration, facts: TaskFacts, dtype: str = "float32") -> "Dense":
        """The network of a structure, with every part that some configuration of the space could have."""
        parts = {n for n in _STRENGTHS if _possible(space, n) and (facts.task.classifies or n not in _OF_CLASSES)}
        if any(update_rule.signed({"optimizer": name}) for name in _choices(space, "optimizer")):
            parts.add("signs")
        return cls(
            facts.task, int(np.prod(facts.input_shape)), facts.outputs, int(configuration["hidden_layers"]),
            padded_width(int(configuration["units"])), str(configuration["batch_normalization"]),
            configuration["weight_normalization"] == "centered", loss_name(configuration, facts.task),
            _choices(space, "activation"), frozenset(parts), dtype,
        )  # fmt: skip

    def _shapes(self, width: int) -> list[tuple[int, int]]:
        """Of the kernels, at a width."""
        sizes = [self.inputs, *[width] * self.layers, self.outputs]
        return list(pairwise(sizes))

    def admits(self, configuration: Configuration) -> bool:
        """Whether the program has all parts that a configuration of its structure asks for."""
        asked = {n for n in _STRENGTHS if float(configuration[n]) > 0}
        if not self.task.classifies:
            asked -= set(_OF_CLASSES)
        if update_rule.signed(configuration):
            asked.add("signs")
        return configuration["activation"] in self.activations and asked <= self.parts

    def names(self) -> list[str]:
        """The kinds of arrays of a network, in the order of the trained Keras model's."""
        bias = [] if self.normalization == "before" else ["bias"]
        gain = ["gain"] if self.centered else []
        normalized = [] if self.normalization == "none" else ["gamma", "beta", *STATISTICS]
        return [*(["kernel", *bias, *gain, *normalized] * self.layers), "kernel", "bias"]

    def first_weights(self, configuration: Configuration, seed: int, x: Array) -> list[Array]:
        """A run's first weights at its exact width, in the order of `names`; x (rows, inputs) training rows."""
        arrays = iter(
            zip(*first_arrays(configuration, self._shapes(int(configuration["units"])), seed, x), strict=True)
        )
        weights: list[Array] = []
        of: dict[str, Array] = {}
        for name in self.names():
            if name == "kernel":
                of["kernel"], of["bias"] = next(arrays)
                of["gain"] = first_gain(of["kernel"])
            ones = name in ("gamma", "variance")
            value = of[name] if name in of else np.full(of["kernel"].shape[-1], 1.0 if ones else 0.0)
            weights.append(value.astype(self.dtype))
        return weights

    def exported(self, weights: Sequence[Array]) -> list[Array]:
        """Weights in the order of `names` as the stock model has them: gains are folded into their kernels."""
        if not self.centered:
            return list(weights)
        found: list[Array] = []
        for name, array in zip(self.names(), weights, strict=True):
            if name == "kernel":
                at = len(found)
            if name == "gain":
                found[at] = centered(found[at], array)
            else:
                found.append(array)
        return found

    def packed(self, arrays: Sequence[Array], *, statistics: bool) -> Array:
        """One run's exact arrays, trainable ones or statistics, as a slot holds them: padded with zeros, end to end."""
        parts = []
        for part, array in zip(self._parts(self.width, statistics=statistics), arrays, strict=True):
            whole = np.zeros((part.rows, part.columns), self.dtype)
            exact = array.reshape(-1, array.shape[-1])
            whole[: exact.shape[0], : exact.shape[1]] = exact
            parts.append(whole.ravel())
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)

    def exact(self, slot: Array, configuration: Configuration, *, statistics: bool) -> list[Array]:
        """The inverse of `packed`; copies."""
        small = self._parts(int(configuration["units"]), statistics=statistics)
        arrays = []
        for whole, part in zip(self.unpacked(slot, statistics=statistics), small, strict=True):
            inside = whole[: part.rows, : part.columns]
            arrays.append(inside.copy() if part.name == "kernel" else inside[0].copy())
        return arrays

    def unpacked(self, packed: Any, *, statistics: bool, reshape: Callable[..., Any] = np.reshape) -> list[Any]:
        """The padded arrays (..., rows, columns) that lie end to end in (..., length)."""
        arrays, begin = [], 0
        for part in self._parts(self.width, statistics=statistics):
            end = begin + part.rows * part.columns
            arrays.append(reshape(packed[..., begin:end], (*packed.shape[:-1], part.rows, part.columns)))
            begin = end
        return arrays

    @property
    def lengths(self) -> tuple[int, int]:
        """How many numbers a slot has: trainable ones, and statistics."""
        trainable, statistics = (
            sum(part.rows * part.columns for part in self._parts(self.width, statistics=s)) for s in (False, True)
        )
        return trainable, statistics

    def kernels(self) -> Array:
        """1 where a packed trainable number belongs to a kernel, which penalties act on, else 0; (length,)."""
        parts = self._parts(self.width, statistics=False)
        return np.concatenate([np.full(p.rows * p.columns, p.name == "kernel", self.dtype) for p in parts])

    def split(self, weights: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """(trainable arrays, statistics) of arrays in the order of `names`."""
        named = list(zip(self.names(), weights, strict=True))
        return [w for n, w in named if n not in STATISTICS], [w for n, w in named if n in STATISTICS]

    def merged(self, trainable: Sequence[Any], statistics: Sequence[Any]) -> list[Any]:
        """The inverse of `split`."""
        one, two = iter(trainable), iter(statistics)
        return [next(two) if name in STATISTICS else next(one) for name in self.names()]

    def _parts(self, width: int, *, statistics: bool) -> list[_Part]:
        """The trainable arrays or the statistics, at a width."""
        shapes = self._shapes(width)
        parts = []
        layer = -1
        for name in self.names():
            layer += name == "kernel"
            rows, columns = shapes[layer]
            if (name in STATISTICS) is statistics:
                parts.append(_Part(name, layer, rows if name == "kernel" else 1, columns))
        return parts

    def numbers(self, configuration: Configuration, seed: int, prior: Array) -> dict[str, Array]:
        """What of a run enters the program as numbers, without the slot axis; `prior`: of its fold."""
        of = {name: np.asarray(float(configuration[name]), self.dtype) for name in _NUMBERS}
        units = int(configuration["units"])
        if "class_weight" in self.parts:
            of["class_weights"] = class_weights(configuration, prior).astype(self.dtype)
        return {
            **of,
            "seed": np.asarray(seed, np.int32),
            "units": np.asarray(units, np.int32),
            "mask": (np.arange(self.width) < units).astype(self.dtype),
            "activation": np.array([configuration["activation"] == a for a in self.activations], self.dtype),
        }

    def outputs_of(
        self, weights: list[Any], x: Any, numbers: dict[str, Any], step: Any = None
    ) -> tuple[Any, list[Any]]:
        """(z, statistics): z (S, B, O) and the normalizations' new means and variances, in order.

        x (S, B, F). `step` (S,) is the number of the training step; None: inference, which leaves statistics alone.
        """
        parts = iter(weights)
        statistics: list[Any] = []
        training = step is not None
        scalar = {k: _scalar(v) for k, v in numbers.items() if k not in _VECTORS}
        mask, chosen = numbers["mask"][:, None, :], numbers["activation"]
        if training:
            scalar["step"] = _scalar(step)
        h = x
        if "input_noise" in self.parts and training:
            h = h + scalar["input_noise"] * self._normal(x.shape[1], self.inputs, self.inputs, scalar, INPUT_NOISE)
        for layer in range(self.layers):
            kernel = next(parts)
            bias = None if self.normalization == "before" else next(parts)
            h = ops.matmul(h, self._kernel(kernel, next(parts) if self.centered else None, layer, scalar, mask))
            h = h if bias is None else h + bias
            if self.normalization == "before":
                h = self._normalized(h, parts, statistics, training=training)
                h = self._activated(h, chosen) * mask
            elif self.normalization == "after":
                # Masked before as well: sigmoid gives padding a half, which the moving averages would take up.
                h = self._activated(h, chosen) * mask
                h = self._normalized(h, parts, statistics, training=training) * mask
            else:
                h = self._activated(h, chosen) * mask
            if training and (layer == self.layers - 1 or self.normalization == "none"):
                h = self._disturbed(h, scalar, mask, layer if self.normalization == "none" else 0)
        return ops.matmul(h, self._kernel(next(parts), None, self.layers, scalar, mask)) + next(parts), statistics

    def loss_of(self, y: Any, z: Any, numbers: dict[str, Any]) -> Any:
        """The mean unpenalised loss of each slot, (S,); y (S, B), z (S, B, O)."""
        return program_loss(
            self.task, y, z, self.loss, gamma=numbers["focal_gamma"][:, None], delta=numbers["huber_delta"][:, None],
            smoothing=numbers["label_smoothing"][:, None] if "label_smoothing" in self.parts else None,
            weights=numbers.get("class_weights"),
        )  # fmt: skip

    def disturbed_gradient(self, g: Any, numbers: dict[str, Any], step: Any) -> Any:
        """Packed gradients (S, length) with the step's noise; padding is given none."""
        scalar = {k: _scalar(numbers[k]) for k in ("seed", "units", "gradient_noise")} | {"step": _scalar(step)}
        mask, noise = numbers["mask"], []
        for n, part in enumerate(self._parts(self.width, statistics=False)):
            hidden = part.layer < self.layers
            width = scalar["units"] if hidden else self.outputs
            made = self._normal(part.rows, part.columns, width, scalar, GRADIENT_NOISE + 2 * n)
            if part.name == "kernel" and part.layer:
                made = made * mask[:, :, None]
            if hidden:
                made = made * mask[:, None, :]
            noise.append(ops.reshape(made, (g.shape[0], -1)))
        deviation = noise_deviation(scalar["gradient_noise"], ops.cast(scalar["step"], self.dtype))
        return g + deviation[:, :, 0] * ops.concatenate(noise, axis=1)

    def bounded(self, w: Any, max_norm: Any) -> Any:
        """Packed weights (S, length) in which no unit's incoming weights have a norm above max_norm (S,); 0: any."""
        bound, found = _scalar(max_norm), []
        arrays = self.unpacked(w, statistics=False, reshape=ops.reshape)
        for part, array in zip(self._parts(self.width, statistics=False), arrays, strict=True):
            kept = update_rule.bounded(array, bound, axis=1) if part.name == "kernel" else array
            found.append(ops.reshape(kept, (w.shape[0], -1)))
        return ops.concatenate(found, axis=1)

    def _kernel(self, kernel: Any, gain: Any, layer: int, scalar: dict[str, Any], mask: Any) -> Any:
        """What a layer multiplies with: its weights, normalized where there is a gain, with the step's noise."""
        if gain is not None:
            # `layers.centered`, with the rows of padding left out: mask (S, 1, P) of the units below.
            rows = 1.0 if layer == 0 else ops.transpose(mask, (0, 2, 1))
            count = self.inputs if layer == 0 else ops.cast(scalar["units"], self.dtype)
            mean = ops.sum(kernel * rows, axis=1, keepdims=True) / count
            direction = (kernel - mean) * rows
            square = ops.sum(ops.square(direction), axis=1, keepdims=True)
            kernel = gain * (direction / ops.sqrt(square + CENTERED_EPSILON))
        if "weight_noise" in self.parts and "step" in scalar:
            width = scalar["units"] if layer < self.layers else self.outputs
            noise = self._normal(kernel.shape[1], kernel.shape[2], width, scalar, WEIGHT_NOISE + 2 * layer)
            # Masked, or a batch normalization would take padding's noise up into its moving averages.
            kernel = kernel + scalar["weight_noise"] * (noise * mask if layer < self.layers else noise)
        return kernel

    def _normalized(self, h: Any, parts: Any, statistics: list[Any], *, training: bool) -> Any:
        gamma, beta, mean, variance = (next(parts) for _ in range(4))
        if training:
            old = mean, variance
            mean = ops.mean(h, axis=1, keepdims=True)
            variance = ops.mean(ops.square(h - mean), axis=1, keepdims=True)
            keep = BATCH_NORMALIZATION_MOMENTUM
            statistics += [keep * o + (1 - keep) * n for o, n in zip(old, (mean, variance), strict=True)]
        inverse = ops.rsqrt(variance + BATCH_NORMALIZATION_EPSILON) * gamma
        return h * inverse + (beta - mean * inverse)

    def _activated(self, z: Any, chosen: Any) -> Any:
        """The slot's own activation. Selected, not summed: another one's overflow must not leak in as 0 * inf."""
        result = _ACTIVATE[self.activations[0]](z)
        for i, name in enumerate(self.activations[1:], 1):
            result = ops.where(chosen[:, i, None, None] > 0, _ACTIVATE[name](z), result)
        return result

    def _disturbed(self, h: Any, scalar: dict[str, Any], mask: Any, layer: int) -> Any:
        """Noise and dropout behind a hidden layer."""
        rows, width = h.shape[1], scalar["units"]
        if "activation_noise" in self.parts:
            noise = self._normal(rows, self.width, width, scalar, ACTIVATION_NOISE + 2 * layer)
            h = h + scalar["activation_noise"] * noise * mask
        if "dropout" in self.parts:
            bits = bits_at(_positions(rows, self.width, width), scalar["seed"], scalar["step"], DROPOUT + 2 * layer)
            kept = uniform(bits) >= ops.cast(scalar["dropout"], "float32")
            h = h * (ops.cast(kept, h.dtype) / (1.0 - scalar["dropout"]))
        return h

    def _normal(self, rows: int, columns: int, width: Any, scalar: dict[str, Any], number: int) -> Any:
        """Standard normal numbers (S, rows, columns) of the step; `width`: as many of the columns are no padding."""
        at = _positions(rows, columns, width)
        first, second = (bits_at(at, scalar["seed"], scalar["step"], number + i) for i in (0, 1))
        return ops.cast(normal(first, second), self.dtype)


def _scalar(of_slots: Any) -> Any:
    return ops.reshape(of_slots, (-1, 1, 1))


def _positions(rows: int, columns: int, width: Any) -> Any:
    """Where each entry stands in the array without padding: a padded network draws what the small one does."""
    row = ops.convert_to_tensor(np.arange(rows, dtype=np.uint32)[None, :, None])
    column = ops.convert_to_tensor(np.arange(columns, dtype=np.uint32)[None, None, :])
    return row * ops.cast(width, "uint32") + column


_ACTIVATE = {
    "relu": ops.relu,
    "leaky_relu": lambda z: ops.leaky_relu(z, negative_slope=0.2),
    "elu": ops.elu,
    "selu": ops.selu,
    "gelu": lambda z: ops.gelu(z, approximate=False),
    "swish": ops.silu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
}


def _possible(space: SearchSpace, name: str) -> bool:
    """Whether the space has a configuration in which the strength is not zero."""
    match space[name].range:
        case Fixed(value):
            return float(value) > 0
        case Choice(values):
            return any(float(v) > 0 for v in values)
        case numeric:
            return numeric.high > 0


def _choices(space: SearchSpace, name: str) -> tuple[str, ...]:
    """What a choice of the space may be."""
    match space[name].range:
        case Choice(values):
            return tuple(sorted(map(str, values)))
        case Fixed(value):
            return (str(value),)
        case _:
            raise ValueError(f"{name} is a choice")
