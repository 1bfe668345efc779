"""Layer health against Keras's gradients, and of networks whose fault is known."""

import numpy as np
import pytest
from training_support import (
    CLASSES,
    IMAGES,
    NUMBERS,
    classes_fold,
    configured,
    numbers_fold,
    numbers_of,
    session_for,
    space_of,
    trained,
)

from hpo.training import backend, builder
from hpo.training.backend import keras, ops
from hpo.training.fit_engine import FitSession
from hpo.training.health import ROWS, examined
from hpo.training.health_of_models import IMAGE_ROWS, reader_of
from hpo.training.losses import program_loss
from hpo.training.program import program_targets
from hpo.training.weights import exported_weights
from hpo.values import LayerHealth

SPACE = space_of()
IMAGE_SPACE = space_of("cnn")
IMAGE_FOLD = classes_fold(rows=IMAGE_ROWS, shape=IMAGES.input_shape)


def kernel_gradients(model, task, x, y, *, training):
    """dL/dW of each kernel by the backend's own means, in the order of the layers."""
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    if keras.backend.backend() == "jax":
        import jax

        rest = [v.value for v in model.non_trainable_variables]

        def loss(values):
            return program_loss(task, y, model.stateless_call(values, rest, x, training=training)[0])

        found = jax.grad(loss)([v.value for v in model.trainable_variables])
        return [np.asarray(g) for g, v in zip(found, model.trainable_variables, strict=True) if v.name == "kernel"]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = program_loss(task, y, model(x, training=training))
    return [backend.host(g) for g in tape.gradient(value, [v.value for v in kernels])]


def columns(health):
    """The numbers of each layer, its update ratio apart."""
    return [
        (h.weight_norm, h.gradient_norm, h.activation_mean, h.activation_deviation, h.dead_share, h.saturated_share,
         h.alike_share) for h in health
    ]  # fmt: skip


def looked_at(space, configuration, facts, fold, *, change=None, before=False):
    """(health by Keras, the stock model with the same weights)."""
    runtime = builder.build(space, configuration, facts, seed=1, runtime=True)
    weights = exported_weights(runtime)
    first = [w.copy() for w in weights] if before else None
    if change is not None:
        change(weights)
    stock = builder.build(space, configuration, facts, seed=1, runtime=False)
    stock.set_weights(weights)
    states = [backend.host(v) for v in runtime.variables]
    reader = reader_of(space, configuration, facts, runtime)
    found = reader.read(weights, fold.x_train, program_targets(fold.y_train), epoch=2, before=first)
    for variable, state in zip(runtime.variables, states, strict=True):
        np.testing.assert_array_equal(backend.host(variable), state)
    return found, stock


def health_of(configuration, facts=CLASSES, fold=None, *, seed=1, before=None):
    fold = fold or classes_fold(rows=64)
    model = builder.build(SPACE, configuration, facts, seed=seed, runtime=False)
    weights = exported_weights(model)
    rows = program_targets(fold.y_train)
    found = examined(SPACE, configuration, facts.task, weights, fold.x_train, rows, epoch=0, before=before)
    return found, model, fold


@pytest.mark.parametrize("place", ["none", "before", "after"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "selu"])
@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_gradients_and_activations_are_those_of_keras(place, activation, task):
    facts, fold = (CLASSES, classes_fold(rows=64)) if task == "classes" else (NUMBERS, numbers_fold(rows=64))
    configuration = configured(SPACE, batch_normalization=place, activation=activation, hidden_layers=3, units=7)
    found, model, fold = health_of(configuration, facts, fold)
    gradients = kernel_gradients(model, facts.task, fold.x_train, program_targets(fold.y_train), training=True)
    assert [h.layer for h in found] == ["hidden 1", "hidden 2", "hidden 3", "output"]
    np.testing.assert_allclose([h.gradient_norm for h in found], [np.linalg.norm(g) for g in gradients], rtol=2e-4)
    inner = keras.Model(model.input, [y.output for y in model.layers if isinstance(y, keras.layers.Activation)])
    for health, h in zip(found, inner(np.asarray(fold.x_train), training=True), strict=False):
        h = backend.host(h)
        np.testing.assert_allclose(health.activation_deviation, h.std(), rtol=1e-4)
        np.testing.assert_allclose(health.activation_mean, h.mean(), rtol=1e-3, atol=1e-5)


def test_what_ails_a_layer_shows():
    dead, model, fold = health_of(configured(SPACE, activation="relu", units=10))
    assert max(h.dead_share for h in dead) < 0.5
    weights = exported_weights(model)
    weights[1][:6] = -1e3
    sick = examined(
        SPACE, configured(SPACE, activation="relu", units=10), CLASSES.task, weights, fold.x_train,
        program_targets(fold.y_train), epoch=3, before=exported_weights(model),
    )  # fmt: skip
    assert sick[0].dead_share >= 0.6
    assert sick[0].epoch == 3
    assert sick[0].update_ratio == 0
    saturated, *_ = health_of(configured(SPACE, activation="tanh", initializer="normal_1.0", units=200))
    assert saturated[1].saturated_share > 0.5
    alike, *_ = health_of(configured(SPACE, activation="sigmoid", initializer="constant"))
    assert alike[0].alike_share == alike[1].alike_share == 1
    assert not any(h.alike_share for h in dead)


