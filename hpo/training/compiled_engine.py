"""The `compiled` engine: the runs of a cohort train together, a block of slots in one XLA program.

On a CPU a block has eight slots, four of a large network, whatever the cohort's size, and blocks train side by side in
threads: eight slots are as fast a run as thirty-two, two threads with a block each nearly twice as fast as one block on
two cores, and a run's numbers do not depend on how many slots its cohort has. On a GPU the cohort is one block.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training import backend, schedules, seam, update_rule
from hpo.training.builder import count_parameters
from hpo.training.choosing import MEASURED_AT_ONCE, block_slots
from hpo.training.cohort_program import Block, CohortProgram, Data, program_for
from hpo.training.curves import Scores, Tape, ended, row_order
from hpo.training.dense import Dense
from hpo.training.health import examined
from hpo.training.program import EvaluationRows, program_targets, scored
from hpo.values import (
    Array,
    Configuration,
    Fold,
    LayerHealth,
    Outcome,
    RunRequest,
    RunResult,
    TaskFacts,
    read_only,
)


@dataclass
class _Run:
    """A slot's run."""

    request: RunRequest
    epochs: int
    tape: Tape = field(default_factory=Tape)
    first: list[Array] | None = None
    """The weights it began with, until their first epoch has been looked at."""
    state: list[list[Array]] | None = None
    """Weights and moments at the exact width, once the run has ended: its place in the block may be overwritten."""


_Scored = tuple[int, _Run, tuple[Scores, Array]]


