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
"""

import numpy as np

from hpo.seeds import derive
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


def resolved(configuration: Configuration, *, output: bool) -> str:
    """The initializer that a layer takes: `match` follows the activation; a linear output is given Xavier's."""
    name = str(configuration["initializer"])
    if name != "match":
        return name
    return "xavier_uniform" if output else _MATCHING[str(configuration["activation"])]


def kernel(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """A kernel of `shape` (..., inputs, outputs), float64. Raises ValueError for an unknown initializer."""
    rng = np.random.default_rng(seed)
    fan_in, fan_out = int(np.prod(shape[:-1])), int(np.prod(shape[:-2])) * shape[-1]
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
    return kernel(resolved(configuration, output=output), shape, derive(seed, "kernel", layer))


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