@pytest.mark.parametrize("engine", ["fit", "compiled"])
def test_a_run_is_looked_at_at_its_start_after_an_epoch_and_at_its_end(engine):
    configuration = configured(SPACE, learning_rate=0.05)
    session = session_for(configuration, engine=engine, space=SPACE)
    result = trained(session, configuration, epochs=4)
    assert [h.epoch for h in result.health] == [0] * 3 + [1] * 3 + [4] * 3
    assert np.isnan([h.update_ratio for h in result.health if h.epoch != 1]).all()
    assert all(0 < h.update_ratio < 1 for h in result.health if h.epoch == 1)
    assert all(isinstance(h, LayerHealth) for h in result.health)
    assert len(classes_fold().y_valid) <= ROWS


def test_numpy_reads_the_mlp_alone():
    assert examined(IMAGE_SPACE, {}, CLASSES.task, [], np.zeros((1, 1)), np.zeros(1), epoch=0) == ()


@pytest.mark.parametrize("place", ["none", "before", "after"])
@pytest.mark.parametrize("weight_normalization", ["none", "centered"])
@pytest.mark.parametrize(("task", "activation"), [("classes", "relu"), ("numbers", "tanh")])
def test_keras_reads_of_an_mlp_what_numpy_reads(place, weight_normalization, activation, task):
    facts, fold = (CLASSES, classes_fold(rows=64)) if task == "classes" else (NUMBERS, numbers_fold(rows=64))
    configuration = configured(
        SPACE, batch_normalization=place, weight_normalization=weight_normalization, activation=activation,
        initializer="normal_1.0", dropout=0.3, weight_noise=0.2, l2=0.1,
    )  # fmt: skip

    def change(weights):
        weights[0][:] *= 1.5

    found, stock = looked_at(SPACE, configuration, facts, fold, change=change, before=True)
    weights = exported_weights(stock)
    before = [w / 1.5 if i == 0 else w for i, w in enumerate(weights)]
    expected = examined(
        SPACE, configuration, facts.task, weights, fold.x_train, program_targets(fold.y_train), epoch=2, before=before
    )
    assert [(h.layer, h.epoch) for h in found] == [(h.layer, h.epoch) for h in expected]
    np.testing.assert_allclose(columns(found), columns(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose([h.update_ratio for h in found], [0.5, 0, 0], rtol=1e-5)


@pytest.mark.parametrize("place", ["none", "before", "after"])
def test_gradients_and_activations_of_a_cnn_are_those_of_keras(place):
    configuration = configured(IMAGE_SPACE, batch_normalization=place, activation="tanh", initializer="normal_1.0")
    found, stock = looked_at(IMAGE_SPACE, configuration, IMAGES, IMAGE_FOLD)
    x, y = IMAGE_FOLD.x_train, program_targets(IMAGE_FOLD.y_train)
    gradients = kernel_gradients(stock, IMAGES.task, x, y, training=True)
    assert [h.layer for h in found] == ["hidden 1", "hidden 2", "hidden 3", "output"]
    np.testing.assert_allclose([h.gradient_norm for h in found], [np.linalg.norm(g) for g in gradients], rtol=2e-4)
    inner = keras.Model(stock.input, [y.output for y in stock.layers if isinstance(y, keras.layers.Activation)])
    for health, h in zip(found, inner(x, training=True), strict=False):
        h = backend.host(h)
        np.testing.assert_allclose(health.activation_deviation, h.std(), rtol=1e-4)
        np.testing.assert_allclose(health.activation_mean, h.mean(), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(health.saturated_share, (np.abs(h) > 0.99).mean(), atol=2e-3)
    assert place == "before" or found[2].saturated_share > 0.1
    kernels = [w for w in exported_weights(stock) if w.ndim > 1]
    np.testing.assert_allclose([h.weight_norm for h in found], [np.linalg.norm(k) for k in kernels], rtol=1e-5)


def test_the_gradient_of_a_cnn_agrees_with_differences():
    configuration = configured(IMAGE_SPACE, activation="tanh")
    found, stock = looked_at(IMAGE_SPACE, configuration, IMAGES, IMAGE_FOLD)
    x, y = IMAGE_FOLD.x_train, program_targets(IMAGE_FOLD.y_train)
    kernels = [v for v in stock.trainable_variables if v.name == "kernel"]
    gradients = kernel_gradients(stock, IMAGES.task, x, y, training=False)
    for health, kernel, gradient in zip(found, kernels, gradients, strict=True):
        at, step, ends = backend.host(kernel), 2e-3 * gradient / np.linalg.norm(gradient), []
        for sign in (1, -1):
            kernel.assign(at + sign * step)
            ends.append(float(program_loss(IMAGES.task, y, stock(x, training=False))))
        kernel.assign(at)
        # Along the gradient's direction the slope is the gradient's norm.
        np.testing.assert_allclose((ends[0] - ends[1]) / 4e-3, health.gradient_norm, rtol=5e-3)


def test_what_ails_a_cnn_shows():
    configuration = configured(IMAGE_SPACE, filters=8)

    def kill(weights):
        weights[1][:6] = -1e3
        weights[2][...] = weights[2].mean(-1, keepdims=True)

    sick, _ = looked_at(IMAGE_SPACE, configuration, IMAGES, IMAGE_FOLD, change=kill, before=True)
    sound, _ = looked_at(IMAGE_SPACE, configuration, IMAGES, IMAGE_FOLD)
    assert sick[0].dead_share == 0.75
    assert sick[1].alike_share == 1
    assert sick[0].update_ratio == 0
    assert sick[1].update_ratio > 0.5
    assert max(h.dead_share for h in sound) < 0.5
    assert not any(h.alike_share for h in sound)
    assert all(np.isnan(h.update_ratio) for h in sound)


def own_functional(structure, input_shape, outputs):
    """Convolutions of several kinds, a branch, and activations in every form."""
    inputs = keras.Input(input_shape)
    x = a = keras.layers.Conv2D(4, 3, padding="same", name="output")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="tanh", name="depthwise")(x)
    x = keras.layers.Conv2DTranspose(4, 3, padding="same", name="transposed")(x)
    x = keras.layers.Dropout(0.2)(ops.tanh(x + a))
    x = keras.layers.Dense(7, name="plain")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(outputs, name="logits")(x))


def own_sequence(structure, input_shape, outputs):
    layers = [keras.layers.Flatten(), keras.layers.Dense(5, "sigmoid", name="first"), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


class Subclassed(keras.Model):
    """Has no graph to look at."""

    def __init__(self, input_shape, outputs):
        super().__init__()
        self.dense = keras.layers.Dense(outputs)
        self.output_shape_ = (None, outputs)
        self(np.zeros((1, *input_shape), np.float32))

    @property
    def output_shape(self):
        return self.output_shape_

    def call(self, x, training=False):
        return self.dense(ops.reshape(x, (ops.shape(x)[0], -1)))


def own_subclassed(structure, input_shape, outputs):
    return Subclassed(input_shape, outputs)


def own_particular(structure, input_shape, outputs):
    """Cannot be called with as many rows as a look has."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(outputs)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Lambda(not_these_rows)(x))


def not_these_rows(x):
    if x.shape[0] == IMAGE_ROWS:
        raise ValueError("a number of rows that it does not take")
    return x


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("own_functional", ["output 1", "depthwise", "transposed", "plain", "output"]),
        ("own_sequence", ["first", "output"]), ("own_subclassed", []), ("own_particular", []),
    ],
)  # fmt: skip
def test_custom_models_are_read_where_they_can_be(function, names):
    space = space_of(f"test_training_health:{function}")
    configuration = configured(space)
    session = session_for(configuration, facts=IMAGES, model=space.model)
    result = trained(session, configuration, epochs=3)
    assert [(h.epoch, h.layer) for h in result.health] == [(epoch, n) for epoch in (0, 1, 3) for n in names]
    assert all(0 < h.update_ratio < 1 for h in result.health if h.epoch == 1)


def test_the_activation_behind_a_custom_layer_is_the_one_that_follows():
    space = space_of("test_training_health:own_functional")
    configuration = configured(space)
    found, stock = looked_at(space, configuration, IMAGES, IMAGE_FOLD)
    x, y = IMAGE_FOLD.x_train, program_targets(IMAGE_FOLD.y_train)
    layers = {type(layer).__name__: layer for layer in stock.layers}
    # A look leaves dropout out: with a rate of none the model in training mode is what it sees.
    layers["Dropout"].rate = 0.0
    behind = [layers["ReLU"].output, layers["DepthwiseConv2D"].output, layers["Dropout"].input]
    behind += [stock.get_layer(name).output for name in ("plain", "logits")]
    values = [backend.host(h) for h in keras.Model(stock.input, behind)(x, training=True)]
    np.testing.assert_allclose([h.activation_deviation for h in found], [h.std() for h in values], rtol=1e-3)
    np.testing.assert_allclose([h.activation_mean for h in found], [h.mean() for h in values], rtol=1e-3, atol=1e-5)
    gradients = kernel_gradients(stock, IMAGES.task, x, y, training=True)
    np.testing.assert_allclose([h.gradient_norm for h in found], [np.linalg.norm(g) for g in gradients], rtol=1e-3)


@pytest.mark.parametrize("model", ["cnn", "test_training_health:own_functional"])
def test_a_run_has_the_same_bits_whether_its_layers_are_read_or_not(model, monkeypatch):
    space = space_of(model)
    configuration = configured(
        space, dropout=0.3, weight_noise=0.1, l2=0.01, batch_normalization="before", weight_normalization="centered"
    )
    session = session_for(configuration, facts=IMAGES, model=model)
    read = trained(session, configuration, epochs=3)
    assert read.health
    monkeypatch.setattr(FitSession, "_health", lambda *a: ())
    blind = trained(session, configuration, epochs=3)
    assert not blind.health
    assert numbers_of(read) == numbers_of(blind)
