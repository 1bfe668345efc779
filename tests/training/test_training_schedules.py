"""Schedules against Keras's own objects, and their closed forms."""

import numpy as np
import pytest
from training_support import configured, space_of

from hpo.training import schedules
from hpo.training.backend import keras

STEPS, EPOCHS, RATE = 7, 9, 0.3

KERAS = {
    "constant": ({}, lambda: lambda step: RATE),
    "exponential": (
        {"decay_rate": 0.6, "decay_epochs": 2.0},
        lambda: keras.optimizers.schedules.ExponentialDecay(RATE, 2 * STEPS, 0.6),
    ),
    "step": (
        {"decay_rate": 0.6, "decay_epochs": 2.0},
        lambda: keras.optimizers.schedules.ExponentialDecay(RATE, 2 * STEPS, 0.6, staircase=True),
    ),
    "cosine": ({"alpha": 0.05}, lambda: keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * STEPS, 0.05)),
    "warm_restarts": (
        {"alpha": 0.05, "first_cycle": 2.0, "cycle_growth": 1.5},
        lambda: keras.optimizers.schedules.CosineDecayRestarts(RATE, 2 * STEPS, t_mul=1.5, alpha=0.05),
    ),
    "equal cycles": (
        {"schedule": "warm_restarts", "alpha": 0.0, "first_cycle": 2.0, "cycle_growth": 1.0},
        lambda: keras.optimizers.schedules.CosineDecayRestarts(RATE, 2 * STEPS, t_mul=1.0),
    ),
    "polynomial": (
        {"alpha": 0.1, "power": 2.0},
        lambda: keras.optimizers.schedules.PolynomialDecay(RATE, EPOCHS * STEPS, 0.1 * RATE, power=2.0),
    ),
    "warm-up": (
        {"schedule": "cosine", "warmup_epochs": 2.0},
        lambda: keras.optimizers.schedules.CosineDecay(
            0.0, (EPOCHS - 2) * STEPS, warmup_target=RATE, warmup_steps=2 * STEPS
        ),
    ),
}


def table(epochs: int = EPOCHS, **values):
    configuration = configured(space_of(), **values)
    return np.concatenate([schedules.rates(configuration, epoch=e, epochs=epochs, steps=STEPS) for e in range(epochs)])


@pytest.mark.parametrize("name", KERAS)
def test_a_schedule_equals_keras(name):
    values, stock = KERAS[name]
    schedule = stock()
    ours = table(**{"schedule": name, "learning_rate": RATE, **values})
    theirs = np.array([float(schedule(step)) for step in range(EPOCHS * STEPS)])
    # Keras floors cycle numbers in float32, so a step at a cycle's very seam may fall on either side.
    seam = (np.abs(ours - theirs) > 0.5 * RATE) & (name in ("warm_restarts", "equal cycles"))
    assert seam.sum() <= 2
    np.testing.assert_allclose(ours[~seam], theirs[~seam], rtol=2e-5, atol=2e-6 * RATE)


def test_cycles_restart_where_the_lengths_say():
    rates = table(schedule="warm_restarts", learning_rate=RATE, first_cycle=1.0, cycle_growth=2.0, alpha=0.0)
    starts = [s for s in range(len(rates)) if np.isclose(rates[s], RATE)]
    assert starts == [0, STEPS, 3 * STEPS, 7 * STEPS]


def test_a_triangle_goes_up_and_down_in_a_line():
    rates = table(schedule="cyclic", learning_rate=RATE, first_cycle=2.0, alpha=0.2)
    np.testing.assert_allclose(rates[: STEPS + 1], np.linspace(0.2 * RATE, RATE, STEPS + 1))
    np.testing.assert_allclose(rates[STEPS : 2 * STEPS + 1], np.linspace(RATE, 0.2 * RATE, STEPS + 1))
    np.testing.assert_allclose(rates[: 2 * STEPS], rates[2 * STEPS : 4 * STEPS])


def test_one_cycle_rises_once_and_falls_to_its_end():
    """The closed form at its corners, and in between PyTorch's cosine annealing written out."""
    rates = table(epochs=100, schedule="one_cycle", learning_rate=RATE, alpha=0.01)
    steps, peak = 100 * STEPS, 30 * STEPS
    assert rates[0] == pytest.approx(RATE / 25)
    assert rates.argmax() == peak
    assert rates[peak] == pytest.approx(RATE)
    assert rates[-1] == pytest.approx(0.01 * RATE, rel=1e-2)
    up, down = np.arange(peak) / peak, np.arange(steps - peak) / (steps - peak)
    np.testing.assert_allclose(rates[:peak], RATE + (RATE / 25 - RATE) / 2 * (1 + np.cos(np.pi * up)))
    np.testing.assert_allclose(rates[peak:], 0.01 * RATE + (RATE - 0.01 * RATE) / 2 * (1 + np.cos(np.pi * down)))


def test_a_warm_up_longer_than_the_run_only_rises():
    rates = table(schedule="cosine", learning_rate=RATE, warmup_epochs=2.0 * EPOCHS)
    assert (np.diff(rates) > 0).all()
    assert rates[0] == 0
    assert rates[-1] < RATE / 2
