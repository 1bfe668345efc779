"""First weights against the moments that their sources give, and against Keras's distributions."""

import numpy as np
import pytest
from scipy.stats import ks_2samp
from training_support import CLASSES, configured, space_of

from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
from hpo.training.backend import host, keras
from hpo.training.builder import build, exported_weights, fresh_weights
from hpo.training.initializers import first_kernel, kernel, resolved

FAN_IN, FAN_OUT = 40, 30
DRAWS = 200
VARIANCE = {
    "xavier_normal": 2 / (FAN_IN + FAN_OUT), "xavier_uniform": 2 / (FAN_IN + FAN_OUT), "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN, "lecun_normal": 1 / FAN_IN, "lecun_uniform": 1 / FAN_IN, "normal_0.01": 1e-4,
    "normal_1.0": 1.0, "uniform": 1 / (3 * FAN_IN), "orthogonal": 1 / FAN_IN,
}  # fmt: skip
KERAS = {
    "xavier_normal": "GlorotNormal", "xavier_uniform": "GlorotUniform", "he_normal": "HeNormal",
    "he_uniform": "HeUniform", "lecun_normal": "LecunNormal", "lecun_uniform": "LecunUniform",
    "orthogonal": "Orthogonal",
}  # fmt: skip


def draw(name, **values):
    configuration = configured(space_of(), initializer=name, **values)
    return first_kernel(configuration, (FAN_IN, FAN_OUT), seed=3, layer=0)


@pytest.mark.parametrize("name", VARIANCE)
def test_the_moments_over_many_draws_are_the_sources(name):
    w = np.stack([kernel(name, (FAN_IN, FAN_OUT), seed) for seed in range(DRAWS)])
    deviation = np.sqrt(VARIANCE[name])
    assert w.std() == pytest.approx(deviation, rel=5 / np.sqrt(w.size))
    assert abs(w.mean()) < 5 * deviation / np.sqrt(w.size)
    kurtosis = {"uniform": 1.8, "normal_0.01": 3.0, "normal_1.0": 3.0}.get(name)
    if kurtosis is not None:
        assert ((w / deviation) ** 4).mean() == pytest.approx(kurtosis, rel=0.02)


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.parametrize("shape", [(FAN_IN, FAN_OUT), (3, 3, 8, 16)])
def test_the_distribution_is_keras(name, shape):
    """Two-sample Kolmogorov and Smirnov at one in a thousand; shapes give each its fans."""
    ours = np.concatenate([kernel(name, shape, seed).ravel() for seed in range(20)])
    theirs = np.concatenate(
        [host(getattr(keras.initializers, KERAS[name])(seed=seed)(shape)).ravel() for seed in range(20)]
    )
    assert ks_2samp(ours, theirs).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(FAN_IN, FAN_OUT), (FAN_OUT, FAN_IN), (3, 3, 4, 16)])
def test_orthogonal_columns_or_rows(shape):
    w = kernel("orthogonal", shape, 3).reshape(-1, shape[-1])
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-12)


def test_constants():
    assert (kernel("zeros", (3, 2), 0) == 0).all()
    assert (kernel("constant", (3, 2), 0) == 0.1).all()
    with pytest.raises(ValueError, match="no initializer 'nonsense'"):
        kernel("nonsense", (3, 2), 0)


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
