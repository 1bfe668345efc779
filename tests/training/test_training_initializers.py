"""First weights against the variances that their sources give."""

import numpy as np
import pytest
from training_support import CLASSES, configured, space_of

from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
from hpo.training.backend import host
from hpo.training.builder import build, exported_weights, fresh_weights
from hpo.training.initializers import kernel_initializer, resolved

FAN_IN, FAN_OUT = 300, 200
VARIANCE = {
    "xavier_normal": 2 / (FAN_IN + FAN_OUT), "xavier_uniform": 2 / (FAN_IN + FAN_OUT), "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN, "lecun_normal": 1 / FAN_IN, "lecun_uniform": 1 / FAN_IN, "normal": 0.05**2,
    "uniform": 0.05**2 / 3, "zeros": 0.0, "orthogonal": 1 / FAN_IN,
}  # fmt: skip


def draw(name, **values):
    configuration = configured(space_of(), initializer=name, **values)
    return host(kernel_initializer(configuration, seed=3, layer=0)((FAN_IN, FAN_OUT), "float32"))


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if n != "match"])
def test_the_variance_is_the_sources(name):
    w = draw(name)
    assert w.var() == pytest.approx(VARIANCE[name], rel=0.03)
    assert abs(w.mean()) < 5 * np.sqrt(VARIANCE[name] / w.size) + 1e-12


def test_orthogonal_columns():
    w = draw("orthogonal").astype(np.float64)
    np.testing.assert_allclose(w.T @ w, np.eye(FAN_OUT), atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_match_follows_the_activation(activation):
    family = {"tanh": "xavier", "sigmoid": "xavier", "selu": "lecun"}.get(activation, "he")
    name = resolved(configured(space_of(), initializer="match", activation=activation), output=False)
    assert name.startswith(family)
    np.testing.assert_array_equal(draw("match", activation=activation), draw(name))


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("normalization", ["none", "before", "after"])
def test_fresh_weights_are_those_of_a_new_model(name, normalization):
    space = space_of()
    configuration = configured(space, initializer=name, batch_normalization=normalization, dropout=0.2, l2=0.1)
    old = build(space, configuration, CLASSES, seed=1, runtime=True)
    new = build(space, configuration, CLASSES, seed=2, runtime=True)
    for a, b in zip(fresh_weights(old, configuration, 2), exported_weights(new), strict=True):
        np.testing.assert_array_equal(a, b)


def test_layers_draw_apart_and_seeds_too():
    space = space_of()
    configuration = configured(space, hidden_layers=3)
    model = build(space, configuration, CLASSES, seed=1, runtime=False)
    first, second = host(model.layers[3].kernel), host(model.layers[5].kernel)
    assert first.shape == second.shape == (8, 8)
    assert not np.array_equal(first, second)
    other = build(space, configuration, CLASSES, seed=2, runtime=False)
    assert not np.array_equal(host(other.layers[3].kernel), first)
