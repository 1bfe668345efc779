"""One compiled program of the `compiled` engine: an epoch of training for a block of slots, and its measurement.

A program is decided by the network's structure and parts, the number of slots in a block, and the shapes of the data.
All else is its input: so it serves every run of the structure, and later stages find it compiled already.
"""

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from hpo.training import seam, update_rule
from hpo.training.backend import ops
from hpo.training.dense import Dense
from hpo.values import Array


class Block(NamedTuple):
    """The state of some slots, an array with a row for each slot: see `Dense.packed`.

    Long arrays instead of a dozen small ones, of which each is compiled by itself in every place it is used.
    """

    weights: Any
    """Trainable, (slots, length)."""
    statistics: Any
    """Of normalizations, (slots, length)."""
    first: Any
    """Moments, (slots, length of the weights)."""
    second: Any


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
    _first: threading.Lock = field(default_factory=threading.Lock)
    _ready: bool = False

    def __post_init__(self) -> None:
        self._epoch = seam.compiled(self._train_and_measure)
        self._measured = seam.compiled(self._measure)

    def epoch(
        self, block: Block, numbers: dict[str, Any], rule: Array, rows: Array, first: Array, fold: Array, data: Data
    ) -> tuple[Block, Array, Array]:
        """Train every slot for an epoch: (state, outputs (slots, rows, outputs), gradient norms (slots,)).

        `rule` (steps, slots, 10): see `update_rule`. `rows` (steps, slots, batch): rows of `data.x`. `first`
        (slots,): the number of the epoch's first step. `fold` (slots,): which fold each slot is measured on.
        """
        arguments = (
            tuple(block), numbers,
            *seam.to_device([rule, rows, first, fold]), data.x, data.y, data.x_measured,
        )  # fmt: skip
        state, z, norm = self._once(arguments)
        return Block(*state), seam.to_host(z), seam.to_host(norm)

    def measure(self, block: Block, numbers: dict[str, Any], fold: Array, data: Data) -> Array:
        """Outputs of the block as it is, (slots, rows, outputs)."""
        folds = seam.to_device([fold])[0]
        return seam.to_host(self._measured(block.weights, block.statistics, numbers, folds, data.x_measured))

    def _once(self, arguments: tuple[Any, ...]) -> Any:
        """The first call compiles: threads that came together wait for it, or each would compile for itself."""
        if self._ready:
            return self._epoch(*arguments)
        with self._first:
            result = self._epoch(*arguments)
            self._ready = True
        return result

    def _train_and_measure(
        self, block: Any, numbers: Any, rule: Any, rows: Any, first: Any, fold: Any, x: Any, y: Any, x_measured: Any
    ) -> Any:
        def step(i: Any, state: Any) -> Any:
            w, s, m, v, square = state
            x_batch, y_batch = ops.take(x, rows[i], axis=0), ops.take(y, rows[i], axis=0)
            g, s = self._gradient(w, s, numbers, x_batch, y_batch, first + i)
            added = ops.sum(ops.square(g), axis=1)
            parts = self.network.parts
            if "clip_norm" in parts:
                g = g * update_rule.clipping(added, numbers["clip_norm"])[:, None]
            if "gradient_noise" in parts:
                g = self.network.disturbed_gradient(g, numbers, first + i)
            table = ops.reshape(ops.transpose(rule[i]), (-1, self.slots, 1))
            w, m, v = update_rule.step(w, m, v, g, table, signs="signs" in parts)
            if "max_norm" in parts:
                w = self.network.bounded(w, numbers["max_norm"])
            return w, s, m, v, square + added

        state = (*block, ops.zeros((self.slots,), self.network.dtype))
        *trained, square = seam.loop(rows.shape[0], step, state)
        z = self._measure(trained[0], trained[1], numbers, fold, x_measured)
        return tuple(trained), z, ops.sqrt(square / rows.shape[0])

    def _gradient(self, w: Any, s: Any, numbers: Any, x: Any, y: Any, step: Any) -> tuple[Any, Any]:
        """(gradient, new statistics), packed as the weights and the statistics are."""
        network = self.network
        statistics = network.unpacked(s, statistics=True, reshape=ops.reshape)

        def loss(weights: list[Any]) -> tuple[Any, list[Any]]:
            z, changed = network.outputs_of(network.merged(weights, statistics), x, numbers, step)
            # Slots share no weight, so the sum's gradient holds each slot's own.
            return ops.sum(network.loss_of(y, z, numbers)), changed

        gradients, changed = seam.gradient(loss, network.unpacked(w, statistics=False, reshape=ops.reshape))
        g = ops.concatenate([ops.reshape(part, (self.slots, -1)) for part in gradients], axis=1)
        if network.parts & {"l1", "l2"}:
            # Of l1 |w| + l2 w^2, Keras's form, written out: differentiated by itself it compiles for each kernel anew.
            l1, l2 = numbers["l1"][:, None], numbers["l2"][:, None]
            g = g + network.kernels() * (l1 * ops.sign(w) + 2 * l2 * w)
        if changed:
            s = ops.concatenate([ops.reshape(part, (self.slots, -1)) for part in changed], axis=1)
        return g, s

    def _measure(self, w: Any, s: Any, numbers: Any, fold: Any, x_measured: Any) -> Any:
        network = self.network
        weights = network.merged(
            network.unpacked(w, statistics=False, reshape=ops.reshape),
            network.unpacked(s, statistics=True, reshape=ops.reshape),
        )
        chunks = x_measured.shape[1]
        if chunks == 1:
            return network.outputs_of(weights, ops.take(x_measured[:, 0], fold, axis=0), numbers)[0]
        z = seam.each(
            chunks,
            lambda i: network.outputs_of(weights, ops.take(x_measured[:, i], fold, axis=0), numbers)[0],
            network.dtype,
        )
        return ops.reshape(ops.transpose(z, (1, 0, 2, 3)), (self.slots, -1, network.outputs))


@cache
def program_for(network: Dense, slots: int) -> CohortProgram:
    """The process's program of a network: what is compiled is never given back, so all sessions share it."""
    return CohortProgram(network, slots)
