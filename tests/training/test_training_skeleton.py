"""The skeleton's checks pass on a sound skeleton, and see a broken one."""

from dataclasses import replace

import numpy as np
import pytest
from training_support import CLASSES, IMAGES, NUMBERS, classes_fold, configured, numbers_fold, space_of

from hpo.training import backend, builder, skeleton
from hpo.training.losses import mean_loss, program_loss
from hpo.values import Status

NAMES = ["loss_at_start", "zero_input", "one_batch", "gradient", "repeatability"]


@pytest.mark.parametrize(
    ("facts", "model", "values"),
    [
        (CLASSES, "mlp", {"units": 32, "batch_normalization": "after"}), (NUMBERS, "mlp", {"units": 32}),
        (IMAGES, "cnn", {"filters": 4, "blocks": 1, "dense_units": 16}),
    ],
)  # fmt: skip
def test_a_sound_skeleton_passes(facts, model, values):
    fold = numbers_fold(rows=200) if facts is NUMBERS else classes_fold(rows=200, shape=facts.input_shape)
    space = space_of(model)
    checks = skeleton.check_skeleton(space, configured(space, **values), facts, fold, 0)
    assert [c.name for c in checks] == NAMES
    assert {c.name: c.status for c in checks} == dict.fromkeys(NAMES, Status.PASSED)


def test_data_without_a_signal_and_a_network_too_small_are_told():
    fold = classes_fold(rows=300)
    blind = replace(fold, x_train=fold.x_train * 0, x_valid=fold.x_valid * 0)
    space = space_of()
    checks = {c.name: c for c in skeleton.check_skeleton(space, configured(space, units=1), CLASSES, blind, 0)}
    assert checks["zero_input"].status is Status.WARNING
    assert "learns nothing" in checks["zero_input"].sentence
    small = {c.name: c for c in skeleton.check_skeleton(space, configured(space, units=1), CLASSES, fold, 0)}
    assert small["one_batch"].status is Status.WARNING
    assert "too small" in small["one_batch"].sentence


def test_a_wrong_gradient_is_seen():
    space, fold = space_of(), classes_fold()
    with backend.double_precision(), backend.policy("float64"):
        model = builder.build(space, configured(space, activation="tanh"), CLASSES, seed=0, runtime=False)
        x, y = fold.x_train[:8].astype(np.float64), fold.y_train[:8]
        _, parts = backend.gradient(model, lambda t, z: program_loss(CLASSES.task, t, z), x, y)
        outputs = backend.compiled_outputs(model)

        def loss():
            return mean_loss(CLASSES.task, y, outputs(x))

        right = skeleton.gradient_errors(model.trainable_variables, parts, loss, 1)
        wrong = skeleton.gradient_errors(model.trainable_variables, [p * 1.001 for p in parts], loss, 1)
    assert np.quantile(right, 0.9) < 1e-6
    assert np.quantile(wrong, 0.9) == pytest.approx(0.001 / 2.001, rel=0.01)


def test_kinks_are_left_out():
    variable = backend.keras.Variable(np.array([0.0, 2.0]), dtype="float64")

    def loss():
        return float(np.abs(backend.host(variable)).sum())

    errors = skeleton.gradient_errors([variable], [np.array([1.0, 1.0])], loss, 0)
    assert 0 < len(errors) < 96
    assert errors.max() < 1e-9


def test_a_broken_repetition_is_seen(monkeypatch):
    from hpo.training.program import Network

    count = iter(range(100))
    begin = Network.begin
    monkeypatch.setattr(Network, "begin", lambda self, c, seed, x: begin(self, c, seed + next(count), x))
    space = space_of()
    checks = {c.name: c for c in skeleton.check_skeleton(space, configured(space), CLASSES, classes_fold(), 0)}
    assert checks["repeatability"].status is Status.FAILED
