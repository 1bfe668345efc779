"""Laws 2 and 8: from equal state the engines take the same step, and a padded network is the small one.

`make laws` runs all combinations; `make test` as many as it takes for any two values to meet, under JAX each once.
"""

from itertools import combinations

import numpy as np
import pytest
from laws_support import (
    ALONE,
    FACTS,
    FEW,
    FULL,
    PLAIN,
    REGULARIZERS,
    SPACE,
    UNITS,
    agree,
    both,
    cases,
    double_precision,
    named,
    one_step_apart,
    pairwise,
)
from training_support import configured, space_with, trained

from hpo.space.catalogue import ACTIVATIONS, BATCH_NORMALIZATION, OPTIMIZERS, SCHEDULES
from hpo.training import backend, optimizers, update_rule
from hpo.training.backend import keras

SCHEDULED = {"decay_rate": 0.5, "decay_epochs": 1.5, "first_cycle": 1.5, "cycle_growth": 1.5, "alpha": 0.1}
STEPS = cases(optimizer=OPTIMIZERS, regularizer=list(REGULARIZERS), schedule=SCHEDULES, task=list(FACTS))
if not FULL and not FEW:
    STEPS += [{"optimizer": "adam", "regularizer": name, "schedule": "cosine", "task": "multiclass"} for name in ALONE]
EVERY_PART = {
    "dropout": 0.3, "input_noise": 0.2, "l1": 0.01, "l2": 0.02, "activation_noise": 0.2, "weight_noise": 0.1,
    "gradient_noise": 0.1, "max_norm": 0.9, "class_weight": 0.5,
}  # fmt: skip
LOSSES = [
    {"task": "multiclass", "loss": "focal", "focal_gamma": 1.5}, {"task": "regression", "loss": "mae"},
    {"task": "binary", "loss": "focal", "focal_gamma": 0.5, "label_smoothing": 0.2, "class_weight": 0.5},
    {"task": "regression", "loss": "huber", "huber_delta": 0.7},
]  # fmt: skip
OF_LOSSES = space_with("label_smoothing", "class_weight")
CENTERED = {"plain": {"activation": "tanh", "optimizer": "nesterov"}, "every part": EVERY_PART}
"""Without batch normalization, which takes the gain off again: its gradient is then a sum that cancels to rounding."""
PADDED = [
    {"activation": a, "batch_normalization": b}
    for i, a in enumerate(ACTIVATIONS) for j, b in enumerate(BATCH_NORMALIZATION[:2] if FEW else BATCH_NORMALIZATION)
    if FULL or ((i + 1) % 3 == j and i < (3 if FEW else len(ACTIVATIONS)))
]  # fmt: skip
IN_64_BITS = space_with("optimizer", "dropout", "l2", activation="tanh")
COEFFICIENTS = {"momentum": 0.8, "rho": 0.7, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4, "weight_decay": 0.3}


def flattened(arrays):
    return [b for a in arrays for b in flattened(a)] if isinstance(arrays, (list, tuple)) else [arrays]


def test_any_two_values_of_any_two_factors_meet():
    factors = {"a": range(6), "b": range(7), "c": range(5), "d": range(3)}
    rows = pairwise(factors)
    assert rows == pairwise(factors)
    assert len(rows) < 60
    for one, two in combinations(factors, 2):
        assert len({(row[one], row[two]) for row in rows}) == len(factors[one]) * len(factors[two])


@pytest.mark.parametrize("case", STEPS, ids=named)
def test_a_step_from_equal_state_is_that_of_fit(case):
    values = {**SCHEDULED, **(ALONE | REGULARIZERS)[case["regularizer"]]}
    # Without parts no program is needed that could have them: those of normalized networks have them further down.
    space = PLAIN if "batch_normalization" in values or (FEW and case["regularizer"] == "none") else SPACE
    session = one_step_apart(
        case["task"], optimizer=case["optimizer"], schedule=case["schedule"], space=space, **values
    )
    rate = session.result(5).curve.learning_rate[2]
    assert (rate == 0.02) == (case["schedule"] == "constant")


