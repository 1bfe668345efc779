"""Layer health against Keras's gradients, and of networks whose fault is known."""

import numpy as np
import pytest
import tensorflow as tf
from training_support import CLASSES, NUMBERS, classes_fold, configured, numbers_fold, session_for, space_of, trained

from hpo.training import backend, builder
from hpo.training.backend import keras
from hpo.training.health import ROWS, examined
from hpo.training.losses import program_loss
from hpo.training.program import program_targets
from hpo.training.weights import exported_weights
from hpo.values import LayerHealth

SPACE = space_of()


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
    kernels = [v.value for v in model.trainable_variables if v.name == "kernel"]
    with tf.GradientTape() as tape:
        loss = program_loss(facts.task, program_targets(fold.y_train), model(fold.x_train, training=True))
    gradients = [backend.host(g) for g in tape.gradient(loss, kernels)]
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
    session = session_for(configuration, engine=engine)
    result = trained(session, configuration, epochs=4)
    assert [h.epoch for h in result.health] == [0] * 3 + [1] * 3 + [4] * 3
    assert np.isnan([h.update_ratio for h in result.health if h.epoch != 1]).all()
    assert all(0 < h.update_ratio < 1 for h in result.health if h.epoch == 1)
    assert all(isinstance(h, LayerHealth) for h in result.health)
    assert len(classes_fold().y_valid) <= ROWS


def test_other_models_are_not_read():
    assert examined(space_of("cnn"), {}, CLASSES.task, [], np.zeros((1, 1)), np.zeros(1), epoch=0) == ()
