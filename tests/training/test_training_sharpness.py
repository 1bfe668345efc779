"""Sharpness: held against a closed form, a full Hessian by numerical differentiation, and itself."""

from dataclasses import replace

import numpy as np
import pytest
from training_support import (
    CLASSES,
    NUMBERS,
    classes_fold,
    configured,
    numbers_fold,
    session_for,
    space_of,
    trained,
)
from training_support import IMAGES as CHANNELS

from hpo.training import backend
from hpo.training.builder import build
from hpo.training.inspection.sharpness import IMAGES, MOST, ROWS, TOLERANCE, largest_eigenvalue, sharpness
from hpo.training.losses import mean_loss
from hpo.training.program import EvaluationRows
from hpo.training.weights import exported_weights


def first_weights(space, configuration, facts, seed: int = 0):
    return exported_weights(build(space, configuration, facts, seed=seed, runtime=False))


def full_hessian(space, configuration, facts, fold, weights, h: float = 1e-4):
    """By central differences of the loss alone, in 64 bits on the probe, (weights, weights)."""
    probe = EvaluationRows(fold, 0)
    x, y = probe.x[: probe.probe].astype(np.float64), probe.y_probe
    with backend.double_precision(), backend.policy("float64"):
        model = build(space, configuration, facts, seed=0, runtime=False)
        outputs = backend.compiled_outputs(model)
        flat = np.concatenate([w.ravel() for w in weights]).astype(np.float64)
        ends = np.cumsum([w.size for w in weights])[:-1]

        def loss(w):
            parts = [p.reshape(v.shape) for p, v in zip(np.split(w, ends), model.trainable_variables, strict=True)]
            backend.assign(model.trainable_variables, parts)
            return float(mean_loss(facts.task, y, outputs(x)))

        unit = h * np.eye(len(flat))
        hessian = np.empty((len(flat), len(flat)))
        for i in range(len(flat)):
            for j in range(i, len(flat)):
                four = (loss(flat + a * unit[i] + b * unit[j]) * a * b for a in (1, -1) for b in (1, -1))
                hessian[i, j] = hessian[j, i] = sum(four) / (4 * h * h)
    return hessian


def test_linear_regression_has_the_closed_form():
    """Of the mean of (Xw + b - y)^2 the Hessian is 2 [X 1]'[X 1] / n, wherever the weights are."""
    space = space_of()
    configuration = configured(space, hidden_layers=0)
    fold = numbers_fold()
    found = sharpness(space, configuration, NUMBERS, fold, first_weights(space, configuration, NUMBERS))
    probe = EvaluationRows(fold, 0)
    x = np.column_stack([probe.x[: probe.probe], np.ones(probe.probe)]).astype(np.float64)
    expected = np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert found.converged
    assert (found.rows, found.weights) == (40, 5)
    assert found.highest_rate == pytest.approx(2 / expected, rel=1e-5)


@pytest.mark.parametrize("facts", [CLASSES, NUMBERS])
def test_a_tanh_network_has_the_largest_eigenvalue_of_its_full_hessian(facts):
    if not backend.normalizes_in_double():
        pytest.skip("differences of a loss in 32 bits say nothing: under JAX, Keras computes tanh so")
    space = space_of()
    configuration = configured(space, activation="tanh", units=2, hidden_layers=1)
    fold = numbers_fold() if facts is NUMBERS else classes_fold()
    weights = first_weights(space, configuration, facts)
    found = sharpness(space, configuration, facts, fold, weights)
    expected = np.linalg.eigvalsh(full_hessian(space, configuration, facts, fold, weights))[-1]
    assert found.converged
    assert found.value == pytest.approx(expected, rel=1e-4)


def test_a_relu_network_repeats_bit_for_bit():
    space = space_of()
    configuration = configured(space, activation="relu", units=16)
    result = trained(session_for(configuration), configuration, epochs=4)
    one, two = (sharpness(space, configuration, CLASSES, classes_fold(), result.weights) for _ in range(2))
    assert one == two
    assert one.converged
    assert one.value > 0
    assert one.products < MOST