def test_a_step_without_hidden_layers_is_that_of_fit():
    one_step_apart("multiclass", layers=0, **EVERY_PART)


@pytest.mark.parametrize("case", LOSSES, ids=named)
def test_a_step_of_another_loss_is_that_of_fit(case):
    one_step_apart(space=OF_LOSSES, **case)


@pytest.mark.parametrize("case", CENTERED)
def test_a_step_with_weight_normalization_is_that_of_fit(case):
    session = one_step_apart("multiclass", weight_normalization="centered", space=SPACE, **CENTERED[case])
    names, weights = session._network.names(), session.snapshot(5)["weights"]
    exported = session._network.exported(weights)
    assert len(weights) - len(exported) == names.count("gain") == 2
    np.testing.assert_allclose(exported[0].mean(0), 0, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(exported[0], axis=0), weights[names.index("gain")], rtol=1e-5)


@pytest.mark.parametrize("case", PADDED, ids=named)
def test_a_padded_network_is_the_small_one_and_its_padding_stays_zero(case):
    session = one_step_apart("multiclass", optimizer="adamw", **EVERY_PART, **case)
    # The run goes on here, so that its state is still the block's own; how a block lays arrays out is its business.
    snapshot, held = session.snapshot(5), session._blocks[0]._fetched()
    exact = [a for name in ("weights", "first", "second") for a in snapshot[name]]
    assert exact[0].shape == (5, UNITS)
    assert sum(np.count_nonzero(a) for a in exact) == sum(np.count_nonzero(a[5]) for a in flattened(held))


@pytest.mark.parametrize("optimizer", OPTIMIZERS[3:5] if FEW else OPTIMIZERS)
def test_short_runs_in_64_bits_agree_throughout(optimizer):
    """To 1e-6: `fit` holds the coefficients in 32 bits."""
    normalization = ("none", "before", "after")[OPTIMIZERS.index(optimizer) % 3]
    if not backend.normalizes_in_double():
        normalization = "none"
    configuration = configured(
        IN_64_BITS, units=UNITS, batch_size=16, optimizer=optimizer, batch_normalization=normalization,
        schedule="cosine", dropout=0.3, l2=0.02,
    )  # fmt: skip
    with double_precision():
        sessions = both("multiclass", normalization, batch=16, precision="float64", space=IN_64_BITS)
        theirs, ours = (trained(session, configuration, epochs=3) for session in sessions)
    tolerance = 1e-6
    assert {w.dtype for w in (*theirs.weights, *ours.weights)} == {np.dtype(np.float64)}
    agree(ours.weights, theirs.weights, tolerance, "weights")
    np.testing.assert_allclose(ours.curve.validation_loss, theirs.curve.validation_loss, rtol=tolerance)
    np.testing.assert_allclose(ours.curve.gradient_norm, theirs.curve.gradient_norm, rtol=tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_update_rule_is_that_of_kerass_own_optimizer(optimizer):
    generator = np.random.default_rng(4)
    configuration = configured(SPACE, optimizer=optimizer, **COEFFICIENTS)
    rates = 0.05 * 0.7 ** np.arange(7)
    table = update_rule.coefficients(configuration, rates[:4], 0), update_rule.coefficients(configuration, rates[4:], 4)
    w = generator.normal(size=(3, 20)).astype(np.float32)
    variable = keras.Variable(w)
    theirs = optimizers.stock(configuration, 0.0)
    theirs.build([variable])
    ours, m, v = w, np.zeros_like(w), np.zeros_like(w)
    for rate, row in zip(rates, np.concatenate(table), strict=True):
        gradient = generator.normal(size=w.shape).astype(np.float32)
        theirs.learning_rate = rate
        theirs.apply([keras.ops.convert_to_tensor(gradient)])
        arrays = (ours, m, v, gradient, row.astype(np.float32)[:, None, None])
        ours, m, v = update_rule.step(
            *map(keras.ops.convert_to_tensor, arrays), signs=update_rule.signed(configuration)
        )
        agree([backend.host(ours)], [backend.host(variable)], 2e-6, optimizer)
    assert np.abs(backend.host(ours) - w).max() > 0.01
