"""The cases of `throughput.py`: what is varied on which data. Every tool gets its space from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.space import SearchSpace
from hpo.studyfile import load_space

_RATES = {"learning_rate": {"float": [1e-4, 0.03], "log": True, "default": 1e-3}}
_PENALTIES = {
    "l2": {"float": [1e-6, 1e-2], "log": True, "default": 1e-4},
    "dropout": {"float": [0.0, 0.5], "default": 0.2},
}


@dataclass(frozen=True)
class Case:
    """One comparison."""

    name: str
    data: str
    """What `rows.load` knows."""
    epochs: int
    table: str | Mapping[str, Any]
    """The space as `load_space` takes it."""
    tools: tuple[str, ...]
    """Whom ours is measured against."""
    widths: tuple[int, ...] | None = None
    """Of the hidden layers, where they are not what `units` says."""
    note: str = ""

    @property
    def space(self) -> SearchSpace:
        return load_space(self.table)


def _dense(widths: tuple[int, ...], batch: int, **varied: Any) -> dict[str, Any]:
    """Numbers vary, the structure does not. Layers of unequal width get the widest one's in our `mlp`."""
    return {
        "model": "mlp",
        "architecture": {"hidden_layers": len(widths), "units": max(widths), **varied.get("architecture", {})},
        "optimizer": {"batch_size": batch, **_RATES, **varied.get("optimizer", {})},
        "regularization": _PENALTIES,
    }


_UNEQUAL = "ours has {0} units in each layer (more arithmetic): its model `mlp` knows one width"


def _fashion(widths: tuple[int, ...], batch: int) -> Case:
    name = f"fashion-{'-'.join(map(str, widths))}-b{batch}"
    note = _UNEQUAL.format(max(widths)) if len(set(widths)) > 1 else ""
    return Case(name, "fashion", 5, _dense(widths, batch), ("optuna", "bare"), widths, note)


_DIGITS = _dense(
    (64, 64), 32,
    architecture={"activation": {"choice": ["relu", "gelu", "tanh"]}},
    optimizer={"name": {"choice": ["adam", "nesterov", "rmsprop"]}},
)  # fmt: skip
_CNN = {
    "model": "cnn",
    "architecture": {"blocks": 2, "filters": 8, "kernel_size": 3, "dense_units": 32},
    "optimizer": {"batch_size": 64, **_RATES},
    "regularization": _PENALTIES,
}

CASES = {
    case.name: case
    for case in (
        Case("digits", "digits", 20, _DIGITS, ("keras-tuner", "optuna", "optuna-2", "ray", "bare")),
        _fashion((256, 128), 128),
        _fashion((64, 32), 128),
        _fashion((64, 32), 32),
        Case("mlp-space", "digits", 20, "mlp", ("keras-tuner",)),
        Case("cnn", "fashion-images", 3, _CNN, ("optuna", "bare")),
    )
}
