"""The weights of a network: the first ones, those that are trained, and those that are exported."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo.training.backend import assign, host, keras
from hpo.training.data_initializers import adapted, looks_at_rows
from hpo.training.initializers import first_kernel
from hpo.training.layers import RuntimeLayer, centered, first_gain
from hpo.values import Array, Configuration


def fresh_weights(model: keras.Model, configuration: Configuration, seed: int, x: Array | None = None) -> list[Array]:
    """The first weights of a bundled model for any seed, in the order of `trained_variables`, without building it.

    `x` (rows, ...): scaled training rows, for the initializers that look at them; without rows they begin unscaled.
    """
    layers = _weighted_layers(model)
    drawn, biases = first_arrays(
        configuration, [tuple(layer._kernel.shape) for layer in layers if hasattr(layer, "_kernel")], seed, x
    )
    arrays = iter(zip(drawn, biases, strict=True))
    weights = []
    for layer in layers:
        of: dict[str, Array] = {}
        if hasattr(layer, "_kernel"):
            of["kernel"], of["bias"] = next(arrays)
            of["gain"] = first_gain(of["kernel"])
        for variable in layer.weights:
            ones = variable.name in ("gamma", "moving_variance")
            value = of.get(variable.name, np.full(variable.shape, 1.0 if ones else 0.0))
            weights.append(value.astype(variable.dtype))
    return weights


def first_arrays(
    configuration: Configuration, shapes: Sequence[tuple[int, ...]], seed: int, x: Array | None
) -> tuple[list[Array], list[Array]]:
    """The first (kernels, biases) of a bundled model's layers, float64, the output's last. `x`: see `fresh_weights`."""
    last = len(shapes) - 1
    drawn = [first_kernel(configuration, s, seed=seed, layer=n, output=n == last) for n, s in enumerate(shapes)]
    if x is not None and looks_at_rows(configuration):
        return adapted(configuration, drawn, x)
    return drawn, [np.zeros(s[-1]) for s in shapes]


def _weighted_layers(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if layer.weights and not isinstance(layer, RuntimeLayer)]


def trained_variables(model: keras.Model) -> list[Any]:
    """The variables of the network itself: neither strengths nor counters."""
    if not getattr(model, "hpo_bundled", False):
        return list(model.weights)
    return [v for layer in _weighted_layers(model) for v in layer.weights]


def exported_weights(model: keras.Model) -> list[Array]:
    """Weights and normalization statistics as the stock form's `set_weights` takes them."""
    if not getattr(model, "hpo_bundled", False):
        return [host(v) for v in model.weights]
    weights: list[Array] = []
    for layer in _weighted_layers(model):
        of = {v.name: host(v) for v in layer.weights}
        gain = of.pop("gain", None)
        if gain is not None:
            of["kernel"] = centered(of["kernel"], gain)
        weights += of.values()
    return weights


def set_exported_weights(model: keras.Model, weights: Sequence[Array]) -> None:
    """The inverse of `exported_weights`, on the stock form, or on one without weight normalization."""
    assign(trained_variables(model), list(weights))
