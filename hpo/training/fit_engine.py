"""The `fit` engine: Keras's own training loop, one slot after another."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training import backend, schedules, update_rule
from hpo.training.backend import keras
from hpo.training.builder import count_parameters
from hpo.training.curves import Scores, Tape, ended, row_order
from hpo.training.health import examined
from hpo.training.health_of_models import HealthReader, reader_of
from hpo.training.program import EvaluationRows, Network, Program, Rows, network_key, scored, step_key
from hpo.training.weights import exported_weights
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
    """What a slot holds: everything of a run but what lies in its program's variables."""

    request: RunRequest
    program: Program
    epochs: int
    network_state: list[Array] = field(default_factory=list)
    """Set while another run's numbers lie in the network's variables."""
    optimizer_state: list[Array] = field(default_factory=list)
    tape: Tape = field(default_factory=Tape)
    first: list[Array] | None = None
    """The weights it began with, until their first epoch has been looked at; None where layers are not read."""

    @property
    def patience(self) -> int:
        return int(self.request.configuration["early_stopping"])


class FitSession:
    """See `hpo.training.session.Session`: its laws hold here, its methods mean the same."""

    def __init__(
        self, *, space: SearchSpace, structure: Configuration, facts: TaskFacts, folds: Sequence[Fold], metric: Metric,
        slots: int, precision: str, limit_epochs: int | None, reason: str,
    ) -> None:  # fmt: skip
        self._space, self._facts, self._folds, self._metric = space, facts, tuple(folds), metric
        self._structure = space.structure(structure)
        self._precision, self._limit, self._reason = precision, limit_epochs, reason
        self._device = backend.prepare()
        rows = min(len(fold.x_train) for fold in self._folds)
        self._batch = min(int(structure["batch_size"]), rows)
        self._steps = rows // self._batch
        self._slots: list[_Run | None] = [None] * slots
        self._networks: dict[tuple[object, ...], Network] = {}
        self._programs: dict[tuple[object, ...], Program] = {}
        self._readers: dict[tuple[object, ...], HealthReader | None] = {}
        self._rows: dict[tuple[int, ...], Rows] = {}
        self._evaluation: dict[int, EvaluationRows] = {}
        self._loaded: dict[tuple[int, ...], int] = {}

    @property
    def slots(self) -> int:
        """How many runs can be in training at once."""
        return len(self._slots)

    def put(self, slot: int, request: RunRequest) -> None:
        """Begin a run in a free slot. Raises ValueError where the slot is taken or the structure is another."""
        run = self._admit(slot, request)
        self._make_resident(run, restore=False)
        run.program.network.begin(request.configuration, request.seed, self._folds[request.fold].x_train)
        state = run.program.optimizer.state
        backend.assign(state, [np.zeros(v.shape, v.dtype) for v in state])
        weights = exported_weights(run.program.network.model)
        run.tape.health += self._health(run, weights, 0)
        run.first = weights if run.tape.health else None

    def advance(self, epochs: int) -> None:
        """Train every occupied, unfinished slot by up to so many epochs."""
        for run in self._slots:
            if run is not None and run.tape.outcome is None and epochs > 0:
                self._train(run, min(len(run.tape) + epochs, run.epochs))

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
        weights = tape.best_weights
        if weights is None:
            self._make_resident(run)
            weights = exported_weights(run.program.network.model)
        scores, predictions = tape.kept_scores, tape.kept_predictions
        if predictions is None:
            self._make_resident(run)
            scores, predictions = self._scores(run)
        health = tape.health if tape.best_epoch < 2 else [*tape.health, *self._health(run, weights, tape.best_epoch)]
        return RunResult(
            tape.outcome or Outcome.DONE, tape.curve(), tape.best_epoch, *scores,
            parameters=count_parameters(self._space, run.request.configuration, self._facts), seconds=tape.seconds,
            engine="fit", device=self._device, predictions=np.array(predictions, np.float32),
            weights=read_only([w.copy() for w in weights]), engine_reason=self._reason, slots=self.slots,
            health=tuple(health),
        )  # fmt: skip

    def free(self, slot: int) -> None:
        """Empty a slot."""
        run = self._slots[slot]
        if run is not None and run.program.network.resident is run:
            run.program.network.resident = None
        self._slots[slot] = None

    def snapshot(self, slot: int) -> Mapping[str, Any]:
        """All that is needed to go on later, bit for bit: arrays and plain values."""
        run = self._occupied(slot)
        self._make_resident(run)
        self._save(run)
        return {
            "network": [w.copy() for w in run.network_state], "optimizer": [w.copy() for w in run.optimizer_state],
            **run.tape.plain(),
        }  # fmt: skip

    def restore(self, slot: int, request: RunRequest, snapshot: Mapping[str, Any]) -> None:
        """Put a run into a free slot at the point where `snapshot` was taken."""
        run = self._admit(slot, request)
        run.tape = Tape.from_plain(snapshot)
        run.network_state, run.optimizer_state = list(snapshot["network"]), list(snapshot["optimizer"])
        self._make_resident(run)

    def close(self) -> None:
        """Give up models and memory."""
        self._slots = [None] * len(self._slots)
        self._networks, self._programs, self._rows, self._evaluation, self._loaded = {}, {}, {}, {}, {}
        self._readers = {}

    def _occupied(self, slot: int) -> _Run:
        run = self._slots[slot]
        if run is None:
            raise ValueError(f"slot {slot} is empty")
        return run

    def _admit(self, slot: int, request: RunRequest) -> _Run:
        if self._slots[slot] is not None:
            raise ValueError(f"slot {slot} is taken")
        if self._space.structure(request.configuration) != self._structure:
            raise ValueError("the run has another structure than the session")
        epochs = request.epochs if self._limit is None else min(request.epochs, self._limit)
        run = _Run(request, self._program(request), epochs)
        self._slots[slot] = run
        return run

    def _program(self, request: RunRequest) -> Program:
        configuration, fold = request.configuration, self._folds[request.fold]
        key = network_key(configuration)
        if key not in self._networks:
            self._networks[key] = Network(self._space, configuration, self._facts, self._precision)
        network = self._networks[key]
        shape = fold.x_train.shape
        if shape not in self._rows:
            self._rows[shape] = Rows(fold.x_train, fold.y_train)
        key = (*key, *step_key(configuration, self._facts.task), shape)
        if key not in self._programs:
            self._programs[key] = Program(network, self._rows[shape], configuration, self._steps, self._batch)
        return self._programs[key]

    def _make_resident(self, run: _Run, *, restore: bool = True) -> None:
        """Let the run's numbers lie in its program's variables; whoever was there is copied to the host."""
        network = run.program.network
        if network.resident is run:
            return
        if isinstance(network.resident, _Run):
            self._save(network.resident)
        network.resident = run
        if restore:
            backend.assign(network.variables, run.network_state)
            backend.assign(run.program.optimizer.state, run.optimizer_state)

    def _save(self, run: _Run) -> None:
        run.network_state = [backend.host(v) for v in run.program.network.variables]
        run.optimizer_state = [backend.host(v) for v in run.program.optimizer.state]

    def _load_fold(self, index: int) -> EvaluationRows:
        fold = self._folds[index]
        shape = fold.x_train.shape
        if self._loaded.get(shape) != index:
            backend.assign([self._rows[shape].x, self._rows[shape].y], [fold.x_train, fold.y_train])
            self._loaded[shape] = index
        return self._evaluated(index)

    def _evaluated(self, index: int) -> EvaluationRows:
        if index not in self._evaluation:
            self._evaluation[index] = EvaluationRows(self._folds[index], index)
        return self._evaluation[index]

    def _train(self, run: _Run, last: int) -> None:
        began = time.perf_counter()
        self._make_resident(run)
        rows = self._load_fold(run.request.fold)
        run.program.begin(run.request.configuration, run.request.seed, rows.fold.prior)
        if last > len(run.tape):
            run.program.fit(len(run.tape), last, _Epochs(self, run, rows))
        elif not run.epochs:
            run.tape.outcome = Outcome.DONE
        run.tape.seconds += time.perf_counter() - began

    def begin_epoch(self, run: _Run, epoch: int) -> float:
        """Set the coming epoch's rows and rates; returns the rate of its last step."""
        configuration = run.request.configuration
        rates = schedules.rates(configuration, epoch=epoch, epochs=run.epochs, steps=self._steps)
        table = update_rule.coefficients(configuration, rates, epoch * self._steps)
        run.program.optimizer.begin_epoch(table)
        rows = len(self._folds[run.request.fold].x_train)
        order = row_order(run.request.seed, epoch, rows)
        used = order[: self._steps * self._batch].reshape(self._steps, self._batch)
        run.program.trainee.order.assign(used)
        return float(rates[-1])

    def end_epoch(self, run: _Run, rows: EvaluationRows, rate: float) -> None:
        """Measure the epoch, keep its weights if they are the ones to keep, and see whether the run has ended."""
        network = run.program.network
        scores, predictions = self._scores(run, rows)
        norm = run.program.optimizer.gradient_norm
        if run.tape.add((*scores, rate, norm), predictions, run.patience):
            run.tape.best_weights = exported_weights(network.model)
        if run.first is not None:
            run.tape.health += self._health(run, exported_weights(network.model), 1, run.first)
            run.first = None
        run.tape.outcome = ended(run.tape, run.patience, run.epochs)

    def _health(
        self, run: _Run, weights: Sequence[Array], epoch: int, before: Sequence[Array] | None = None
    ) -> tuple[LayerHealth, ...]:
        configuration, rows = run.request.configuration, self._evaluated(run.request.fold)
        if self._space.model == "mlp":
            return examined(
                self._space, configuration, self._facts.task, weights, rows.x, rows.y_probe, epoch=epoch, before=before
            )
        key = network_key(configuration)
        if key not in self._readers:
            self._readers[key] = reader_of(self._space, configuration, self._facts, run.program.network.model)
        reader = self._readers[key]
        if reader is None:
            return ()
        return reader.read(weights, rows.x, rows.y_probe, epoch=epoch, before=before)

    def _scores(self, run: _Run, rows: EvaluationRows | None = None) -> tuple[Scores, Array]:
        """The four scores of the resident weights, and the predictions on the validation rows."""
        rows = rows or self._load_fold(run.request.fold)
        return scored(self._facts.task, self._metric, rows, run.program.network.evaluate(rows)[None])[0]


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets the session act where an epoch begins and ends."""

    def __init__(self, session: FitSession, run: _Run, rows: EvaluationRows) -> None:
        super().__init__()
        self.session, self.run, self.rows, self.rate = session, run, rows, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.rate = self.session.begin_epoch(self.run, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.session.end_epoch(self.run, self.rows, self.rate)
        if self.run.tape.outcome is not None:
            self.model.stop_training = True
