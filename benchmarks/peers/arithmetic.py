"""Multiply-adds of a row's forward pass through a dense network, as asked for and as padded."""

from collections.abc import Iterable
from itertools import pairwise

from hpo.space import SearchSpace
from hpo.values import Configuration

try:
    from hpo.space import padded_width
except ImportError:  # an engine that pads nothing

    def padded_width(units: int) -> int:
        """Exact."""
        return units


def multiply_adds(configuration: Configuration, inputs: int, outputs: int, *, padded: bool) -> int:
    """Of kernels alone; inputs and outputs are never padded."""
    units = int(configuration["units"])
    width = padded_width(units) if padded else units
    sizes = [inputs, *[width] * int(configuration["hidden_layers"]), outputs]
    return sum(a * b for a, b in pairwise(sizes))


def padding_share(
    space: SearchSpace, runs: Iterable[tuple[Configuration, int, bool]], inputs: int, outputs: int
) -> float | None:
    """The part of all arithmetic that went into padding; None where the model is not dense.

    runs: configuration, epochs trained, and whether its engine pads.
    """
    if space.model != "mlp":
        return None
    exact = done = 0
    for configuration, epochs, pads in runs:
        exact += epochs * multiply_adds(configuration, inputs, outputs, padded=False)
        done += epochs * multiply_adds(configuration, inputs, outputs, padded=pads)
    return 1 - exact / done if done else None
