"""The ten-layer experiment: the closed forms are Keras's, and the known facts of the initializers come out."""

import numpy as np
import pytest
from training_support import CLASSES, NUMBERS, classes_fold, configured, numbers_fold, space_of

from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
from hpo.training.inspection.activations import ACTIVATE
from hpo.training.inspection.signals import Signals, drawable, signals
from hpo.values import Status


def through(initializer: str, activation: str, **more: int) -> Signals:
    sizes = {"layers": 10, "width": 500, "rows": 300, "seed": 0, **more}
    (found,) = signals([initializer], [activation], **sizes)
    return found


def test_there_is_a_closed_form_for_every_activation_of_the_catalogue():
    assert tuple(ACTIVATE) == ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_are_keras_s(name):
    from hpo.training import backend

    if backend.keras.backend.backend() != "tensorflow":
        pytest.skip("the derivative is taken by TensorFlow")
    import tensorflow as tf

    z = np.concatenate([np.linspace(-12, 12, 401), [0.0, 1e-9, -1e-9]])
    layer = backend.keras.layers.Activation(name, dtype="float64")
    x = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    h = ACTIVATE[name].value(z)
    # Under TensorFlow, Keras takes the root of two of gelu and the 0.2 of leaky_relu in 32 bits, whatever the dtype.
    np.testing.assert_allclose(h, y.numpy(), rtol=1e-7, atol=5e-8)
    np.testing.assert_allclose(ACTIVATE[name].slope(z, h), tape.gradient(y, x).numpy(), rtol=1e-7, atol=5e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_32_bits_stay_32_bits(name):
    z = np.linspace(-3, 3, 7, dtype=np.float32)
    h = ACTIVATE[name].value(z)
    assert h.dtype == ACTIVATE[name].slope(z, h).dtype == np.float32


@pytest.mark.parametrize("activation", ["relu", "selu", "gelu", "tanh", "sigmoid"])
def test_both_passes_are_those_of_keras(activation):
    """A network of three layers in Keras with the same kernels, differentiated by TensorFlow."""
    from hpo.training import backend

    if backend.keras.backend.backend() != "tensorflow":
        pytest.skip("the derivative is taken by TensorFlow")
    import tensorflow as tf

    from hpo.seeds import derive
    from hpo.training.initializers import kernel

    layers, width, rows = 3, 40, 50
    found = through("he_normal", activation, layers=layers, width=width, rows=rows)
    x = np.random.default_rng(derive(0, "inspect", "rows")).standard_normal((rows, width))
    top = np.random.default_rng(derive(0, "inspect", "gradient")).standard_normal((rows, width))
    kernels = [kernel("he_normal", (width, width), derive(0, "inspect", "kernel", n)) for n in range(layers)]
    with tf.GradientTape(persistent=True) as tape:
        h, before, after = tf.constant(x), [], []
        for w in kernels:
            z = h @ tf.constant(w)
            tape.watch(z)
            h = backend.keras.layers.Activation(activation, dtype="float64")(z)
            before.append(z)
            after.append(h)
        loss = tf.reduce_sum(h * top)
    np.testing.assert_allclose(found.activations, [h.numpy().std() for h in after], rtol=1e-4)
    np.testing.assert_allclose(found.gradients, [tape.gradient(loss, z).numpy().std() for z in before], rtol=1e-4)


def test_small_weights_collapse_under_tanh():
    found = through("normal_0.01", "tanh")
    assert found.activations[-1] < 1e-3
    assert found.reading == "collapses"
    # Each layer has the factor 0.01 sqrt(500): where tanh is straight, the next deviation is known.
    np.testing.assert_allclose(found.activations[3:] / found.activations[2:-1], 0.01 * 500**0.5, rtol=0.05)


def test_large_weights_saturate_tanh_and_sigmoid_and_explode_under_relu():
    tanh, sigmoid, relu = (through("normal_1.0", name) for name in ("tanh", "sigmoid", "relu"))
    assert (tanh.saturated > 0.85).all()
    assert (sigmoid.saturated > 0.6).all()
    assert [tanh.reading, sigmoid.reading, relu.reading] == ["saturates", "saturates", "explodes"]
    assert np.isnan(relu.saturated).all()


@pytest.mark.parametrize(("initializer", "activation"), [
    ("xavier_normal", "tanh"), ("xavier_uniform", "tanh"), ("orthogonal", "tanh"), ("he_normal", "relu"),
    ("he_uniform", "relu"), ("lecun_normal", "selu"),
])  # fmt: skip
def test_the_matching_initializer_keeps_the_signal(initializer, activation):
    found = through(initializer, activation)
    # tanh loses a little in each layer, towards zero ever less: a third of it is left after ten.
    factor = 3.5 if activation == "tanh" else 1.5
    assert 1 / factor < found.activations[-1] / found.activations[0] < factor
    assert 1 / 4 < found.gradient_ratio < 4
    assert found.reading == "keeps"


def test_xavier_loses_half_the_variance_a_layer_under_relu_and_he_none():
    """He et al. 2015, section 2.2, of the mean square of what enters a layer: averaged over layers and seeds."""

    def ratio(initializer: str) -> float:
        per_layer = []
        for seed in range(4):
            found = through(initializer, "relu", seed=seed, layers=8)
            per_layer.append((found.activations[-1] / found.activations[0]) ** (2 / 7))
        return float(np.mean(per_layer))

    assert ratio("xavier_normal") == pytest.approx(0.5, rel=0.08)
    assert ratio("he_normal") == pytest.approx(1.0, rel=0.08)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_zeros_give_zero(activation):
    found = through("zeros", activation)
    assert not found.activations.any()
    assert (found.dead == 1).all()
    assert not found.gradients[:-1].any()
    assert found.reading == "dies"


@pytest.mark.parametrize(("initializer", "activation"), [
    ("zeros", "sigmoid"), ("constant", "relu"), ("constant", "tanh"), ("constant", "sigmoid"), ("constant", "gelu"),
])  # fmt: skip
def test_equal_weights_keep_all_units_alike(initializer, activation):
    found = through(initializer, activation)
    assert found.alike.all()
    assert not found.dead[:-1].any()
    assert found.reading == "alike"


def test_drawn_weights_leave_no_units_alike():
    drawn = {name for name in INITIALIZERS if drawable(name)} - {"constant", "zeros"}
    assert len(drawn) >= 8
    assert not any(through(name, "relu", layers=3, width=50).alike.any() for name in drawn)


def test_the_gradient_vanishes_under_sigmoid():
    """Its slope is a quarter at most: after nine layers at most 4e-6 is left of what Xavier's kernels keep."""
    found = through("xavier_normal", "sigmoid")
    assert found.gradient_ratio < 0.25**9 * 1.5
    assert found.reading == "collapses"


def test_very_deep_networks_neither_overflow_nor_underflow():
    exploding, collapsing = (through(name, "leaky_relu", layers=60, width=60) for name in ("normal_1.0", "normal_0.01"))
    assert np.isfinite(exploding.activations).all()
    assert exploding.reading == "explodes"
    assert (collapsing.activations > 0).all()
    assert collapsing.activations[-1] < 1e-60


def test_the_same_seed_gives_the_same_numbers_whoever_else_is_asked_for():
    alone = through("he_normal", "tanh", width=60)
    among = [s for s in signals(["xavier_normal", "he_normal"], ["relu", "tanh"], layers=10, width=60, rows=300, seed=0)
             if (s.initializer, s.activation) == ("he_normal", "tanh")]  # fmt: skip
    assert alone.activations.tolist() == among[0].activations.tolist()
    assert alone.activations.tolist() != through("he_normal", "tanh", width=60, seed=1).activations.tolist()


@pytest.mark.parametrize("facts", [CLASSES, NUMBERS])
def test_gradients_agree_layer_by_layer(facts):
    from hpo.training.skeleton import gradient_by_layer

    space = space_of()
    fold = numbers_fold() if facts is NUMBERS else classes_fold()
    found = gradient_by_layer(space, configured(space, activation="sigmoid", dropout=0.5), facts, fold, 0)
    assert [layer.layer for layer in found][-1] == "output"
    assert [layer.weights for layer in found] == [8 * (1 + facts.input_shape[0]), 72, 9 * facts.outputs]
    assert all(layer.status is Status.PASSED and layer.errors.max() < 1e-5 for layer in found)


def test_a_layer_with_a_wrong_gradient_is_named(monkeypatch):
    from hpo.training import backend, skeleton

    right = backend.gradient

    def wrong(*args):
        loss, parts = right(*args)
        return loss, [parts[0] * 1.01, *parts[1:]]

    monkeypatch.setattr(backend, "gradient", wrong)
    space = space_of()
    found = skeleton.gradient_by_layer(space, configured(space, activation="sigmoid"), CLASSES, classes_fold(), 0)
    assert [layer.status for layer in found] == [Status.FAILED, Status.PASSED, Status.PASSED]


def test_every_compared_weight_is_told_with_both_numbers():
    from hpo.training import backend
    from hpo.training.skeleton import gradient_by_layer

    space = space_of()
    configuration = configured(space, activation="sigmoid", batch_normalization="after")
    if not backend.normalizes_in_double():
        configuration["batch_normalization"] = "none"
    found = gradient_by_layer(space, configuration, CLASSES, classes_fold(), 0)
    assert {layer.arrays for layer in found} <= {("kernel", "bias"), ("gamma", "beta")}
    for layer in found:
        c = layer.coordinates
        assert len(c.array) == len(c.index) == len(layer.errors) <= layer.drawn
        assert set(c.array) <= set(range(len(layer.arrays)))
        assert c.index.max() < layer.weights
        np.testing.assert_allclose(c.analytic, c.numeric, rtol=1e-4, atol=1e-8)
        expected = np.abs(c.analytic - c.numeric) / np.maximum(np.abs(c.analytic) + np.abs(c.numeric), 1e-6)
        assert layer.errors.tolist() == expected.tolist()


def test_nothing_is_compared_where_every_coordinate_crosses_a_kink():
    from hpo.training import backend
    from hpo.training.gradient_check import agreement, compared

    with backend.double_precision(), backend.policy("float64"):
        variable = backend.keras.Variable(np.zeros(3), dtype="float64")
        found = compared([variable], [np.ones(3)], lambda: float(np.abs(backend.host(variable)).sum()), 0)
    assert [len(getattr(found, name)) for name in ("array", "index", "analytic", "numeric", "errors")] == [0] * 5
    assert agreement(found.errors) is Status.WARNING


def test_a_model_that_rounds_is_not_judged():
    from hpo.training import backend
    from hpo.training.skeleton import gradient_by_layer

    if backend.normalizes_in_double():
        pytest.skip("only JAX has layers that compute in 32 bits")
    space = space_of()
    assert gradient_by_layer(space, configured(space, activation="tanh"), CLASSES, classes_fold(), 0) is None
