"""First weights against the moments that their sources give, and against Keras's distributions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp
from training_support import CLASSES, configured, space_of

from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
from hpo.training.backend import host, keras
from hpo.training.builder import build
from hpo.training.data_initializers import ROWS, _pooled, adapted
from hpo.training.initializers import first_kernel, kernel, resolved
from hpo.training.weights import exported_weights, fresh_weights, set_exported_weights

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


def test_dropout_adjusted_keeps_both_signals_between_their_deviations():
    """Linear units: Xavier's. Relu without dropout: He's, of the mean fan. Dropout takes its share of the variance."""
    deviation = {}
    for activation, dropout, layer in (("tanh", 0.0, 0), ("relu", 0.0, 1), ("relu", 0.5, 1), ("relu", 0.5, 0)):
        configuration = configured(space_of(), initializer="dropout_adjusted", activation=activation, dropout=dropout)
        w = [first_kernel(configuration, (FAN_IN, FAN_OUT), seed=s, layer=layer) for s in range(DRAWS)]
        deviation[activation, dropout, layer] = np.std(w)
    xavier = np.sqrt(VARIANCE["xavier_normal"])
    close = 5 / np.sqrt(DRAWS * FAN_IN * FAN_OUT)
    assert deviation["tanh", 0.0, 0] == pytest.approx(xavier, rel=close)
    assert deviation["relu", 0.0, 1] == pytest.approx(xavier * np.sqrt(2), rel=close)
    assert deviation["relu", 0.5, 1] == pytest.approx(xavier, rel=close)
    assert deviation["relu", 0.5, 0] == pytest.approx(xavier, rel=close)


def test_the_dropout_ahead_of_a_normalized_layer_is_none():
    drawn = [
        first_kernel(
            configured(space_of(), initializer="dropout_adjusted", dropout=d, batch_normalization="before"),
            (FAN_IN, FAN_OUT), seed=3, layer=1, output=output,
        )
        for output in (False, True) for d in (0.0, 0.5)
    ]  # fmt: skip
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_allclose(drawn[2] ** 2, 2 * drawn[3] ** 2)


def pre_activations(model, x):
    """What the layers with kernels give, of a stock model in training mode, as Keras computes it."""
    seen = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        x = layer(x, training=True)
        if hasattr(layer, "kernel"):
            seen.append(host(x))
    return seen


@pytest.mark.parametrize("normalization", ["none", "before", "after"])
@pytest.mark.parametrize("name", ["lsuv", "data_dependent"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_rows_come_through_each_layer_with_a_variance_of_one(model, name, normalization):
    """Odd sides, so that pooling meets a last row of its own; a padded convolution sees the rim."""
    shape = (7, 5, 2) if model == "cnn" else (6,)
    facts = replace(CLASSES, input_shape=shape)
    space = space_of(model)
    configuration = configured(
        space, initializer=name, batch_normalization=normalization, activation="tanh",
        **({"pooling": "average", "filters": 4, "dense_units": 5} if model == "cnn" else {"hidden_layers": 3}),
    )  # fmt: skip
    x = (3 * np.random.default_rng(0).normal(size=(ROWS, *shape)) + 1).astype(np.float32)
    network = build(space, configuration, facts, seed=1, runtime=False)
    set_exported_weights(network, fresh_weights(network, configuration, 1, x))
    seen = pre_activations(network, x)
    assert len(seen) == 4
    for z in seen:
        if name == "lsuv":
            assert z.std() == pytest.approx(1, rel=1e-3)
            continue
        axes = tuple(range(z.ndim - 1))
        np.testing.assert_allclose(z.std(axes), 1, rtol=1e-3)
        if normalization != "before":  # where there are no biases
            np.testing.assert_allclose(z.mean(axes), 0, atol=1e-3)


def test_a_unit_that_no_row_moves_stays_as_it_was():
    configuration = configured(space_of(), initializer="data_dependent")
    kernels = [np.ones((3, 2)), np.ones((2, 2))]
    scaled, biases = adapted(configuration, kernels, np.zeros((5, 3), np.float32))
    for w, b in zip(scaled, biases, strict=True):
        np.testing.assert_array_equal(w, 1)
        np.testing.assert_array_equal(b, 0)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_pooling_is_kerass(pooling):
    x = np.random.default_rng(2).normal(size=(4, 7, 5, 3))
    layer = (keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D)(2, padding="same")
    np.testing.assert_allclose(_pooled(x, largest=pooling == "max"), host(layer(x)), atol=1e-6)
