"""What a learning-rate range test says: where the loss falls fastest, where it begins to diverge, what to search.

Smith (2017, "Cyclical learning rates for training neural networks", section 3.3) lets the rate grow while a network
trains and reads two rates off the curve: where the loss begins to fall, and where it falls no longer. Pure functions
of the curve.
"""

from dataclasses import dataclass

import numpy as np

from hpo.values import Array

WIDTH = 0.02
"""Deviation of the smoothing weights, as a share of the test's steps."""
CEILING = 4.0
"""Losses above so many times the first ones are cut off before smoothing: one that explodes would hide all others."""
FALL = 0.1
"""A test says something where the loss falls by this share of its first value, at least."""
RISE = 0.1
"""The loss diverges where it has risen from its lowest by this share of its fall."""
BELOW = 10.0
"""The suggested range begins so far below the rate of the steepest fall."""


@dataclass(frozen=True, eq=False)
class RateReading:
    """A range test and what it says; arrays (steps,), float64."""

    rates: Array
    losses: Array
    """Of the batch after a step at each rate, penalties included; NaN or infinite where the network broke down."""
    smoothed: Array
    steepest: float | None
    """The rate at which the smoothed loss falls fastest over the logarithm of the rate; None where it does not fall."""
    diverges: float | None
    """The first rate at which the loss rises again for good; None where the test ended before."""
    suggested: tuple[float, float] | None
    """Ends of a range for `learning_rate`, rounded to one digit; None where the loss does not fall."""

    @property
    def toml(self) -> str | None:
        """The suggested range as a line of a search space's [optimizer] table."""
        if self.suggested is None:
            return None
        low, high = map(_plain, self.suggested)
        return f"learning_rate = {{ float = [{low}, {high}], log = true }}"

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
        if self.steepest is None:
            ends = f"{_plain(self.rates[0])} to {_plain(self.rates[-1])}"
            return f"The loss does not fall by a tenth at any rate from {ends}: take more --steps, or look at the data."
        told = f"The loss falls fastest at a rate of {self.steepest:.2g}, "
        if self.diverges is None:
            return told + f"and does not diverge up to {_plain(self.rates[-1])}: raise --highest to see where it does."
        return told + f"and begins to diverge at {self.diverges:.2g}."


def read(rates: Array, losses: Array) -> RateReading:
    """The reading of a test: `rates` rise geometrically, `losses` were seen after a step at each; both (steps,).

    A test that broke down may end early. At least ten steps are needed for a shape to be seen.
    """
    smoothed = smooth(losses)
    # The ends of a smoothed curve rest on half the numbers: a fall or a lowest point there is not believed at once.
    first = float(smoothed[0])
    lowest = int(np.argmin(smoothed))
    fall = first - float(smoothed[lowest])
    if fall < FALL * abs(first) or lowest == 0:
        return RateReading(rates, losses, smoothed, None, None, None)
    slope = np.gradient(smoothed, np.log(rates))
    steepest = float(rates[int(np.argmin(slope[: lowest + 1]))])
    risen = np.flatnonzero(smoothed[lowest:] > smoothed[lowest] + RISE * fall)
    diverges = float(rates[lowest + int(risen[0])]) if len(risen) else None
    high = diverges or float(rates[-1])
    low = max(steepest / BELOW, float(rates[0]))
    return RateReading(rates, losses, smoothed, steepest, diverges, (_one_digit(low), _one_digit(high)))


def smooth(losses: Array) -> Array:
    """Means with Gaussian weights over neighbouring steps, (steps,).

    They do not lag behind, as the customary exponential mean does, which would shift every rate that is read. What is
    no number counts as the ceiling.
    """
    steps = len(losses)
    first = losses[: max(steps // 20, 3)]
    first = first[np.isfinite(first)]
    ceiling = CEILING * abs(float(np.median(first))) if len(first) else 1.0
    clipped = np.minimum(np.nan_to_num(losses, nan=ceiling, posinf=ceiling), ceiling)
    at = np.arange(steps)
    weights = np.exp(-0.5 * ((at[:, None] - at) / max(WIDTH * steps, 1.0)) ** 2)
    return np.asarray(weights @ clipped / weights.sum(axis=1))


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")


def _plain(value: float) -> str:
    """`3e-4`, `0.01`, `2.0`: as a person writes it, and a float in TOML."""
    if 1e-3 <= value < 1e4:
        text = f"{value:.4f}".rstrip("0")
        return text + "0" if text.endswith(".") else text
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"
