"""The first weights: Keras's own initializers, seeded by run and layer.

A kernel of shape (fan_in, fan_out) drawn with `xavier`: variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010); `he`:
2 / fan_in (He et al. 2015); `lecun`: 1 / fan_in (LeCun et al. 1998). The normal forms are truncated at two deviations
and rescaled, as Keras does, where the papers draw from the whole normal distribution. `orthogonal`: Saxe et al. 2013.
"""

from hpo.seeds import derive
from hpo.training.backend import keras
from hpo.values import Configuration

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

_KERAS = {
    "xavier_normal": keras.initializers.GlorotNormal,
    "xavier_uniform": keras.initializers.GlorotUniform,
    "he_normal": keras.initializers.HeNormal,
    "he_uniform": keras.initializers.HeUniform,
    "lecun_normal": keras.initializers.LecunNormal,
    "lecun_uniform": keras.initializers.LecunUniform,
    "normal": keras.initializers.RandomNormal,
    "uniform": keras.initializers.RandomUniform,
    "orthogonal": keras.initializers.Orthogonal,
}


def resolved(configuration: Configuration, *, output: bool) -> str:
    """The initializer that a layer takes: `match` follows the activation; a linear output is given Xavier's."""
    name = str(configuration["initializer"])
    if name != "match":
        return name
    return "xavier_uniform" if output else _MATCHING[str(configuration["activation"])]


def kernel_initializer(
    configuration: Configuration, *, seed: int, layer: int, output: bool = False
) -> keras.initializers.Initializer:
    """Keras's initializer for the kernel of the `layer`-th layer with weights, counted from 0."""
    name = resolved(configuration, output=output)
    if name == "zeros":
        return keras.initializers.Zeros()
    return _KERAS[name](seed=derive(seed, "kernel", layer))
