"""Learning-rate schedules as tables: the rate of every step of an epoch.

Symbols: r the configuration's learning rate, s the step counted from 0 over the whole run, n steps an epoch, E epochs
of the run. A warm-up of w epochs comes first, r * s / (w n); what follows counts its steps t = s - w n from the
warm-up's end. The forms are Keras's:

- constant: r
- exponential: r * decay_rate ** (t / (decay_epochs n)); step: the same with the exponent rounded down
- cosine (Loshchilov and Hutter 2017): r * ((1 - alpha) * (1 + cos(pi t / T)) / 2 + alpha), T = (E - w) n
- warm_restarts: the same over cycles of first_cycle n, then each cycle_growth times as long as the one before
- polynomial: r * ((1 - alpha) * (1 - t / T) ** power + alpha)
- cyclic (Smith 2017, triangular): linear from alpha r up to r and down again, over cycles of first_cycle n
- one_cycle (Smith and Topin 2018): half a cosine from r / 25 up to r over the first 0.3 T, and one down to alpha r

Keras rounds a count of steps to a whole number in some of these; ours stay real, so a schedule given in epochs is the
same whatever the batch size.
"""

import numpy as np

from hpo.values import Array, Configuration

_RISE, _START = 0.3, 1 / 25
"""Of one_cycle, as PyTorch's `OneCycleLR` has them."""


def rates(configuration: Configuration, *, epoch: int, epochs: int, steps: int) -> Array:
    """The rates of the steps of one epoch, counted from 0, of a run of `epochs`: float64, (steps,)."""
    step = epoch * steps + np.arange(steps, dtype=np.float64)
    warmup = float(configuration["warmup_epochs"]) * steps
    after = np.maximum(step - warmup, 0.0)
    multiplier = _multiplier(configuration, after, steps, max(epochs * steps - warmup, 1.0))
    if warmup > 0:
        multiplier = np.where(step < warmup, step / warmup, multiplier)
    return float(configuration["learning_rate"]) * multiplier


def _multiplier(configuration: Configuration, step: Array, steps: int, length: float) -> Array:
    match configuration["schedule"]:
        case "exponential" | "step" as name:
            exponent = step / (float(configuration["decay_epochs"]) * steps)
            exponent = np.floor(exponent) if name == "step" else exponent
            return float(configuration["decay_rate"]) ** exponent
        case "cosine":
            return _cosine(np.minimum(step / length, 1.0), float(configuration["alpha"]))
        case "warm_restarts":
            cycle = step / (float(configuration["first_cycle"]) * steps)
            return _cosine(_within_cycle(cycle, float(configuration["cycle_growth"])), float(configuration["alpha"]))
        case "polynomial":
            share, alpha = np.minimum(step / length, 1.0), float(configuration["alpha"])
            return np.asarray((1 - alpha) * (1 - share) ** float(configuration["power"]) + alpha)
        case "cyclic":
            cycle, alpha = step / (float(configuration["first_cycle"]) * steps), float(configuration["alpha"])
            return np.asarray(alpha + (1 - alpha) * (1 - np.abs(2 * _within_cycle(cycle, 1.0) - 1)))
        case "one_cycle":
            share = np.minimum(step / length, 1.0)
            up = _cosine(1 - share / _RISE, _START)
            return np.where(share < _RISE, up, _cosine((share - _RISE) / (1 - _RISE), float(configuration["alpha"])))
        case _:
            return np.ones_like(step)


def _cosine(share: Array, alpha: float) -> Array:
    return np.asarray((1 - alpha) * (1 + np.cos(np.pi * share)) / 2 + alpha)


def _within_cycle(elapsed: Array, growth: float) -> Array:
    """How far into its cycle each moment lies, in [0, 1); `elapsed` is in lengths of the first cycle."""
    if growth == 1.0:
        return elapsed - np.floor(elapsed)
    past = np.floor(np.log(1 - elapsed * (1 - growth)) / np.log(growth))
    return np.asarray((elapsed - (1 - growth**past) / (1 - growth)) / growth**past)
