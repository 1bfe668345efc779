"""The counter hash, and the layers that use it."""

import numpy as np
import pytest

from hpo.training import backend, update_rule
from hpo.training.backend import keras
from hpo.training.constants import WEIGHT_NOISE
from hpo.training.layers import (
    HashedDropout,
    HashedNoise,
    KernelNoise,
    Penalty,
    RuntimeDense,
    Strengths,
    centered,
    first_gain,
    hashed_bits,
    hashed_normal,
    hashed_uniform,
    noise_deviation,
)

MASK = 0xFFFFFFFF


def mixed(h: int) -> int:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = ((h ^ (h >> shift)) * factor) & MASK
    return h ^ (h >> 16)


def test_the_hash_in_whole_numbers():
    seed, step, layer = 1_234_567_890, 4_321, 6
    start = mixed((seed * 0x85EBCA6B + step * 0xC2B2AE35 + layer * 0x27D4EB2F) & MASK)
    expected = [mixed((i * 0x9E3779B1 + start) & MASK) for i in range(60)]
    seen = backend.host(hashed_bits((5, 12), seed, step, layer))
    assert seen.dtype == np.uint32
    assert seen.ravel().tolist() == expected


def test_uniform_numbers():
    u = backend.host(hashed_uniform((400, 250), 7, 3, 2)).astype(np.float64)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 149  # chi squared with 99 degrees of freedom at 0.999
    assert abs(np.corrcoef(u.ravel()[:-1], u.ravel()[1:])[0, 1]) < 0.015


@pytest.mark.parametrize("change", [(8, 3, 2), (7, 4, 2), (7, 3, 4)])
def test_another_seed_step_or_layer_is_independent(change):
    a = backend.host(hashed_uniform((300, 300), 7, 3, 2)).ravel()
    b = backend.host(hashed_uniform((300, 300), *change)).ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.015
    assert (a == b).mean() < 1e-4


def test_normal_numbers():
    z = backend.host(hashed_normal((400, 250), 7, 3, 2)).astype(np.float64).ravel()
    assert np.isfinite(z).all()
    assert abs(z.mean()) < 0.015
    assert z.std() == pytest.approx(1, abs=0.01)
    assert (z**4).mean() == pytest.approx(3, abs=0.12)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation(rate):
    layer = HashedDropout("dropout", rate, 2, 5)
    x = np.full((500, 200), 3.0, np.float32)
    y = backend.host(layer(x, training=True))
    assert (y == 0).mean() == pytest.approx(rate, abs=0.01)
    assert y.mean() == pytest.approx(3.0, rel=0.02)
    np.testing.assert_allclose(y[y != 0], 3.0 / (1 - rate), rtol=1e-5)
    np.testing.assert_array_equal(backend.host(layer(x, training=False)), x)


def test_each_step_drops_other_units_and_steps_repeat():
    layer = HashedDropout("dropout", 0.5, 2, 5)
    x = np.ones((20, 20), np.float32)
    first, second = (backend.host(layer(x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    layer.step.assign(0)
    np.testing.assert_array_equal(backend.host(layer(x, training=True)), first)


def test_noise_has_its_deviation():
    layer = HashedNoise("input_noise", 0.3, 2, 5)
    x = np.full((300, 300), 2.0, np.float32)
    y = backend.host(layer(x, training=True))
    assert y.mean() == pytest.approx(2.0, abs=0.01)
    assert y.std() == pytest.approx(0.3, rel=0.02)
    np.testing.assert_array_equal(backend.host(layer(x, training=False)), x)


def test_strengths_carry_their_hyperparameters_names():
    layers = [Strengths(0.1, 0.2), HashedDropout("dropout", 0.3, 2, 0), HashedNoise("input_noise", 0.4, 4, 0)]
    names = {v.name for layer in layers for v in layer.non_trainable_variables}
    assert names == {"l1", "l2", "dropout", "input_noise", "run_seed", "step"}
    assert not any(layer.trainable_variables for layer in layers)


def test_the_penalty_is_keras_own():
    w = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    ours = float(Penalty(Strengths(0.03, 0.7))(w))
    assert ours == pytest.approx(float(keras.regularizers.L1L2(0.03, 0.7)(w)), rel=1e-6)
    assert ours == pytest.approx(0.03 * np.abs(w).sum() + 0.7 * (w.astype(np.float64) ** 2).sum(), rel=1e-5)


def test_kernel_noise_is_of_training_alone_and_of_its_step():
    noise = KernelNoise("weight_noise", 0.3, WEIGHT_NOISE, 5)
    layer = RuntimeDense(60, noise=noise.noise, number=1, normalized=False, use_bias=False)
    inputs = keras.Input((80,))
    model = keras.Model(inputs, layer(noise(inputs)))
    kernel, rows = backend.host(layer._kernel), np.eye(80, dtype=np.float32)
    np.testing.assert_allclose(backend.host(model(rows)), kernel, atol=1e-6)
    first, second = (backend.host(model(rows, training=True)) - kernel for _ in (0, 1))
    assert first.std() == pytest.approx(0.3, rel=0.05)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.06
    np.testing.assert_allclose(first, 0.3 * backend.host(hashed_normal((80, 60), 5, 0, WEIGHT_NOISE + 2)), atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 6), (3, 3, 4, 6)])
def test_centered_weights_have_no_mean_and_the_norm_of_their_gain(shape):
    v, gain = np.random.default_rng(1).normal(2, 1, shape), np.arange(1.0, 7.0)
    axes = tuple(range(len(shape) - 1))
    w = centered(v, gain)
    np.testing.assert_allclose(w.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(np.sqrt((w**2).sum(axes)), gain)
    np.testing.assert_allclose(w, centered(5 * v + 3, gain))
    np.testing.assert_allclose(centered(v, first_gain(v)), v - v.mean(axes))
    np.testing.assert_allclose(backend.host(centered(backend.ops.convert_to_tensor(v), gain)), w, atol=1e-5)
    assert np.isfinite(centered(np.ones(shape), gain)).all()


def test_gradient_noise_falls_as_its_paper_has_it():
    steps = np.arange(1000.0)
    seen = backend.host(noise_deviation(0.7, backend.ops.convert_to_tensor(steps)))
    np.testing.assert_allclose(seen**2, 0.49 / (1 + steps) ** 0.55, rtol=1e-5)


@pytest.mark.parametrize("shape", [(20, 6), (3, 3, 4, 6)])
def test_max_norm_is_kerass_constraint(shape):
    w = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    axes = tuple(range(len(shape) - 1))
    theirs = keras.constraints.MaxNorm(4.0, axis=list(axes))(w)
    np.testing.assert_allclose(backend.host(update_rule.bounded(w, 4.0, axes)), backend.host(theirs), rtol=1e-6)
    assert np.sqrt((backend.host(theirs) ** 2).sum(axes)).max() == pytest.approx(4.0, rel=1e-5)
    np.testing.assert_array_equal(backend.host(update_rule.bounded(w, 0.0, axes)), w)
