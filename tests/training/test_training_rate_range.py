"""The learning-rate range test: what is read off curves of a known shape, and off a network in training."""

import tomllib

import numpy as np
import pytest
from training_support import CLASSES, NUMBERS, classes_fold, configured, numbers_fold, space_of

from hpo.training.inspection.rate_reading import RateReading, read, smooth

RATES = np.geomspace(1e-7, 10, 300)


def curve(*, falls: float = 1e-3, rises: float | None = 0.3, noise: float = 0.0) -> np.ndarray:
    """A loss of 2 that falls to 0.5 around one rate, and explodes at another."""
    losses = 0.5 + 1.5 / (1 + RATES / falls)
    if rises is not None:
        losses = losses + (RATES / rises) ** 4
    return losses + noise * np.random.default_rng(0).standard_normal(len(RATES))


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_fall_and_rise_are_found_where_they_are(noise):
    found = read(RATES, curve(noise=noise))
    assert found.steepest == pytest.approx(1e-3, rel=1.0 if noise else 0.3)
    assert 0.05 < found.diverges < 0.5
    assert found.suggested[0] == pytest.approx(found.steepest / 10, rel=0.35)
    assert found.suggested[0] < found.steepest < found.suggested[1]


def test_the_line_for_the_space_is_toml_that_a_space_takes():
    found = read(RATES, curve())
    ends = tomllib.loads(found.toml)["learning_rate"]
    assert ends["log"] is True
    assert [type(end) for end in ends["float"]] == [float, float]
    assert tuple(ends["float"]) == found.suggested


@pytest.mark.parametrize(("ends", "line"), [
    ((3e-7, 2.0), "[3e-7, 2.0]"), ((1e-3, 10.0), "[0.001, 10.0]"), ((4e-5, 0.03), "[4e-5, 0.03]"),
])  # fmt: skip
def test_ends_are_written_as_people_write_them(ends, line):
    found = RateReading(RATES, RATES, RATES, 1e-3, None, ends)
    assert line in found.toml


def test_what_breaks_down_diverges():
    losses = curve(rises=None)
    losses[200:] = np.nan
    losses[200] = np.inf
    found = read(RATES, losses)
    assert RATES[185] < found.diverges <= RATES[200]
    assert np.isfinite(found.smoothed).all()


def test_a_loss_that_still_falls_at_the_end_does_not_diverge():
    found = read(RATES, curve(rises=None))
    assert found.diverges is None
    assert found.suggested[1] == 10.0
    assert "--highest" in found.sentence


@pytest.mark.parametrize("losses", [
    np.full(300, 2.0), np.geomspace(2, 1e6, 300), np.full(300, np.nan), np.full(300, 0.0),
])  # fmt: skip
def test_a_loss_that_does_not_fall_says_nothing(losses):
    found = read(RATES, losses)
    assert (found.steepest, found.suggested, found.toml) == (None, None, None)
    assert "does not fall" in found.sentence


def test_smoothing_neither_shifts_nor_bends_a_straight_line():
    line = np.linspace(2, 1, 300)
    np.testing.assert_allclose(smooth(line)[30:-30], line[30:-30], rtol=1e-6)


@pytest.mark.parametrize(("facts", "optimizer"), [(CLASSES, "adam"), (NUMBERS, "momentum")])
def test_a_network_is_read(facts, optimizer):
    from hpo.training.inspection.rate_range import rate_range

    space = space_of()
    fold = numbers_fold(rows=300) if facts is NUMBERS else classes_fold(rows=300)
    sizes = {"lowest": 1e-6, "highest": 100.0, "steps": 150, "seed": 0}
    configuration = configured(space, units=32, optimizer=optimizer)
    found = rate_range(space, configuration, facts, fold, **sizes)
    assert found.losses.shape == (150,)
    assert found.rates[[0, -1]] == pytest.approx([1e-6, 100.0])
    assert 1e-4 < found.steepest < 1
    assert found.steepest < found.diverges < 100
    again = rate_range(space, configuration, facts, fold, **sizes)
    assert again.losses.tobytes() == found.losses.tobytes()


def test_data_smaller_than_a_batch_is_one_batch():
    from hpo.training.inspection.rate_range import rate_range

    space = space_of()
    configuration = configured(space, batch_size=64)
    found = rate_range(space, configuration, CLASSES, classes_fold(rows=20), lowest=1e-5, highest=1.0, steps=30, seed=0)
    assert np.isfinite(found.losses[:20]).all()
