"""Training that sleeps, and the study that it stands in for: what is left is the cost of everything else.

`install` puts `SimulatedSession` in place of Keras for this process: whatever then runs the ordinary worker
(`hpo.run.joining.work`, or a leader that trains by itself) loads no TensorFlow. Curves, divergences, layers' health and
weights are a pure function of configuration, seed and epoch, so that a trial comes out the same wherever it trains,
however often it begins anew.
"""

import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hpo.studyfile.load import parse_study
from hpo.studyfile.spec import StudySpec
from hpo.training.curves import Scores
from hpo.values import Configuration, Curve, LayerHealth, Outcome, RunRequest, RunResult, fingerprint

CLASSES, VALIDATION_ROWS = 3, 36
"""Of the data set `wine`, which is loaded in earnest."""


def study(name: str, *, trials: int, epochs: int = 20, seed: int = 0, folds: int = 3, **search: Any) -> StudySpec:
    """A study over the whole bundled space of dense networks (17 to 20 hyperparameters a trial) that ends by its plan.

    `folds`: trainings of a trial. `search`: keys of the study file's section of that name.
    """
    table = {
        "name": name, "seed": seed, "space": "mlp", "data": {"source": "sklearn:wine", "folds": folds},
        "budget": {"trials": trials, "epochs": epochs}, "search": {"plateau": trials, "sampler": "tpe", **search},
        "training": {"memory": 16384},
    }  # fmt: skip
    return parse_study(table, where="simulated study", base=Path(), fallback=name)


def install(milliseconds: float, compile_seconds: float = 0.0) -> None:
    """From now on this process trains by sleeping: so long a run, however many slots train side by side."""
    module = ModuleType("hpo.training.engine")
    module.open_session = partial(  # type: ignore[attr-defined]
        SimulatedSession, run_seconds=milliseconds / 1e3, compile_seconds=compile_seconds
    )
    sys.modules["hpo.training.engine"] = module


class SimulatedSession:
    """See `hpo.training.session.Session`; a run's state is what epoch it has come to."""

    def __init__(
        self, *, structure: Configuration, slots: int = 1, run_seconds: float = 0.05, compile_seconds: float = 0.0,
        **_: Any,
    ) -> None:  # fmt: skip
        self.slots, self._run_seconds = slots, run_seconds
        self._held: dict[int, _Run] = {}
        time.sleep(compile_seconds)

    def put(self, slot: int, request: RunRequest) -> None:
        if slot in self._held:
            raise ValueError(f"slot {slot} is taken")
        self._held[slot] = _Run(request)

    def advance(self, epochs: int) -> None:
        going = [run for run in self._held.values() if run.epoch < run.end]
        if going:
            time.sleep(self._run_seconds * max(min(epochs, r.end - r.epoch) / r.request.epochs for r in going))
        for run in going:
            run.epoch = min(run.epoch + epochs, run.end)

    def finished(self, slot: int) -> bool:
        return self._held[slot].epoch >= self._held[slot].end

    def latest(self, slot: int) -> tuple[int, Scores]:
        run = self._held[slot]
        return run.epoch, run.scores(run.epoch)

    def result(self, slot: int) -> RunResult:
        return self._held[slot].result(self.slots, self._run_seconds)

    def free(self, slot: int) -> None:
        self._held.pop(slot, None)

    def snapshot(self, slot: int) -> dict[str, Any]:
        return {"epoch": self._held[slot].epoch}

    def restore(self, slot: int, request: RunRequest, snapshot: dict[str, Any]) -> None:
        self.put(slot, request)
        self._held[slot].epoch = snapshot["epoch"]

    def close(self) -> None:
        self._held.clear()


class _Run:
    """A run's whole curve, worked out when it begins."""

    def __init__(self, request: RunRequest) -> None:
        self.request, self.epoch = request, 0
        given = request.configuration
        rng = np.random.default_rng(request.seed % 2**32)
        epochs = np.arange(1, request.epochs + 1)
        rate = abs(float(np.log10(float(given.get("learning_rate", 1e-3)))) + 2.0)
        luck = int(fingerprint([given.get(n) for n in ("activation", "initializer", "batch_normalization")]), 16) % 997
        floor = 0.08 + 0.10 * rate + 0.3 * abs(float(given.get("dropout", 0.2)) - 0.2) + 1e-4 * luck
        fall = np.exp(-epochs * (0.35 - 0.08 * rate + 1e-4 * luck))
        valid = floor + (1.1 - floor) * fall + rng.normal(0, 0.004, len(epochs))
        train = np.maximum(valid - 0.02 - 0.002 * epochs, 1e-4)
        decay = np.full(len(epochs), float(given.get("learning_rate", 1e-3)))
        self.curve = Curve(train, valid, 1 - 0.5 * train, 1 - 0.5 * valid, decay, 0.5 * fall + 0.05)
        self.diverges = rate < 0.7 and float(given.get("learning_rate", 0.0)) > 0.02 and bool(rng.random() < 0.1)
        self.end = max(1, request.epochs // 3) if self.diverges else request.epochs
        if self.diverges:
            for column in (train, valid, self.curve.training_metric, self.curve.validation_metric):
                column[self.end - 1 :] = np.nan

    def scores(self, epoch: int) -> Scores:
        c, k = self.curve, epoch - 1
        columns = (c.training_loss, c.validation_loss, c.training_metric, c.validation_metric)
        train_loss, valid_loss, train, valid = (float(column[k]) if epoch else float("nan") for column in columns)
        return train_loss, valid_loss, train, valid

    def result(self, slots: int, run_seconds: float) -> RunResult:
        epoch, request = self.epoch, self.request
        outcome = Outcome.DIVERGED if self.diverges and epoch >= self.end else Outcome.DONE
        layers = [f"hidden {k + 1}" for k in range(int(request.configuration.get("hidden_layers", 1)))]
        health = tuple(
            LayerHealth(at, layer, 8.0, float("nan") if at != 1 else 0.01, 0.1, 0.2, 0.5, 0.1, 0.0, 0.0)
            for at in sorted({0, 1, epoch}) for layer in [*layers, "output"]
        )  # fmt: skip
        names = ("training_loss", "validation_loss", "training_metric", "validation_metric", "learning_rate",
                 "gradient_norm")  # fmt: skip
        return RunResult(
            outcome, Curve(*(getattr(self.curve, name)[:epoch] for name in names)), epoch, *self.scores(epoch), 1000,
            run_seconds * epoch / request.epochs / slots, "simulated", "cpu",
            np.full((VALIDATION_ROWS, CLASSES), 1 / CLASSES, np.float32), (np.zeros(64, np.float32),),
            "nothing is trained", slots, health,
        )  # fmt: skip
