"""The gradient check: a network's gradient against central differences, in 64 bits on a few rows."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras
from hpo.training.builder import build
from hpo.training.losses import mean_loss, program_loss
from hpo.values import Array, Configuration, Fold, Status, TaskFacts

TOLERANCE, QUANTILE = 1e-5, 0.9
"""Gradients agree where so large a share of the relative errors is so small."""
_ROWS, _COORDINATES, _KINK = 8, 96, 1e-3


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Single weights at which a gradient was held against central differences: one entry a weight, (compared,).

    Those that cross a kink are left out, see `gradient_errors`.
    """

    array: Array
    """Which of the arrays given the weight belongs to, int."""
    index: Array
    """Its place in that array, counted in rows as NumPy's `ravel` does, int."""
    analytic: Array
    numeric: Array
    """The central difference."""

    @property
    def errors(self) -> Array:
        """Relative errors |a - n| / max(|a| + |n|, 1e-6), float64."""
        a, n = self.analytic, self.numeric
        return np.asarray(np.abs(a - n) / np.maximum(np.abs(a) + np.abs(n), 1e-6))


@dataclass(frozen=True, eq=False)
class LayerGradient:
    """How the gradient of one layer's weights and bias compares with central differences."""

    layer: str
    weights: int
    """Numbers that the layer learns."""
    drawn: int
    """Coordinates looked at; one may be drawn twice."""
    arrays: tuple[str, ...]
    """Names of the layer's arrays: `kernel`, `bias`, ..."""
    coordinates: Coordinates
    """Those that cross no kink; their `array` counts the names above."""

    @property
    def errors(self) -> Array:
        """Relative errors, float64 (compared,), see `gradient_errors`."""
        return self.coordinates.errors

    @property
    def status(self) -> Status:
        """`warning`: every coordinate crosses a kink, so nothing was compared."""
        return agreement(self.errors)


@dataclass(frozen=True)
class Differentiated:
    """A model in 64 bits with its gradient on a few rows."""

    variables: list[keras.Variable]
    parts: list[Array]
    loss: Callable[[], float]


def by_layer(
    space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> list[LayerGradient] | None:
    """Every layer with weights by itself, in their order; None where the model cannot compute in 64 bits.

    `plain`: a configuration without penalties, dropout and noise, which the stock form would draw anew each time.
    """
    backend.prepare()
    with differentiated(space, plain, facts, fold, seed) as found:
        if found is None:
            return None
        return [
            LayerGradient(
                name, sum(found.parts[i].size for i in own), _COORDINATES,
                tuple(str(found.variables[i].name) for i in own),
                compared(
                    [found.variables[i] for i in own], [found.parts[i] for i in own], found.loss,
                    derive(seed, "gradient", n),
                ),
            )
            for n, (name, own) in enumerate(_layers(found.variables, bundled=":" not in space.model))
        ]  # fmt: skip


@contextmanager
def differentiated(
    space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> Iterator[Differentiated | None]:
    """The network in float64 and its gradient on the first rows; None where it cannot compute so."""
    with backend.double_precision(), backend.policy("float64"):
        if not backend.normalizes_in_double():
            plain = {**plain, "batch_normalization": "none"}
        model = build(space, plain, facts, seed=seed, runtime=False)
        if not backend.normalizes_in_double() and _rounds(model):
            yield None
            return
        x, y = fold.x_train[:_ROWS].astype(np.float64), fold.y_train[:_ROWS]
        _, parts = backend.gradient(model, lambda t, z: program_loss(facts.task, t, z), x, y)
        outputs = backend.compiled_outputs(model)
        yield Differentiated(
            list(model.trainable_variables), parts, lambda: float(mean_loss(facts.task, y, outputs(x)))
        )


def gradient_errors(variables: list[keras.Variable], parts: list[Array], loss: Callable[[], float], seed: int) -> Array:
    """Relative errors of the gradient `parts` of a loss with respect to `variables`, see `compared`."""
    return compared(variables, parts, loss, seed).errors


def compared(variables: list[keras.Variable], parts: list[Array], loss: Callable[[], float], seed: int) -> Coordinates:
    """The gradient beside central differences n at coordinates drawn by `seed`, arrays by the root of their size.

    n = (f(w + h) - f(w - h)) / 2h, h = 1e-5. A coordinate is left out where |f(w + h) - 2 f(w) + f(w - h)| / 2h, which
    shrinks with h for a smooth f, stays above a thousandth of |n|: a kink lies between.
    """
    generator, h = np.random.default_rng(seed), 1e-5
    found: list[tuple[int, int, float, float]] = []
    middle = loss()
    sizes = np.array([p.size for p in parts])
    picked = generator.choice(len(parts), _COORDINATES, p=np.sqrt(sizes) / np.sqrt(sizes).sum())
    for i in picked:
        start = backend.host(variables[i])
        place = int(generator.integers(parts[i].size))
        at = np.unravel_index(place, parts[i].shape)
        around = []
        for side in (h, -h):
            moved = start.copy()
            moved[at] += side
            variables[i].assign(moved)
            around.append(loss())
        variables[i].assign(start)
        numeric = (around[0] - around[1]) / (2 * h)
        if abs(around[0] - 2 * middle + around[1]) / (2 * h) <= _KINK * max(abs(numeric), 1e-3):
            found.append((int(i), place, float(parts[i][at]), numeric))
    array, index, analytic, numbers = zip(*found, strict=True) if found else ((), (), (), ())
    return Coordinates(np.array(array, int), np.array(index, int), np.array(analytic), np.array(numbers))


def agreement(errors: Array) -> Status:
    """Whether nine of ten coordinates agree; a warning where there is none to compare."""
    if not len(errors):
        return Status.WARNING
    return Status.PASSED if np.quantile(errors, QUANTILE) <= TOLERANCE else Status.FAILED


def _layers(variables: list[keras.Variable], *, bundled: bool) -> list[tuple[str, list[int]]]:
    """(name, positions of its variables) of each layer.

    Keras numbers unnamed layers through a whole process: those of a bundled model are named as in a fresh one.
    """
    paths: dict[str, list[int]] = {}
    for i, variable in enumerate(variables):
        paths.setdefault(str(variable.path).rpartition("/")[0] or str(variable.name), []).append(i)
    named, seen = [], Counter[str]()
    for path, own in paths.items():
        kind = re.sub(r"_\d+$", "", path) if bundled else path
        named.append((f"{kind}_{seen[kind]}" if seen[kind] else kind, own))
        seen[kind] += 1
    return named


def _rounds(model: keras.Model) -> bool:
    """Whether a layer computes in 32 bits under JAX whatever it is told: batch normalization, and tanh (Keras 3.15)."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization)
        or getattr(layer, "activation", None) is keras.activations.tanh
        for layer in model._flatten_layers()
    )
