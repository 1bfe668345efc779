"""The rows that every tool trains on, as arrays."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FASHION = "fashion_mnist/fashion_mnist.npz"
CLASSES = 10


class NoData(Exception):
    """What a case needs is not on this machine."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Scaled inputs (float32) and class numbers (int32), or numbers to predict (float32)."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[Any]
    x_valid: npt.NDArray[np.float32]
    y_valid: npt.NDArray[Any]
    outputs: int = CLASSES
    """Of a network: classes, or 1 where a number is predicted."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def classifies(self) -> bool:
        return self.y.dtype.kind != "f"


def load(name: str) -> Rows:
    """`digits`, `fashion` (20,000 flat pictures) or `fashion-images` (4,000). Raises NoData."""
    if name == "digits":
        return _digits()
    return _fashion(20_000, 4_000, (784,)) if name == "fashion" else _fashion(4_000, 1_000, (28, 28, 1))


def synthetic(rows: int, valid: int, shape: tuple[int, ...]) -> Rows:
    """Rows without meaning: of a shape, for measurements of arithmetic."""
    rng = np.random.default_rng(0)
    x = rng.random((rows + valid, *shape), np.float32)
    y = rng.integers(0, CLASSES, rows + valid).astype(np.int32)
    return Rows(x[:rows], y[:rows], x[rows:], y[rows:])


def _digits() -> Rows:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    train, valid = order[:1437], order[1437:]
    offset, scale = x[train].mean(0), x[train].std(0)
    x = ((x - offset) / np.where(scale > 0, scale, 1)).astype(np.float32)
    y = y.astype(np.int32)
    return Rows(x[train], y[train], x[valid], y[valid])


def _fashion(rows: int, valid: int, shape: tuple[int, ...]) -> Rows:
    # Beside a checkout, as the tests have it.
    folder = Path(os.environ.get("HPO_DATA_DIR") or Path(__file__).resolve().parents[2].parent / "shared" / "data")
    path = folder / FASHION
    if not path.is_file():
        raise NoData(f"no data: {FASHION} is not there; name its folder with HPO_DATA_DIR")
    with np.load(path) as file:
        x, y = file["x_train"][: rows + valid], file["y_train"][: rows + valid].astype(np.int32)
    x = (x.astype(np.float32) / 255).reshape(-1, *shape)
    return Rows(x[:rows], y[:rows], x[rows:], y[rows:])
