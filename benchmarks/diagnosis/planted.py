"""What is planted: faults of each name at several strengths, and healthy trainings.

A fault is a configuration (and the rows it is trained on) that is known to ail in one way; `ACCEPTED` states the names
that count as right. Data sets in `SCORED` are only scored: no rule of `hpo.recipe.diagnosis` was made after they were.
The strength numbered `HELD_OUT` is told apart on the other sets too, but was seen while the suite was put together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpo.studyfile import load_space

DEVELOPED = ("digits", "wine_quality", "diabetes", "churn")
SEEN = ("breast_cancer", "wine", "letter", "california_housing")
"""Scored once, when 183 of 200 faults were named right; then layers were asked of wild networks too (`_WILD`)."""
SCORED = ("adult", "fashion_mnist")
HELD_OUT = 1
"""Number of the strength, from 0, that is held out of each fault on the developed sets; of healthy every third."""

SPACE = load_space({
    "model": "mlp",
    "architecture": {
        "hidden_layers": {"int": [1, 10], "default": 2}, "units": {"int": [1, 256], "default": 64},
        "activation": {"choice": ["relu", "leaky_relu", "sigmoid", "tanh"]},
        "batch_normalization": {"choice": ["none", "before"]},
        "initializer": {"choice": ["match", "constant", "zeros", "normal_1.0", "normal_0.01", "xavier_normal"]},
    },
    "optimizer": {
        "name": {"choice": ["adam", "sgd", "nesterov"]},
        "learning_rate": {"float": [1e-8, 1e4], "log": True, "default": 2e-3},
        "batch_size": {"int": [8, 512], "log": True, "default": 32},
        "clip_norm": {"float": [0.0, 10.0], "default": 0.0},
    },
    "regularization": {
        "l2": {"float": [0.0, 100.0], "default": 0.0}, "dropout": {"float": [0.0, 0.9], "default": 0.0},
        "early_stopping": {"int": [0, 100], "default": 0},
    },
})  # fmt: skip
"""Wide enough for every fault and its remedy."""


@dataclass(frozen=True)
class Planted:
    """A fault, or `healthy`, at one strength."""

    fault: str
    changes: dict[str, Any]
    epochs: int = 20
    data: str = "sound"
    """Rows: `sound`; `more`, those of the healthy network; `few N`, the first N; or a fault, see `bench.spoilt`."""
    strength: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Healthy:
    """The network that an expert would call healthy on a set, and why."""

    rows: int
    changes: dict[str, Any]
    why: str


ACCEPTED: dict[str, tuple[str, ...]] = {
    "symmetric": ("symmetric",),
    "diverged": ("diverged",),
    "dead units": ("dead units",),
    "oscillating": ("oscillating",),
    "rate too low": ("too slow", "still improving"),
    "too few epochs": ("still improving", "too slow"),
    "vanishing gradient": ("vanishing gradient",),
    "exploding gradient": ("exploding gradient", "diverged"),
    "saturated": ("saturated",),
    "overfit": ("overfit",),
    "underfit": ("underfit",),
    "label or data fault": ("label or data fault suspected",),
    "healthy": ("healthy",),
}

CALM = {"early_stopping": 6, "learning_rate": 1e-3}
"""The small network of the baseline stage."""
_MILD = {"l2": 1e-3, "dropout": 0.2, "early_stopping": 8}
"""What most practitioners begin with against overfitting."""
HEALTHY = {
    "digits": Healthy(1500, {**_MILD, "units": 64}, "ten clear classes: a usual network, lightly regularized"),
    "wine_quality": Healthy(1500, {**_MILD, "units": 32}, "grades are noisy: fewer units"),
    "diabetes": Healthy(1500, {**_MILD, "units": 32}, "236 rows, a noisy target: fewer units"),
    "churn": Healthy(3000, {**_MILD, "units": 64}, "on 1,500 rows a network is behind trees, on all 3,000 level"),
    "breast_cancer": Healthy(1500, {**_MILD, "units": 16, "l2": 3e-3}, "nearly linear, 304 rows: few units"),
    "wine": Healthy(1500, {**_MILD, "units": 64}, "95 rows, three clear classes: few steps an epoch need the width"),
    "letter": Healthy(6000, {**_MILD, "units": 128, "l2": 3e-4}, "26 classes need rows and width, and less penalty"),
    "adult": Healthy(6000, {**_MILD, "units": 32}, "a noisy answer: few units, and rows enough to be level with trees"),
    "fashion_mnist": Healthy(6000, {**_MILD, "units": 128, "l2": 1e-4}, "pictures need rows and width"),
    "california_housing": Healthy(1500, {**_MILD, "units": 64, "dropout": 0.1}, "on more rows trees are ahead"),
}
HEALTHY_EACH = 16
FEW = {
    "digits": "few 100", "wine_quality": "sound", "diabetes": "sound", "churn": "sound", "breast_cancer": "few 40",
    "wine": "few 24", "letter": "few 400", "california_housing": "few 200",
    "adult": "few 200", "fashion_mnist": "few 200",
}  # fmt: skip
"""Rows on which a wide network without regularization overfits: few, where the classes lie clearly apart."""


def planted(name: str) -> Iterator[Planted]:
    """Everything that is planted on one data set."""
    seed = 1000 * (*DEVELOPED, *SEEN, *SCORED).index(name)
    for fault, strengths in FAULTS.items():
        for n, (changes, epochs, data) in enumerate(strengths):
            yield Planted(fault, changes, epochs, FEW[name] if data == "rows" else data, n, seed + n)
    for n in range(HEALTHY_EACH):
        changes = {**HEALTHY[name].changes, "learning_rate": (2e-3, 3e-3)[n % 2]}
        yield Planted("healthy", changes, 80, "more", n, seed + n)


def held_out(one: Planted) -> bool:
    """Whether it is told apart on the developed sets."""
    number = one.strength % 3 if one.fault == "healthy" else one.strength
    return number == HELD_OUT


Strength = tuple[dict[str, Any], int, str]


def _each(name: str, values: tuple[Any, ...], common: dict[str, Any], epochs: int = 20) -> list[Strength]:
    return [({**common, name: value}, epochs, "sound") for value in values]


_WIDE = {"units": 256, "activation": "tanh", "initializer": "normal_1.0"}
FAULTS: dict[str, list[Strength]] = {
    "symmetric": [
        ({"initializer": "constant", "activation": activation, "hidden_layers": layers}, 20, "sound")
        for layers in (2, 3) for activation in ("tanh", "sigmoid")
    ],
    "diverged": _each("learning_rate", (1e2, 3e2, 1e3, 1e4), {"optimizer": "sgd", "activation": "leaky_relu"}),
    "dead units": _each("learning_rate", (3.0, 1.0, 0.3, 10.0), {}),
    "oscillating": _each("learning_rate", (0.3, 0.2, 0.5, 1.0), {"activation": "leaky_relu"}),
    "rate too low": _each("learning_rate", (1e-6, 3e-6, 1e-7, 1e-5), {}),
    "too few epochs": [
        ({"optimizer": optimizer, "learning_rate": rate}, epochs, "sound")
        for optimizer, rate, epochs in (("sgd", 1e-3, 5), ("adam", 1e-4, 5), ("sgd", 3e-3, 3), ("adam", 3e-4, 3))
    ],
    "vanishing gradient": [
        ({"hidden_layers": 10, "activation": "sigmoid", "initializer": initializer, "learning_rate": rate}, 20, "sound")
        for rate in (3e-4, 1e-3) for initializer in ("match", "normal_0.01")
    ],
    "exploding gradient": [
        ({"hidden_layers": 10, "initializer": "normal_1.0", "optimizer": optimizer, "learning_rate": rate}, 20, "sound")
        for optimizer, rate in (("sgd", 1e-3), ("sgd", 1e-2), ("adam", 1e-3), ("adam", 1e-4))
    ],
    "saturated": [
        ({**_WIDE, "hidden_layers": layers, "learning_rate": rate}, 10, "sound")
        for rate in (1e-4, 1e-5) for layers in (2, 3)
    ],
    "overfit": [
        ({"units": 256, "hidden_layers": layers, "learning_rate": rate}, 100, "rows")
        for layers in (2, 3) for rate in (1e-3, 3e-3)
    ],
    "underfit": [*_each("l2", (10.0, 3.0, 1.0), {}), ({"dropout": 0.9, "units": 16}, 40, "sound")],
    "label or data fault": [
        ({}, 60, data)
        for data in (
            "permuted 1.0", "permuted 0.9", "shifted", "out-of-step", "columns", "unscaled",
        )
    ],
}  # fmt: skip
