"""One compiled program of the `compiled` engine: an epoch of training for a block of slots, and its measurement.

A program is decided by the network's structure and parts, the number of slots in a block, and the shapes of the data.
All else is its input: so it serves every run of the structure, and later stages find it compiled already.
"""

import threading
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hpo.training import seam, update_rule
from hpo.training.backend import ops
from hpo.training.dense import STATISTICS, Dense
from hpo.values import Array


@dataclass
class Block:
    """The state of some slots on the device; every array has the slot axis first."""

    trainable: list[Any]
    statistics: list[Any]
    first: list[Any]
    """Moments, one for each trainable array."""
    second: list[Any]


@dataclass(frozen=True, eq=False)
class Data:
    """The rows of all folds on the device, shared by a session's blocks."""

    x: Any
    """(folds * training rows, inputs)."""
    y: Any
    """(folds * training rows,)."""
    x_measured: Any
    """(folds, chunks, rows, inputs): training probe, then validation rows, then padding."""


@dataclass(eq=False)
class CohortProgram:
    """A network's epoch, compiled at its first call; later calls may come from several threads."""

    network: Dense
    slots: int
    seconds: float = 0.0
    """What its first call took."""
    _first: threading.Lock = field(default_factory=threading.Lock)
    _ready: bool = False

    def __post_init__(self) -> None:
        self._epoch = seam.compiled(self._train_and_measure)
        self._measured = seam.compiled(self._measure)

    def epoch(
        self, block: Block, numbers: dict[str, Any], rule: Array, rows: Array, first: Array, fold: Array, data: Data
    ) -> tuple[Block, Array, Array]:
        """Train every slot for an epoch: (state, outputs (slots, rows, outputs), gradient norms (slots,)).

        `rule` (steps, slots, 9): see `update_rule`. `rows` (steps, slots, batch): rows of `data.x`. `first`
        (slots,): the number of the epoch's first step. `fold` (slots,): which fold each slot is measured on.
        """
        arguments = (
            block.trainable, block.statistics, block.first, block.second, numbers,
            *seam.to_device([rule, rows, first, fold]), data.x, data.y, data.x_measured,
        )  # fmt: skip
        *state, z, norm = self._once(arguments)
        return Block(*state), seam.to_host(z), seam.to_host(norm)

    def measure(self, block: Block, numbers: dict[str, Any], fold: Array, data: Data) -> Array:
        """Outputs of the block as it is, (slots, rows, outputs)."""
        folds = seam.to_device([fold])[0]
        return seam.to_host(
            self._measured(self.merged(block.trainable, block.statistics), numbers, folds, data.x_measured)
        )

    def _once(self, arguments: tuple[Any, ...]) -> Any:
        """The first call compiles: threads that came together wait for it, or each would compile for itself."""
        if self._ready:
            return self._epoch(*arguments)
        with self._first:
            began = time.perf_counter()
            result = self._epoch(*arguments)
            if not self._ready:
                self.seconds, self._ready = time.perf_counter() - began, True
        return result

    def split(self, weights: list[Any]) -> tuple[list[Any], list[Any]]:
        """(trainable arrays, statistics) of arrays in the order of the network's weights."""
        named = list(zip(self.network.names(), weights, strict=True))
        return [w for n, w in named if n not in STATISTICS], [w for n, w in named if n in STATISTICS]

    def merged(self, trainable: list[Any], statistics: list[Any]) -> list[Any]:
        """The inverse of `split`."""
        one, two = iter(trainable), iter(statistics)
        return [next(two) if name in STATISTICS else next(one) for name in self.network.names()]

    def _train_and_measure(
        self, trainable: Any, statistics: Any, first_moments: Any, second_moments: Any, numbers: Any, rule: Any,
        rows: Any, first: Any, fold: Any, x: Any, y: Any, x_measured: Any,
    ) -> Any:  # fmt: skip
        def step(i: Any, state: Any) -> Any:
            w, s, m, v, square = state
            gradients, s = self._gradients(
                w, s, numbers, ops.take(x, rows[i], axis=0), ops.take(y, rows[i], axis=0), first + i
            )
            stepped = [update_rule.step(*arrays, rule[i]) for arrays in zip(w, m, v, gradients, strict=True)]
            square = square + sum(ops.sum(ops.square(g), axis=(1, 2)) for g in gradients)
            return [a for a, _, _ in stepped], s, [a for _, a, _ in stepped], [a for _, _, a in stepped], square

        zero = ops.zeros((self.slots,), self.network.dtype)
        state = (list(trainable), list(statistics), list(first_moments), list(second_moments), zero)
        w, s, m, v, square = seam.loop(rows.shape[0], step, state)
        z = self._measure(self.merged(w, s), numbers, fold, x_measured)
        return w, s, m, v, z, ops.sqrt(square / rows.shape[0])

    def _gradients(self, w: Any, s: Any, numbers: Any, x: Any, y: Any, step: Any) -> tuple[list[Any], list[Any]]:
        def loss(weights: list[Any]) -> tuple[Any, list[Any]]:
            merged = self.merged(weights, s)
            z, statistics = self.network.outputs_of(merged, x, numbers, step)
            total = self.network.loss_of(y, z)
            if self.network.penalty:
                total = total + self.network.penalty_of(merged, numbers)
            # Slots share no weight, so the sum's gradient holds each slot's own.
            return ops.sum(total), statistics

        return seam.gradient(loss, w)

    def _measure(self, weights: Any, numbers: Any, fold: Any, x_measured: Any) -> Any:
        chunks = x_measured.shape[1]
        if chunks == 1:
            return self.network.outputs_of(weights, ops.take(x_measured[:, 0], fold, axis=0), numbers)[0]
        z = seam.each(
            chunks,
            lambda i: self.network.outputs_of(weights, ops.take(x_measured[:, i], fold, axis=0), numbers)[0],
            self.network.dtype,
        )
        return ops.reshape(ops.transpose(z, (1, 0, 2, 3)), (self.slots, -1, self.network.outputs))


@cache
def program_for(network: Dense, slots: int) -> CohortProgram:
    """The process's program of a network: what is compiled is never given back, so all sessions share it."""
    return CohortProgram(network, slots)