@pytest.mark.parametrize("values", [{"batch_normalization": "after"}, {"activation": "gelu", "hidden_layers": 4}])
def test_other_dense_networks_converge(values):
    space = space_of()
    configuration = configured(space, **values)
    result = trained(session_for(configuration), configuration, epochs=2)
    assert sharpness(space, configuration, CLASSES, classes_fold(), result.weights).converged


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_convolutions_and_their_rows_are_bounded(pooling):
    space = space_of("cnn")
    configuration = configured(space, pooling=pooling, filters=4)
    fold = classes_fold(rows=200, shape=(6, 6, 1))
    fold = replace(fold, x_valid=fold.x_train, y_valid=fold.y_train)
    result = trained(session_for(configuration, facts=CHANNELS, folds=[fold], model="cnn"), configuration, epochs=2)
    found = sharpness(space, configuration, CHANNELS, fold, result.weights)
    assert found.converged
    assert found.rows == IMAGES
    assert found.weights == result.parameters


def test_a_model_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "sharp_model.py").write_text(
        "import keras\n"
        "def build(structure, input_shape, outputs):\n"
        "    x = inputs = keras.Input(input_shape)\n"
        "    x = keras.layers.LayerNormalization()(keras.layers.Dense(6, activation='elu')(x))\n"
        "    return keras.Model(inputs, keras.layers.Dense(outputs)(x))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    space = space_of("sharp_model:build")
    configuration = {**space.default(), "batch_size": 16}
    model = build(space, configuration, CLASSES, seed=3, runtime=False)
    found = sharpness(space, configuration, CLASSES, classes_fold(), [backend.host(w) for w in model.weights])
    assert found.converged
    assert found.weights == 5 * 6 + 6 + 12 + 6 * 3 + 3


def test_rows_are_the_first_of_the_probe_and_at_most_so_many():
    space = space_of()
    configuration = configured(space, hidden_layers=0)
    fold = numbers_fold(rows=2000)
    wide = replace(fold, x_valid=fold.x_train, y_valid=fold.y_train)
    found = sharpness(space, configuration, NUMBERS, wide, first_weights(space, configuration, NUMBERS))
    probe = EvaluationRows(wide, 0)
    x = np.column_stack([probe.x[:ROWS], np.ones(ROWS)]).astype(np.float64)
    assert found.rows == ROWS
    assert found.value == pytest.approx(np.linalg.eigvalsh(2 * x.T @ x / ROWS)[-1], rel=1e-5)


@pytest.mark.parametrize("spectrum", [(5.0, 1.0, 0.0), (-9.0, 2.0, 1.0), (-9.0, -4.0, -1.0), (3.0, -2.5, 0.5)])
def test_the_largest_and_not_the_greatest_in_magnitude(spectrum):
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))
    matrix = turn @ np.diag(spectrum) @ turn.T
    found = largest_eigenvalue(lambda v: matrix @ v, 3)
    assert found.converged
    assert found.residual <= TOLERANCE
    assert found.value == pytest.approx(max(spectrum), rel=2 * TOLERANCE)
    assert (found.highest_rate is None) == (max(spectrum) <= 0)


def test_what_does_not_converge_is_told():
    matrix = np.diag([-0.9999, 1.0])
    found = largest_eigenvalue(lambda v: matrix @ v, 2)
    assert not found.converged
    assert found.products >= MOST
    assert found.residual > TOLERANCE


def test_no_curvature_and_no_numbers():
    flat = largest_eigenvalue(lambda v: 0 * v, 4)
    assert (flat.value, flat.converged, flat.highest_rate) == (0.0, True, None)
    broken = largest_eigenvalue(lambda v: v * np.nan, 4)
    assert np.isnan(broken.value)
    assert not broken.converged
    assert broken.highest_rate is None
