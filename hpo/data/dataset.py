"""A data set ready for training, and its test rows, kept apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hpo.data.describe import DataDescription, describe
from hpo.data.prepared import Prepared, as_float
from hpo.data.scaling import apply_scaling, fit_scaling
from hpo.values import Array, FloatArray, Fold, TaskFacts, read_only


@dataclass(frozen=True, eq=False)
class TestRows:
    """The test set, opened."""

    __test__ = False  # pytest would take the name for a test class

    x: FloatArray
    """Encoded, not scaled: float32 (rows, *input_shape)."""
    y: Array
    """int32 class numbers, or float64 targets in their own unit, (rows,)."""
    raw: Sequence[Any]
    """The rows as a stranger has them: a dict by column name (a list in column order where the source has no header),
    an array of features, or an image (height, width, channels)."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Immutable; folds and the description are worked out on first use and kept. Arrays are read-only.

    "Own unit" means int32 class numbers, or float64 targets as in the source.
    """

    prepared: Prepared
    metric: str
    """The study's metric, resolved: a key of `METRICS`."""
    fingerprint: str
    """Of the data's content, the splits, the encoding and the scaling."""
    test_fingerprint: str
    """Of the test rows alone: equal wherever the same rows of the same content are held back."""
    _folds: dict[int, Fold] = field(default_factory=dict, repr=False)

    @property
    def facts(self) -> TaskFacts:
        return self.prepared.facts

    @property
    def folds(self) -> int:
        """1 for a single validation split."""
        return len(self.prepared.division.folds)

    @property
    def rows(self) -> int:
        """Rows of the pool: training and validation together."""
        return len(self.prepared.y)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """Portable JSON that turns a raw row into the encoded vector: kind `table`, `array` or `image`."""
        return self.prepared.preprocessing

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the encoded features; empty for images."""
        return self.prepared.feature_names

    def fold(self, i: int) -> Fold:
        """Fold i as training sees it, scaled by its own training rows."""
        if i not in self._folds:
            self._folds[i] = self._make_fold(i)
        return self._folds[i]

    def valid_rows(self, i: int) -> Array:
        """Row numbers of fold i's validation rows within the pool, ascending."""
        return self.prepared.valid_rows(i)

    def target_valid(self, i: int) -> Array:
        """Targets of fold i's validation rows in their own unit."""
        return self.prepared.y[self.valid_rows(i)]

    def encoded_train(self, i: int) -> tuple[FloatArray, Array]:
        """Fold i's training rows, encoded and not scaled, with targets in their own unit."""
        return self._encoded(self.prepared.train_rows(i))

    def encoded_valid(self, i: int) -> tuple[FloatArray, Array]:
        """Fold i's validation rows, encoded and not scaled, with targets in their own unit."""
        return self._encoded(self.prepared.valid_rows(i))

    def apply(self, i: int, encoded: Array) -> FloatArray:
        """Encoded rows scaled as fold i scales its own."""
        fold = self.fold(i)
        return apply_scaling(encoded, fold.offset, fold.scale)

    def open_test(self) -> TestRows:
        """The test rows. Whoever calls this records it: a test set that is looked at twice is one no more."""
        p = self.prepared
        raw: Sequence[Any]
        if isinstance(p.raw_test, np.ndarray):
            raw = list(p.raw_test)
        elif p.preprocessing["header"]:
            raw = p.raw_test.to_dict("records")
        else:
            raw = p.raw_test.to_numpy(dtype=object).tolist()
        return TestRows(as_float(p.x_test), p.y_test, raw)

    @cached_property
    def description(self) -> DataDescription:
        """What can be said of the data; takes up to a second or two, so only when asked."""
        return describe(self.prepared)

    def _encoded(self, rows: Array) -> tuple[FloatArray, Array]:
        return as_float(self.prepared.x[rows]), self.prepared.y[rows]

    def _make_fold(self, i: int) -> Fold:
        p = self.prepared
        train, valid = p.train_rows(i), p.valid_rows(i)
        x_train = p.x[train]
        offset, scale = fit_scaling(x_train, p.scale, p.is_number)
        y_train, y_valid = p.y[train], p.y[valid]
        target_offset, target_scale = 0.0, 1.0
        if p.facts.task.classifies:
            prior = np.bincount(y_train, minlength=len(p.facts.classes)) / len(y_train)
        else:
            target_offset, target_scale = float(y_train.mean()), float(y_train.std()) or 1.0
            y_train, y_valid = (((y - target_offset) / target_scale).astype(np.float32) for y in (y_train, y_valid))
            prior = np.zeros(1)
        arrays = (apply_scaling(x_train, offset, scale), y_train, apply_scaling(p.x[valid], offset, scale), y_valid)
        read_only((*arrays, prior, offset, scale))
        return Fold(*arrays, prior, offset, scale, target_offset, target_scale)
