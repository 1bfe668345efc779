"""The network of a configuration as a user of Keras writes it, and its training by `model.fit`.

`tuned` is what Keras's guides offer for speed: a `tf.data` pipeline (cached, shuffled anew each epoch, prefetched), all
steps of an epoch a call (`steps_per_execution`), and validation in one batch. Of ten combinations it was among the
quickest on digits, on two busy CPU cores; the other cases were tried once and not told apart from arrays.
`jit_compile` stays at Keras's own choice: on digits, asking for XLA doubled a trial. `default` is what tutorials show:
arrays, one step a call.
"""

import math
import time
from typing import Any

import keras

from hpo.values import Configuration

from .cases import Case
from .rows import Rows

_MATCHING = {"selu": "lecun_normal", "tanh": "glorot_uniform", "sigmoid": "glorot_uniform"}


def train(
    case: Case, configuration: Configuration, rows: Rows, *, fit: str, callbacks: tuple[Any, ...] = ()
) -> dict[str, list[float]]:
    """A trial: the history of a network built, compiled and fitted anew."""
    keras.backend.clear_session()
    model = build(case, configuration, rows, fit=fit)
    return fitted(model, case, configuration, rows, fit=fit, callbacks=callbacks)


def build(case: Case, configuration: Configuration, rows: Rows, *, fit: str) -> keras.Model:
    """The compiled network."""
    inputs = keras.Input(rows.shape)
    noise = float(configuration["input_noise"])
    x = keras.layers.GaussianNoise(noise)(inputs) if noise else inputs
    x = _convolutions(x, configuration) if case.space.model == "cnn" else _dense(x, case, configuration)
    model = keras.Model(inputs, keras.layers.Dense(rows.outputs, **_penalty(configuration))(x))
    steps = _steps(configuration, rows)
    model.compile(
        _optimizer(configuration, case.epochs, steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True) if rows.classifies else "mse",
        metrics=["accuracy" if rows.classifies else "mse"],
        steps_per_execution=steps if fit == "tuned" else 1,
    )
    return model


def fitted(
    model: keras.Model, case: Case, configuration: Configuration, rows: Rows, *, fit: str, callbacks: tuple[Any, ...],
    epochs: int | None = None, initial_epoch: int = 0,
) -> dict[str, list[float]]:  # fmt: skip
    """Train with validation after each epoch. epochs: the last one; None: the case's."""
    patience = int(configuration["early_stopping"])
    stop = (keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True),) if patience else ()
    history = model.fit(
        **fed(configuration, rows, fit=fit), epochs=epochs or case.epochs, initial_epoch=initial_epoch, verbose=0,
        callbacks=[*stop, *callbacks], validation_data=(rows.x_valid, rows.y_valid),
        validation_batch_size=len(rows.x_valid) if fit == "tuned" else None,
    )  # fmt: skip
    return {name: [float(v) for v in values] for name, values in history.history.items()}


def fed(configuration: Configuration, rows: Rows, *, fit: str) -> dict[str, Any]:
    """The training rows as arguments of `fit`."""
    batch = int(configuration["batch_size"])
    if fit == "default" or keras.backend.backend() != "tensorflow":
        return {"x": rows.x, "y": rows.y, "batch_size": batch}
    import tensorflow as tf

    pipeline = tf.data.Dataset.from_tensor_slices((rows.x, rows.y)).cache().shuffle(len(rows.x))
    return {"x": pipeline.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE), "shuffle": False}


def finished(history: dict[str, list[float]], configuration: Configuration) -> float:
    """Validation accuracy of the weights that are kept: those of the best loss under early stopping."""
    if not int(configuration["early_stopping"]):
        return history["val_accuracy"][-1]
    losses = [v if math.isfinite(v) else math.inf for v in history["val_loss"]]
    return history["val_accuracy"][losses.index(min(losses))]


def seconds_an_epoch(case: Case, configuration: Configuration, rows: Rows, *, fit: str) -> tuple[float, float]:
    """Of `fit` alone, nothing validated or stored: (first call, a later epoch)."""
    model = build(case, configuration, rows, fit=fit)
    times = []
    for epochs in (1, case.epochs, case.epochs):
        began = time.perf_counter()
        model.fit(**fed(configuration, rows, fit=fit), epochs=epochs, verbose=0)
        times.append((time.perf_counter() - began) / epochs)
    return times[0], min(times[1:])


def _steps(configuration: Configuration, rows: Rows) -> int:
    return len(rows.x) // int(configuration["batch_size"])


def _penalty(configuration: Configuration) -> dict[str, Any]:
    l2 = float(configuration["l2"])
    return {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}


def _weights(configuration: Configuration) -> dict[str, Any]:
    name = str(configuration["initializer"])
    matched = _MATCHING.get(str(configuration["activation"]), "he_normal")
    return {"kernel_initializer": matched if name == "match" else name, **_penalty(configuration)}


def _dense(x: Any, case: Case, configuration: Configuration) -> Any:
    widths = case.widths or (int(configuration["units"]),) * int(configuration["hidden_layers"])
    for i, units in enumerate(widths):
        x = _activated(keras.layers.Dense(units, **_bias(configuration))(x), configuration)
        x = _dropout(x, configuration, last=i == len(widths) - 1)
    return x


def _convolutions(x: Any, configuration: Configuration) -> Any:
    for i in range(int(configuration["blocks"])):
        filters, size = int(configuration["filters"]) * 2**i, int(configuration["kernel_size"])
        x = keras.layers.Conv2D(filters, size, padding="same", **_bias(configuration))(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(_activated(x, configuration))
        x = _dropout(x, configuration, last=False)
    x = keras.layers.Dense(int(configuration["dense_units"]), **_bias(configuration))(keras.layers.Flatten()(x))
    return _dropout(_activated(x, configuration), configuration, last=True)


def _bias(configuration: Configuration) -> dict[str, Any]:
    return {"use_bias": configuration["batch_normalization"] != "before", **_weights(configuration)}


def _activated(x: Any, configuration: Configuration) -> Any:
    place = configuration["batch_normalization"]
    x = keras.layers.BatchNormalization(momentum=0.9)(x) if place == "before" else x
    x = keras.layers.Activation(str(configuration["activation"]))(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x) if place == "after" else x


def _dropout(x: Any, configuration: Configuration, *, last: bool) -> Any:
    """Where ours has it: behind the last normalization."""
    rate = float(configuration["dropout"])
    wanted = rate and (last or configuration["batch_normalization"] == "none")
    return keras.layers.Dropout(rate)(x) if wanted else x


def _optimizer(configuration: Configuration, epochs: int, steps: int) -> keras.optimizers.Optimizer:
    rate: Any = float(configuration["learning_rate"])
    schedules = keras.optimizers.schedules
    match configuration["schedule"]:
        case "cosine":
            rate = schedules.CosineDecay(rate, epochs * steps)
        case "exponential":
            every = int(float(configuration["decay_epochs"]) * steps)
            rate = schedules.ExponentialDecay(rate, every, float(configuration["decay_rate"]))
    match configuration["optimizer"]:
        case "nesterov":
            return keras.optimizers.SGD(rate, momentum=float(configuration["momentum"]), nesterov=True)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, rho=float(configuration["rho"]))
        case "adam":
            return keras.optimizers.Adam(rate, beta_1=float(configuration["beta_1"]))
        case other:
            raise ValueError(f"no case varies the optimizer {other!r}")
