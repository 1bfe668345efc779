"""The catalogue's activations and their derivatives in closed form, with NumPy: no framework is loaded for them.

Symbols: z the pre-activation, h = f(z). The forms are Keras's: a slope of 0.2 for leaky_relu, the exact gelu (Hendrycks
and Gimpel 2016) rather than its approximation by tanh, selu's two constants of Klambauer et al. 2017. Where f has a
kink, the derivative at z = 0 is the one that TensorFlow takes: 0 for relu, 0.2 for leaky_relu, the right one for selu.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit

from hpo.values import Array

LEAKY_SLOPE = 0.2
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@dataclass(frozen=True)
class Activation:
    """f and f', elementwise on arrays of any shape; the dtype is kept."""

    value: Callable[[Array], Array]
    """z -> h"""
    slope: Callable[[Array, Array], Array]
    """(z, h) -> f'(z); h saves most of the arithmetic a second time."""
    bounds: tuple[float, float] | None = None
    """Below the first or above the second h counts as saturated; None where f has no two flat ends."""


def _leaky_relu(z: Array) -> Array:
    return np.maximum(z, LEAKY_SLOPE * z)


def _elu(z: Array) -> Array:
    return np.where(z >= 0, z, np.expm1(np.minimum(z, 0)))


def _selu(z: Array) -> Array:
    return np.asarray(SELU_SCALE * np.where(z >= 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))))


def _normal_share(z: Array) -> Array:
    """The standard normal distribution function."""
    return np.asarray(0.5 * (1 + erf(z * 0.5**0.5)))


def _gelu_slope(z: Array, h: Array) -> Array:
    density = np.exp(-0.5 * z * z) * (2 * np.pi) ** -0.5
    return np.asarray(_normal_share(z) + z * density)


def _swish_slope(z: Array, h: Array) -> Array:
    share = expit(z)
    return np.asarray(share + h * (1 - share))


ACTIVATE: dict[str, Activation] = {
    "relu": Activation(lambda z: np.maximum(z, 0), lambda z, h: (z > 0).astype(z.dtype)),
    "leaky_relu": Activation(_leaky_relu, lambda z, h: np.where(z > 0, z.dtype.type(1), z.dtype.type(LEAKY_SLOPE))),
    "elu": Activation(_elu, lambda z, h: np.where(z >= 0, z.dtype.type(1), h + 1)),
    "selu": Activation(
        _selu, lambda z, h: np.where(z >= 0, z.dtype.type(SELU_SCALE), h + SELU_SCALE * SELU_ALPHA)
    ),
    "gelu": Activation(lambda z: z * _normal_share(z), _gelu_slope),
    "swish": Activation(lambda z: np.asarray(z * expit(z)), _swish_slope),
    "tanh": Activation(np.tanh, lambda z, h: 1 - h * h, (-0.99, 0.99)),
    "sigmoid": Activation(lambda z: np.asarray(expit(z)), lambda z, h: h * (1 - h), (0.01, 0.99)),
}  # fmt: skip
"""By the catalogue's names."""
