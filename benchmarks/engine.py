"""Cost of a trial: a session of the `fit` engine against a Keras model built, compiled and fitted anew for each trial.

scikit-learn's digits, 64-64-10, relu, Adam, batch 32, 15 epochs, validation after each epoch on both sides. Learning
rate and dropout differ from trial to trial. The sides take turns; imports apart, tracing included.
"""

import statistics
import time

import numpy as np

from hpo.data.load import load
from hpo.metrics import METRICS
from hpo.studyfile import load_study
from hpo.training.backend import keras
from hpo.training.engine import open_session
from hpo.values import RunRequest

TRIALS, EPOCHS = 10, 15

spec = load_study("digits", overrides={})
dataset = load(spec.data, seed=0, metric="accuracy", base=".", data_dir=None)
fold = dataset.fold(0)
rates = np.geomspace(1e-3, 1e-2, TRIALS)
drops = np.linspace(0.05, 0.4, TRIALS)
base = {**spec.space.default(), "units": 64, "hidden_layers": 2, "optimizer": "adam", "batch_size": 32}
session = open_session(space=spec.space, structure=base, facts=dataset.facts, folds=[fold], metric=METRICS["accuracy"])


def ours(k: int) -> float:
    """Accuracy on the validation rows."""
    configuration = {**base, "learning_rate": float(rates[k]), "dropout": float(drops[k])}
    session.put(0, RunRequest(configuration, k, 0, EPOCHS))
    session.advance(EPOCHS)
    result = session.result(0)
    session.free(0)
    return result.validation_metric


def plain(k: int) -> float:
    """The same network as a user would write it."""
    layer, drop = keras.layers.Dense, keras.layers.Dropout
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layer(64, activation="relu"),
            drop(float(drops[k])),
            layer(64, activation="relu"),
            drop(float(drops[k])),
            layer(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(float(rates[k])), loss, metrics=["accuracy"])
    validation = (fold.x_valid, fold.y_valid)
    history = model.fit(fold.x_train, fold.y_train, batch_size=32, epochs=EPOCHS, verbose=0, validation_data=validation)
    return float(history.history["val_accuracy"][-1])


times: dict[str, list[float]] = {"ours": [], "plain": []}
scores: dict[str, list[float]] = {"ours": [], "plain": []}
for k in range(TRIALS):
    for name, run in (("ours", ours), ("plain", plain)):
        began = time.perf_counter()
        scores[name].append(run(k))
        times[name].append(time.perf_counter() - began)
for name in times:
    median, first = statistics.median(times[name]), times[name][0]
    print(f"{name:6} {median:.3f} s a trial (first {first:.2f} s), accuracy {statistics.mean(scores[name]):.4f}")
pairs = [p / o for p, o in zip(times["plain"], times["ours"], strict=True)]
print(f"ratio plain / ours: median {statistics.median(pairs):.1f}, sums {sum(times['plain']) / sum(times['ours']):.1f}")
