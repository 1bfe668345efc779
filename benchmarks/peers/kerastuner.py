"""KerasTuner: random search (its cheapest oracle), one execution a trial, results in its directory.

It stores the best epoch's metrics and a checkpoint of its weights, its own way, which cannot be left out; no learning
curve.
"""

from . import quiet  # isort: skip
import contextlib
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from hpo.space import Choice, Fixed, FloatRange, IntRange, SearchSpace
from hpo.values import Configuration, Scalar

from . import network, outcome
from .cases import CASES, Case
from .rows import Rows, load


def configured(space: SearchSpace, hp: Any) -> Configuration:
    """KerasTuner's define-by-run: conditions are scopes."""
    seen: dict[str, Scalar] = {}
    for h in space.hyperparameters:
        if isinstance(h.range, Fixed):
            seen[h.name] = h.range.value
            continue
        with contextlib.ExitStack() as scopes:
            for on, values in h.when:
                if space[on].varies:
                    scopes.enter_context(hp.conditional_scope(on, list(values)))
            value = _asked(hp, h.name, h.range)
        if space.active(h.name, seen):
            seen[h.name] = value
    return space.complete(seen)


def _asked(hp: Any, name: str, range_: FloatRange | IntRange | Choice) -> Any:
    match range_:
        case FloatRange(low, high, log):
            return hp.Float(name, low, high, sampling="log" if log else "linear")
        case IntRange(low, high, log):
            return hp.Int(name, low, high, sampling="log" if log else "linear")
        case Choice(values):
            return hp.Choice(name, list(values))


class Trials(keras_tuner.HyperModel):  # type: ignore[misc]
    """What KerasTuner asks for: a network, and its training."""

    def __init__(self, case: Case, rows: Rows, fit: str) -> None:
        super().__init__()
        self.case, self.rows, self.how, self.space = case, rows, fit, case.space
        self.scores: list[float] = []
        self.epochs = 0

    def build(self, hp: Any) -> keras.Model:
        return network.build(self.case, configured(self.space, hp), self.rows, fit=self.how)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        configuration = configured(self.space, hp)
        callbacks = tuple(kwargs["callbacks"])
        history = network.fitted(model, self.case, configuration, self.rows, fit=self.how, callbacks=callbacks)
        self.scores.append(network.finished(history, configuration))
        self.epochs += len(history["loss"])
        return {"val_accuracy": self.scores[-1]}


def main(folder: Path, name: str, trials: int, fit: str) -> outcome.Outcome:
    """Run the case."""
    case = CASES[name]
    model = Trials(case, load(case.data), fit)
    began = time.perf_counter()
    objective = keras_tuner.Objective("val_accuracy", "max")
    tuner = keras_tuner.RandomSearch(model, objective, max_trials=trials, directory=folder, project_name=name, seed=0)
    tuner.search(verbose=0)
    taken = time.perf_counter() - began
    settings = f"RandomSearch, 1 process, its own checkpoint of each best epoch; fit: {outcome.FIT[fit]}"
    packages = outcome.versions("keras-tuner", "keras", "tensorflow")
    return outcome.Outcome(len(model.scores), taken, model.scores, model.epochs, settings, {}, packages)


if __name__ == "__main__":
    assert quiet
    options = outcome.parser(__doc__).parse_args()
    outcome.write(main(options.folder, options.case, options.trials, options.fit), options.output)