class CompiledSession:
    """See `hpo.training.session.Session`: its laws hold here, its methods mean the same."""

    def __init__(
        self, *, space: SearchSpace, structure: Configuration, facts: TaskFacts, folds: Sequence[Fold], metric: Metric,
        slots: int, precision: str, limit_epochs: int | None, reason: str,
    ) -> None:  # fmt: skip
        self._space, self._facts, self._metric, self._limit = space, facts, metric, limit_epochs
        self._structure, self._reason = space.structure(structure), reason
        self._device = backend.prepare()
        self._network = Dense.of(space, structure, facts, precision)
        self._folds = tuple(folds)
        self._measured = [EvaluationRows(fold, i) for i, fold in enumerate(folds)]
        rows = min(len(fold.x_train) for fold in folds)
        self._batch = min(int(structure["batch_size"]), rows)
        self._steps = rows // self._batch
        self._longest = max(len(fold.x_train) for fold in folds)
        self._size = block_slots(self._network.lengths[0]) if self._device == "cpu" else slots
        self._slots: list[_Run | None] = [None] * slots
        self._program = program_for(self._network, self._size)
        with seam.room():
            self._data = self._load()
        self._blocks = [_Place(self._program) for _ in range(-(-slots // self._size))]
        # More threads than cores: while one reads its block's curves on the host, another's program runs.
        self._pool = ThreadPoolExecutor(min(len(self._blocks), 2 * (os.cpu_count() or 1)), "hpo-block")

    @property
    def slots(self) -> int:
        """How many runs can be in training at once."""
        return len(self._slots)

    def put(self, slot: int, request: RunRequest) -> None:
        """Begin a run in a free slot. Raises ValueError where the slot is taken or the structure is another."""
        run = self._admit(slot, request)
        rows = self._folds[request.fold].x_train
        weights = self._network.first_weights(request.configuration, request.seed, rows)
        trainable, _ = self._network.split(weights)
        run.first = self._network.exported(weights)
        run.tape.health += self._health(run, run.first, 0)
        self._place(slot, run, [weights, *([np.zeros_like(w) for w in trainable] for _ in (0, 1))])

    def advance(self, epochs: int) -> None:
        """Train every occupied, unfinished slot by up to so many epochs."""
        began = time.perf_counter()
        before = [len(run.tape) if run else 0 for run in self._slots]
        for run in self._slots:
            if run is not None and not run.epochs:
                run.tape.outcome = Outcome.DONE
        busy = [i for i in range(len(self._blocks)) if self._live(i)]
        for _ in self._pool.map(lambda i: self._advance_block(i, epochs), busy):
            pass
        # Blocks train side by side: a run's seconds are its share of the time that passed.
        trained = [len(run.tape) - b if run else 0 for run, b in zip(self._slots, before, strict=True)]
        share = (time.perf_counter() - began) / max(sum(trained), 1)
        for run, count in zip(self._slots, trained, strict=True):
            if run is not None:
                run.tape.seconds += share * count

    def finished(self, slot: int) -> bool:
        """Whether the slot's run has ended: done, stopped or diverged."""
        return self._occupied(slot).tape.outcome is not None

    def latest(self, slot: int) -> tuple[int, Scores]:
        """Epochs trained so far, and the scores after the last of them; NaN before the first."""
        return self._occupied(slot).tape.latest

    def result(self, slot: int) -> RunResult:
        """The run so far (its outcome reads `done` until it has one). Raises ValueError on an empty slot."""
        run = self._occupied(slot)
        tape = run.tape
        scores, predictions = tape.kept_scores, tape.kept_predictions
        if predictions is None:
            block, at = divmod(slot, self._size)
            ((_, _, (scores, predictions)),) = self._scored([(at, run)], self._blocks[block].measure(self._data))
        weights = tape.best_weights or self._exported(slot)
        health = tape.health if tape.best_epoch < 2 else [*tape.health, *self._health(run, weights, tape.best_epoch)]
        return RunResult(
            tape.outcome or Outcome.DONE, tape.curve(), tape.best_epoch, *scores,
            parameters=count_parameters(self._space, run.request.configuration, self._facts), seconds=tape.seconds,
            engine="compiled", device=self._device, predictions=np.array(predictions, np.float32),
            weights=read_only([w.copy() for w in weights]), engine_reason=self._reason, slots=self.slots,
            health=tuple(health),
        )  # fmt: skip

    def free(self, slot: int) -> None:
        """Empty a slot."""
        self._slots[slot] = None

    def snapshot(self, slot: int) -> Mapping[str, Any]:
        """All that is needed to go on later, bit for bit: arrays and plain values."""
        run = self._occupied(slot)
        weights, first, second = self._state(slot)
        return {"weights": weights, "first": first, "second": second, **run.tape.plain()}

    def restore(self, slot: int, request: RunRequest, snapshot: Mapping[str, Any]) -> None:
        """Put a run into a free slot at the point where `snapshot` was taken."""
        run = self._admit(slot, request)
        run.tape = Tape.from_plain(snapshot)
        state = [list(snapshot[name]) for name in ("weights", "first", "second")]
        self._place(slot, run, state)
        if run.tape.outcome is not None:
            run.state = state

    def close(self) -> None:
        """Give up memory. The compiled program stays for the sessions after this one."""
        self._slots = [None] * len(self._slots)
        self._blocks.clear()
        self._pool.shutdown()

    def _load(self) -> Data:
        """All folds on the device; the shorter ones padded with rows that are never read or never counted."""
        kind, longest = self._network.dtype, self._longest
        flat = [f.x_train.reshape(len(f.x_train), -1) for f in self._folds]
        x = np.concatenate([_lengthened(f, longest) for f in flat]).astype(kind)
        y = np.concatenate([_lengthened(program_targets(f.y_train), longest) for f in self._folds])
        rows = max(len(m.x) for m in self._measured)
        chunks = -(-rows // MEASURED_AT_ONCE)
        each = -(-rows // chunks)
        folds = [_lengthened(m.x.reshape(len(m.x), -1), chunks * each) for m in self._measured]
        x_measured = np.stack(folds).reshape(len(folds), chunks, each, -1).astype(kind)
        return Data(*seam.to_device([x, y, x_measured]))

    def _occupied(self, slot: int) -> _Run:
        run = self._slots[slot]
        if run is None:
            raise ValueError(f"slot {slot} is empty")
        return run

    def _admit(self, slot: int, request: RunRequest) -> _Run:
        if self._slots[slot] is not None:
            raise ValueError(f"slot {slot} is taken")
        configuration = request.configuration
        if self._space.structure(configuration) != self._structure or not self._network.admits(configuration):
            raise ValueError("the run has another structure than the session")
        epochs = request.epochs if self._limit is None else min(request.epochs, self._limit)
        run = self._slots[slot] = _Run(request, epochs)
        return run

    def _place(self, slot: int, run: _Run, state: list[list[Array]]) -> None:
        block, at = divmod(slot, self._size)
        network, (weights, *moments) = self._network, state
        trainable, statistics = network.split(weights)
        packed = Block(
            network.packed(trainable, statistics=False),
            network.packed(statistics, statistics=True),
            *(network.packed(m, statistics=False) for m in moments),
        )
        request = run.request
        numbers = network.numbers(request.configuration, request.seed, self._folds[request.fold].prior)
        self._blocks[block].put(at, packed, numbers, request.fold)

    def _exported(self, slot: int) -> list[Array]:
        """A slot's weights as they are kept and exported; copies."""
        return self._network.exported(self._state(slot)[0])

    def _state(self, slot: int) -> list[list[Array]]:
        """[weights, first moments, second moments] of a slot at the exact width; copies."""
        run = self._occupied(slot)
        if run.state is not None:
            return run.state
        block, at = divmod(slot, self._size)
        network, configuration, packed = self._network, run.request.configuration, self._blocks[block].take(at)
        weights, first, second = (
            network.exact(part, configuration, statistics=False)
            for part in (packed.weights, packed.first, packed.second)
        )
        statistics = network.exact(packed.statistics, configuration, statistics=True)
        return [network.merged(weights, statistics), first, second]

    def _live(self, block: int) -> list[tuple[int, _Run]]:
        """(place, run) of the block's runs that are in training."""
        slots = range(block * self._size, min((block + 1) * self._size, len(self._slots)))
        return [
            (slot % self._size, run) for slot in slots
            if (run := self._slots[slot]) is not None and run.tape.outcome is None
        ]  # fmt: skip

    def _advance_block(self, index: int, epochs: int) -> None:
        with seam.room():
            for _ in range(epochs):
                live = self._live(index)
                if not live:
                    return
                self._epoch(index, live)

    def _epoch(self, index: int, live: list[tuple[int, _Run]]) -> None:
        size, steps, kind = self._size, self._steps, self._network.dtype
        rule = np.tile(update_rule.at_rest(), (steps, size, 1))
        rows = np.zeros((steps, size, self._batch), np.int32)
        first = np.zeros(size, np.int32)
        rates = {}
        for at, run in live:
            request, epoch = run.request, len(run.tape)
            table = schedules.rates(request.configuration, epoch=epoch, epochs=run.epochs, steps=steps)
            rule[:, at] = update_rule.coefficients(request.configuration, table, epoch * steps)
            order = row_order(request.seed, epoch, len(self._folds[request.fold].x_train))
            rows[:, at] = order[: steps * self._batch].reshape(steps, -1) + request.fold * self._longest
            first[at], rates[at] = epoch * steps, float(table[-1])
        z, norm = self._blocks[index].epoch(rule.astype(kind), rows, first, self._data)
        for at, run, (scores, predictions) in self._scored(live, z):
            slot, patience = index * size + at, int(run.request.configuration["early_stopping"])
            if run.tape.add((*scores, rates[at], float(norm[at])), predictions, patience):
                run.tape.best_weights = self._exported(slot)
            if run.first is not None:
                run.tape.health += self._health(run, self._exported(slot), 1, run.first)
                run.first = None
            outcome = ended(run.tape, patience, run.epochs)
            if outcome is not None:
                run.state = self._state(slot)
            run.tape.outcome = outcome

    def _health(
        self, run: _Run, weights: Sequence[Array], epoch: int, before: Sequence[Array] | None = None
    ) -> tuple[LayerHealth, ...]:
        rows = self._measured[run.request.fold]
        return examined(
            self._space, run.request.configuration, self._facts.task, weights, rows.x, rows.y_probe, epoch=epoch,
            before=before,
        )  # fmt: skip

    def _scored(self, live: Sequence[tuple[int, _Run]], outputs: Array) -> Iterator[_Scored]:
        """Of a block's outputs: (place, run, (scores, predictions on the validation rows)) of each of its runs."""
        for fold in sorted({run.request.fold for _, run in live}):
            rows, there = self._measured[fold], [(at, run) for at, run in live if run.request.fold == fold]
            z = outputs[[at for at, _ in there], : len(rows.x)]
            found = scored(self._facts.task, self._metric, rows, z)
            yield from ((at, run, each) for (at, run), each in zip(there, found, strict=True))


class _Place:
    """A block with the numbers of its runs; on the device while it trains, on the host while slots change hands."""

    def __init__(self, program: CohortProgram) -> None:
        self._program, self._size = program, program.slots
        weights, statistics = (np.zeros((self._size, n), program.network.dtype) for n in program.network.lengths)
        self._host: Block | None = Block(weights, statistics, np.zeros_like(weights), np.zeros_like(weights))
        self._block: Block | None = None
        self._numbers: dict[str, Array] = {}
        self._on_device: dict[str, Any] | None = None
        self._fold = np.zeros(self._size, np.int32)

    def put(self, at: int, state: Block, numbers: dict[str, Array], fold: int) -> None:
        """Write a run's packed state and its numbers into a slot."""
        if self._block is not None:
            self._host, self._block = Block(*map(np.array, self._fetched())), None
        for array, value in zip(self._fetched(), state, strict=True):
            array[at] = value
        for name, value in numbers.items():
            self._numbers.setdefault(name, np.stack([np.zeros_like(value)] * self._size))[at] = value
        self._fold[at] = fold
        self._on_device = None

    def take(self, at: int) -> Block:
        """The packed state of a slot."""
        return Block(*(array[at] for array in self._fetched()))

    def epoch(self, rule: Array, rows: Array, first: Array, data: Data) -> tuple[Array, Array]:
        """Train for an epoch: outputs and gradient norms of every slot."""
        block, numbers = self._to_device()
        self._host = None
        self._block, z, norm = self._program.epoch(block, numbers, rule, rows, first, self._fold, data)
        return z, norm

    def measure(self, data: Data) -> Array:
        """Outputs of the slots as they are."""
        return self._program.measure(*self._to_device(), self._fold, data)

    def _to_device(self) -> tuple[Block, dict[str, Any]]:
        if self._block is None:
            self._block = Block(*seam.to_device(self._fetched()))
        if self._on_device is None:
            self._on_device = dict(zip(self._numbers, seam.to_device(list(self._numbers.values())), strict=True))
        return self._block, self._on_device

    def _fetched(self) -> Block:
        """The state on the host, read once an epoch."""
        if self._host is None:
            if self._block is None:
                raise RuntimeError("a block lies neither on the host nor on the device")
            self._host = Block(*map(seam.to_host, self._block))
        return self._host


def _lengthened(array: Array, rows: int) -> Array:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])
