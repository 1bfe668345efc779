"""The first weights of kernels, drawn with NumPy from a seed of run and layer: the same on every backend.

A kernel has the shape (..., inputs, outputs); fan_in is the product of all axes but the last, fan_out of all but the
one before it. Deviation by name, of a normal distribution or of a uniform one on +-limit, limit = sqrt(3) deviation:

| name | deviation | source |
|---|---|---|
| xavier_normal, xavier_uniform | sqrt(2 / (fan_in + fan_out)) | Glorot and Bengio 2010 |
| he_normal, he_uniform | sqrt(2 / fan_in) | He et al. 2015 |
| lecun_normal, lecun_uniform | sqrt(1 / fan_in) | LeCun et al. 1998 |
| normal_0.01, normal_1.0 | 0.01, 1 | what was customary before |
| uniform | limit 1 / sqrt(fan_in) | the same, the "standard" one of Glorot and Bengio |

The scaled normal forms are truncated at two deviations and rescaled, as Keras does, where the papers draw from the
whole normal distribution. `orthogonal` (Saxe et al. 2013): orthonormal columns, or rows where there are fewer.
`constant`: 0.1 everywhere. `match` follows the activation.

`dropout_adjusted` (after Hendrycks and Gimpel 2016) corrects for the activation f and the dropout that the kernel's
inputs come through. With z standard normal, p the share of inputs that dropout keeps and scales by 1 / p, signals keep
their deviation forwards where fan_in Var(w) E[f(z)^2] / p = 1, gradients backwards where fan_out Var(w) E[f'(z)^2] / p
= 1. As Glorot and Bengio do, the mean of both is taken: Var(w) = 2 p / (fan_in E[f^2] + fan_out E[f'^2]); the first
kernel's inputs come through nothing, which makes it Xavier's.

`lsuv` and `data_dependent` begin as `orthogonal` and `lecun_normal`, and are then scaled by what training rows make of
them: see `data_initializers`.
"""

from functools import cache

import numpy as np

from hpo.seeds import derive
from hpo.training.inspection.activations import ACTIVATE
from hpo.values import Array, Configuration

CONSTANT = 0.1
_TRUNCATED_DEVIATION = 0.87962566103423978
"""Of a standard normal distribution cut off at two deviations."""
_MATCHING = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "elu": "he_normal",
    "gelu": "he_normal",
    "swish": "he_normal",
    "selu": "lecun_normal",
    "tanh": "xavier_uniform",
    "sigmoid": "xavier_uniform",
}


BY_DATA = {"lsuv": "orthogonal", "data_dependent": "lecun_normal"}
"""What the initializers that look at training rows begin as."""


def resolved(configuration: Configuration, *, output: bool) -> str:
    """The initializer that a layer takes: `match` follows the activation; a linear output is given Xavier's."""
    name = str(configuration["initializer"])
    if name != "match":
        return name
    return "xavier_uniform" if output else _MATCHING[str(configuration["activation"])]


def kernel(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """A kernel of `shape` (..., inputs, outputs), float64. Raises ValueError for an unknown initializer."""
    rng = np.random.default_rng(seed)
    fan_in, fan_out = _fans(shape)
    scaled = {"xavier": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}
    match name.rsplit("_", 1):
        case ["zeros"]:
            return np.zeros(shape)
        case ["constant"]:
            return np.full(shape, CONSTANT)
        case ["orthogonal"]:
            return _orthogonal(rng, shape)
        case ["uniform"]:
            return np.asarray(rng.uniform(-1.0, 1.0, shape) / np.sqrt(fan_in))
        case ["normal", deviation]:
            return float(deviation) * rng.standard_normal(shape)
        case [family, "uniform"] if family in scaled:
            return np.asarray(np.sqrt(3 * scaled[family]) * rng.uniform(-1.0, 1.0, shape))
        case [family, "normal"] if family in scaled:
            return np.asarray(np.sqrt(scaled[family]) / _TRUNCATED_DEVIATION * _truncated(rng, shape))
    raise ValueError(f"there is no initializer {name!r}")


def first_kernel(
    configuration: Configuration, shape: tuple[int, ...], *, seed: int, layer: int, output: bool = False
) -> Array:
    """A run's kernel of the `layer`-th layer with weights, counted from 0; float64."""
    name, own = resolved(configuration, output=output), derive(seed, "kernel", layer)
    if name == "dropout_adjusted":
        return _dropout_adjusted(configuration, shape, own, first=layer == 0, output=output)
    return kernel(BY_DATA.get(name, name), shape, own)


def _dropout_adjusted(
    configuration: Configuration, shape: tuple[int, ...], seed: int, *, first: bool, output: bool
) -> Array:
    fan_in, fan_out = _fans(shape)
    value, slope = (1.0, 1.0) if first else _mean_squares(str(configuration["activation"]))
    # With batch normalization units are dropped ahead of the output alone: see `builder`.
    dropped = not first and (output or configuration["batch_normalization"] == "none")
    kept = 1 - float(configuration["dropout"]) if dropped else 1.0
    drawn = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(drawn * np.sqrt(2 * kept / (fan_in * value + fan_out * slope)))


@cache
def _mean_squares(activation: str) -> tuple[float, float]:
    """(E[f(z)^2], E[f'(z)^2]) for standard normal z."""
    z = np.linspace(-9, 9, 36_001)
    density = np.exp(-0.5 * z * z)
    h = ACTIVATE[activation].value(z)
    value, slope = (float((a * a * density).sum() / density.sum()) for a in (h, ACTIVATE[activation].slope(z, h)))
    return value, slope


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    return int(np.prod(shape[:-1])), int(np.prod(shape[:-2])) * shape[-1]


def _truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers of which those beyond two deviations are drawn again."""
    z = rng.standard_normal(shape)
    while (far := np.abs(z) > 2.0).any():
        z[far] = rng.standard_normal(int(far.sum()))
    return z


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # else not uniform over orthogonal matrices (Mezzadri 2007)
    return np.reshape(q if rows >= columns else q.T, shape)
