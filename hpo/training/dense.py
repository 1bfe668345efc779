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
from typing import Any

import numpy as np

from hpo.space import Choice, Fixed, SearchSpace, padded_width
from hpo.training import update_rule
from hpo.training.backend import ops
from hpo.training.builder import BATCH_NORMALIZATION_EPSILON, BATCH_NORMALIZATION_MOMENTUM, INPUT_NOISE
from hpo.training.initializers import first_kernel
from hpo.training.layers import bits_at, normal, uniform
from hpo.training.losses import program_loss
from hpo.values import Array, Configuration, Task, TaskFacts

STATISTICS = ("mean", "variance")
_STRENGTHS = ("l1", "l2", "dropout", "input_noise", "clip_norm", "label_smoothing")


@dataclass(frozen=True)
class Dense:
    """What of a cohort is compiled: its structure, and which optional parts its space can ask for."""

    task: Task
    inputs: int
    outputs: int
    layers: int
    width: int
    normalization: str
    activations: tuple[str, ...]
    penalty: bool
    dropout: bool
    input_noise: bool
    clipping: bool = False
    smoothing: bool = False
    signs: bool = False
    """Whether a step may go by the sign."""
    dtype: str = "float32"

    @classmethod
    def of(cls, space: SearchSpace, configuration: Configuration, facts: TaskFacts, dtype: str = "float32") -> "Dense":
        """The network of a structure, with every part that some configuration of the space could have."""
        return cls(
            facts.task, int(np.prod(facts.input_shape)), facts.outputs, int(configuration["hidden_layers"]),
            padded_width(int(configuration["units"])), str(configuration["batch_normalization"]),
            _choices(space, "activation"), _possible(space, "l1") or _possible(space, "l2"),
            _possible(space, "dropout"), _possible(space, "input_noise"), _possible(space, "clip_norm"),
            facts.task.classifies and _possible(space, "label_smoothing"),
            any(update_rule.signed({"optimizer": name}) for name in _choices(space, "optimizer")), dtype,
        )  # fmt: skip

    def _shapes(self, width: int) -> list[tuple[int, int]]:
        """Of the kernels, at a width."""
        sizes = [self.inputs, *[width] * self.layers, self.outputs]
        return list(pairwise(sizes))

    def admits(self, configuration: Configuration) -> bool:
        """Whether the program has all parts that a configuration of its structure asks for."""
        asks = {name: float(configuration[name]) > 0 for name in _STRENGTHS}
        return (
            configuration["activation"] in self.activations
            and (self.penalty or not (asks["l1"] or asks["l2"]))
            and (self.dropout or not asks["dropout"])
            and (self.input_noise or not asks["input_noise"])
            and (self.clipping or not asks["clip_norm"])
            and (self.smoothing or not asks["label_smoothing"] or not self.task.classifies)
            and (self.signs or not update_rule.signed(configuration))
        )

    def names(self) -> list[str]:
        """The kinds of arrays of a network in the order of the Keras model's weights."""
        bias = [] if self.normalization == "before" else ["bias"]
        normalized = [] if self.normalization == "none" else ["gamma", "beta", *STATISTICS]
        return [*(["kernel", *bias, *normalized] * self.layers), "kernel", "bias"]

    def first_weights(self, configuration: Configuration, seed: int) -> list[Array]:
        """A run's first weights at its exact width, in the order of `names`."""
        shapes = iter(enumerate(self._shapes(int(configuration["units"]))))
        weights: list[Array] = []
        out = 0
        for name in self.names():
            if name == "kernel":
                layer, shape = next(shapes)
                out = shape[1]
                drawn = first_kernel(configuration, shape, seed=seed, layer=layer, output=layer == self.layers)
                weights.append(drawn.astype(self.dtype))
            else:
                weights.append(np.full(out, 1.0 if name in ("gamma", "variance") else 0.0, self.dtype))
        return weights

    def packed(self, arrays: Sequence[Array], *, statistics: bool) -> Array:
        """One run's exact arrays, trainable ones or statistics, as a slot holds them: padded with zeros, end to end."""
        parts = []
        for (_, rows, columns), array in zip(self._parts(self.width, statistics=statistics), arrays, strict=True):
            whole = np.zeros((rows, columns), self.dtype)
            exact = array.reshape(-1, array.shape[-1])
            whole[: exact.shape[0], : exact.shape[1]] = exact
            parts.append(whole.ravel())
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)

    def exact(self, slot: Array, configuration: Configuration, *, statistics: bool) -> list[Array]:
        """The inverse of `packed`; copies."""
        small = self._parts(int(configuration["units"]), statistics=statistics)
        arrays = []
        for whole, (name, rows, columns) in zip(self.unpacked(slot, statistics=statistics), small, strict=True):
            part = whole[:rows, :columns]
            arrays.append(part.copy() if name == "kernel" else part[0].copy())
        return arrays

    def unpacked(self, packed: Any, *, statistics: bool, reshape: Callable[..., Any] = np.reshape) -> list[Any]:
        """The padded arrays (..., rows, columns) that lie end to end in (..., length)."""
        arrays, begin = [], 0
        for _, rows, columns in self._parts(self.width, statistics=statistics):
            end = begin + rows * columns
            arrays.append(reshape(packed[..., begin:end], (*packed.shape[:-1], rows, columns)))
            begin = end
        return arrays

    @property
    def lengths(self) -> tuple[int, int]:
        """How many numbers a slot has: trainable ones, and statistics."""
        trainable, statistics = (
            sum(rows * columns for _, rows, columns in self._parts(self.width, statistics=s)) for s in (False, True)
        )
        return trainable, statistics

    def kernels(self) -> Array:
        """1 where a packed trainable number belongs to a kernel, which penalties act on, else 0; (length,)."""
        parts = self._parts(self.width, statistics=False)
        return np.concatenate([np.full(rows * columns, name == "kernel", self.dtype) for name, rows, columns in parts])

    def split(self, weights: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """(trainable arrays, statistics) of arrays in the order of `names`."""
        named = list(zip(self.names(), weights, strict=True))
        return [w for n, w in named if n not in STATISTICS], [w for n, w in named if n in STATISTICS]

    def merged(self, trainable: Sequence[Any], statistics: Sequence[Any]) -> list[Any]:
        """The inverse of `split`."""
        one, two = iter(trainable), iter(statistics)
        return [next(two) if name in STATISTICS else next(one) for name in self.names()]

    def _parts(self, width: int, *, statistics: bool) -> list[tuple[str, int, int]]:
        """(name, rows, columns) of the trainable arrays or of the statistics, at a width."""
        shapes = iter(self._shapes(width))
        parts = []
        columns = 0
        for name in self.names():
            rows = 1
            if name == "kernel":
                rows, columns = next(shapes)
            if (name in STATISTICS) is statistics:
                parts.append((name, rows, columns))
        return parts

    def numbers(self, configuration: Configuration, seed: int) -> dict[str, Array]:
        """What of a run enters the program as numbers, without the slot axis."""
        of = {name: np.asarray(float(configuration[name]), self.dtype) for name in _STRENGTHS}
        units = int(configuration["units"])
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
        scalar = {k: ops.reshape(v, (-1, 1, 1)) for k, v in numbers.items() if k not in ("mask", "activation")}
        mask = numbers["mask"][:, None, :]
        at = None if step is None else ops.reshape(step, (-1, 1, 1))
        h = x
        if self.input_noise and at is not None:
            h = h + scalar["input_noise"] * self._noise(x.shape[1], scalar["seed"], at)
        for layer in range(self.layers):
            h = ops.matmul(h, next(parts))
            if self.normalization == "before":
                h = self._normalized(h, parts, statistics, training=at is not None)
                h = self._activated(h, numbers["activation"]) * mask
            elif self.normalization == "after":
                # Masked before as well: sigmoid gives padding a half, which the moving averages would take up.
                h = self._activated(h + next(parts), numbers["activation"]) * mask
                h = self._normalized(h, parts, statistics, training=at is not None) * mask
            else:
                h = self._activated(h + next(parts), numbers["activation"]) * mask
            if self.dropout and at is not None and (layer == self.layers - 1 or self.normalization == "none"):
                number = INPUT_NOISE + 2 * (1 + (layer if self.normalization == "none" else 0))
                h = self._dropped(h, scalar, at, number)
        return ops.matmul(h, next(parts)) + next(parts), statistics

    def loss_of(self, y: Any, z: Any, numbers: dict[str, Any]) -> Any:
        """The mean unpenalised loss of each slot, (S,); y (S, B), z (S, B, O)."""
        return program_loss(self.task, y, z, numbers["label_smoothing"][:, None] if self.smoothing else None)

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

    def _dropped(self, h: Any, scalar: dict[str, Any], step: Any, number: int) -> Any:
        rows = np.arange(h.shape[1], dtype=np.uint32)[None, :, None]
        columns = np.arange(self.width, dtype=np.uint32)[None, None, :]
        # A mask's position counts in the exact width, so that the padded network drops the units of the small one.
        positions = ops.convert_to_tensor(rows) * ops.cast(scalar["units"], "uint32") + ops.convert_to_tensor(columns)
        kept = uniform(bits_at(positions, scalar["seed"], step, number)) >= ops.cast(scalar["dropout"], "float32")
        return h * (ops.cast(kept, h.dtype) / (1.0 - scalar["dropout"]))

    def _noise(self, rows: int, seed: Any, step: Any) -> Any:
        positions = ops.convert_to_tensor(np.arange(rows * self.inputs, dtype=np.uint32).reshape(1, rows, self.inputs))
        first, second = (bits_at(positions, seed, step, INPUT_NOISE + i) for i in (0, 1))
        return ops.cast(normal(first, second), self.dtype)


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
