"""What both Keras peers share: the best epoch of any trial is kept, as a checkpoint of the best would."""

from typing import Any

import keras

from benchmarks.peers import network
from hpo.values import Configuration

from .task import Task
from .watch import Watch

FIT = "tuned"
"""Peers call `model.fit` the quick way of `benchmarks.peers.network`."""


def objective(task: Task) -> str:
    """The name of the validation metric in Keras's logs."""
    return "val_accuracy" if task.classifies else "val_mse"


class Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Offers each epoch's weights."""

    def __init__(self, task: Task, watch: Watch, configuration: Configuration) -> None:
        super().__init__()
        self._task, self._watch, self._configuration = task, watch, configuration

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        score = self._task.score(float(logs[objective(self._task)]))
        self._watch.offer(score, lambda: (self._configuration, self.model.get_weights()))


def predict(task: Task, kept: Any) -> Any:
    """Answers to the test rows of the best weights."""
    configuration, weights = kept
    keras.backend.clear_session()
    model = network.build(task.case, configuration, task.rows, fit=FIT)
    model.set_weights(weights)
    x = task.test()[1]
    return task.unscaled(model.predict(x.reshape(len(x), -1), batch_size=1024, verbose=0))
