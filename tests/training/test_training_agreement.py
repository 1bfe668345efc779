"""A whole short run of the `fit` engine against stock Keras: stock layers, stock regularizers, stock optimizers."""

import numpy as np
import pytest
from training_support import (
    CLASSES,
    IMAGES,
    NUMBERS,
    classes_fold,
    configured,
    numbers_fold,
    session_for,
    space_of,
    space_with,
    trained,
)

from hpo.seeds import derive
from hpo.space.catalogue import OPTIMIZERS
from hpo.training import backend, builder, optimizers
from hpo.training.backend import keras
from hpo.training.curves import row_order
from hpo.training.weights import exported_weights, set_exported_weights
from hpo.values import fingerprint

SEED, EPOCHS, BATCH = 5, 3, 16
DECAY = keras.optimizers.schedules.ExponentialDecay(0.01, 12, 0.5)


def stock_run(space, configuration, facts, fold, rate):
    """The same run by stock Keras: the same first weights and rows, `train_on_batch`, stock everything."""
    model = builder.build(space, configuration, facts, seed=SEED, runtime=False)
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=float(configuration["label_smoothing"])
    )
    of_numbers = {"match": "mse", "mae": "mae", "huber": keras.losses.Huber(float(configuration["huber_delta"]))}
    losses = {"match": cross_entropy, "focal": keras.losses.CategoricalFocalCrossentropy(1.0, 2.0, from_logits=True)}
    model.compile(
        optimizers.stock(configuration, rate),
        (losses if facts.outputs > 1 else of_numbers)[str(configuration["loss"])],
        jit_compile=False,
    )
    if configuration["max_norm"]:
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.constraint = keras.constraints.MaxNorm(float(configuration["max_norm"]))
    batch = min(BATCH, len(fold.x_train))
    for epoch in range(EPOCHS):
        order = np.random.default_rng(derive(SEED, "rows", epoch)).permutation(len(fold.x_train))
        for i in range(len(order) // batch):
            rows = order[i * batch : (i + 1) * batch]
            y = fold.y_train[rows] if facts.outputs == 1 else np.eye(facts.outputs)[fold.y_train[rows]]
            shares = fold.prior ** float(configuration["class_weight"]) if facts.outputs > 1 else np.ones(1)
            weights = (1 / shares / (fold.prior / shares).sum())[fold.y_train[rows]] if facts.outputs > 1 else None
            model.train_on_batch(fold.x_train[rows], y, sample_weight=weights)
    return model


SESSIONS = {}


def shared_session(space, configuration, facts, fold):
    """One for each structure: what two cases have in common compiles once."""
    key = (space.model, facts.task, fingerprint(space.structure(configuration)))
    if key not in SESSIONS:
        SESSIONS[key] = session_for(configuration, facts=facts, folds=[fold], model=space.model, space=space)
    return SESSIONS[key]


CASES = {
    **{name: (CLASSES, {"optimizer": name}) for name in OPTIMIZERS},
    "weight decay": (CLASSES, {"optimizer": "adamw", "weight_decay": 0.3}),
    "momentum 0.5": (CLASSES, {"optimizer": "momentum", "momentum": 0.5}),
    "betas": (CLASSES, {"optimizer": "adam", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "rho": (CLASSES, {"optimizer": "rmsprop", "rho": 0.5, "epsilon": 1e-2}),
    "l1 and l2": (CLASSES, {"l1": 0.003, "l2": 0.02}),
    "normalization before": (CLASSES, {"batch_normalization": "before", "activation": "tanh"}),
    "normalization after": (CLASSES, {"batch_normalization": "after", "l2": 0.01}),
    "smoothed labels": (CLASSES, {"label_smoothing": 0.3}),
    "clipped": (CLASSES, {"clip_norm": 0.05, "optimizer": "sgd"}),
    "focal": (CLASSES, {"loss": "focal"}),
    "class weights": (CLASSES, {"class_weight": 0.8}),
    "max-norm": (CLASSES, {"max_norm": 0.5}),
    "mae": (NUMBERS, {"loss": "mae"}),
    "huber": (NUMBERS, {"loss": "huber", "huber_delta": 0.4}),
    "regression": (NUMBERS, {"optimizer": "nesterov", "l2": 0.01}),
    "decay": (CLASSES, {"schedule": "exponential", "decay_rate": 0.5, "decay_epochs": 2.0}),
    "images": (IMAGES, {"filters": 2, "dense_units": 6, "l2": 0.01, "batch_normalization": "before"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_agrees_with_stock_keras(case):
    facts, values = CASES[case]
    space = space_of("cnn" if facts is IMAGES else "mlp")
    configuration = configured(space, **values)
    fold = numbers_fold() if facts is NUMBERS else classes_fold(shape=facts.input_shape)
    session = shared_session(space, configuration, facts, fold)
    result = trained(session, configuration, seed=SEED, epochs=EPOCHS)
    stock = stock_run(space, configuration, facts, fold, DECAY if case == "decay" else 0.01)
    start = exported_weights(builder.build(space, configuration, facts, seed=SEED, runtime=False))
    for ours, theirs, first in zip(result.weights, stock.weights, start, strict=True):
        theirs = backend.host(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max() + 1e-7)
        assert np.abs(ours - first).max() > 1e-4


def test_predictions_are_the_stock_models():
    space = space_of()
    configuration = configured(space, dropout=0.3, input_noise=0.1, batch_normalization="after", l2=0.01)
    fold = classes_fold()
    result = trained(session_for(configuration, folds=[fold]), configuration)
    stock = builder.build(space, configuration, CLASSES, seed=9, runtime=False)
    set_exported_weights(stock, result.weights)
    p = backend.host(keras.ops.softmax(stock(fold.x_valid)))
    np.testing.assert_allclose(result.predictions, p, atol=1e-6)
    assert result.predictions.shape == (40, 3)
    assert result.validation_metric == np.mean(p.argmax(1) == fold.y_valid)


@pytest.mark.parametrize("engine", ["fit", "compiled"])
def test_the_gradient_norm_is_that_of_the_gradients_that_training_followed(engine):
    fold = classes_fold()
    configuration = configured(space_of(), optimizer="momentum", learning_rate=0.1, l2=0.05)
    session = session_for(configuration, folds=[fold], engine=engine, space=space_with("l2"))
    norm = trained(session, configuration, seed=SEED, epochs=1).curve.gradient_norm[0]
    model = builder.build(space_of(), configuration, CLASSES, seed=SEED, runtime=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.stock(configuration, 0.1), loss, jit_compile=False)
    squares = []
    for rows in row_order(SEED, 0, 100)[:96].reshape(6, BATCH):
        _, parts = backend.gradient(model, loss, fold.x_train[rows], fold.y_train[rows])
        pairs = zip(parts, model.trainable_variables, strict=True)
        penalized = [p + 2 * 0.05 * backend.host(v) if p.ndim == 2 else p for p, v in pairs]
        squares.append(sum((p**2).sum() for p in penalized))
        model.train_on_batch(fold.x_train[rows], fold.y_train[rows])
    assert np.ptp(squares) > 0.1 * np.mean(squares)
    assert norm == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-4)
