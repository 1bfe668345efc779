"""From columns or images to the encoded matrix: imputed, one-hot, not yet scaled.

Everything is learned from the rows given to `fit_table`, through scikit-learn's transformers.
`TableEncoder.preprocessing` says the same in plain JSON, for a reader that knows no scikit-learn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from hpo.data.columns import Column
from hpo.data.problems import refuse
from hpo.values import Array, FloatArray

_MOST_CATEGORIES = 200


@dataclass(frozen=True)
class Category:
    """A text column's outputs: one for each kept category (sorted), then one for missing if the fit saw any."""

    texts: tuple[str, ...]
    missing: bool

    @property
    def width(self) -> int:
        return len(self.texts) + self.missing


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Encodes columns of the same names and order as those it was fitted on."""

    names: tuple[str, ...]
    categories: Mapping[str, Category]
    """Of the text columns, by name."""
    imputer: Any
    """Fitted `SimpleImputer` of the columns of numbers together; None where there are none."""
    one_hot: Any
    """Fitted `OneHotEncoder` of the text columns' category numbers together; None where there are none."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Encoded features of each column."""
        return tuple(self.categories[name].width if name in self.categories else 1 for name in self.names)

    @property
    def features(self) -> int:
        return sum(self.widths)

    @property
    def is_number(self) -> Array:
        """Which encoded features are numbers and so scaled, (features,) bool; one-hot features are 0 or 1 already."""
        return np.repeat([name not in self.categories for name in self.names], self.widths)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """`column` for a number, `column=category` for a category."""
        found: list[str] = []
        for name in self.names:
            category = self.categories.get(name)
            if category is None:
                found.append(name)
            else:
                found += [f"{name}={text}" for text in category.texts] + [f"{name} missing"] * category.missing
        return tuple(found)

    def encode(self, columns: Sequence[Column]) -> FloatArray:
        """float32 (rows, features), the columns' features side by side in the columns' order."""
        numbers = [c.numbers for c in columns if c.numbers is not None and c.name not in self.categories]
        texts = [category_numbers(c, self.categories[c.name]) for c in columns if c.name in self.categories]
        filled = self.imputer.transform(np.column_stack(numbers)) if self.imputer is not None else None
        hot = self.one_hot.transform(np.column_stack(texts)) if self.one_hot is not None else None
        encoded = np.empty((len(columns[0]), self.features), np.float32)
        is_number = self.is_number
        if filled is not None:
            encoded[:, is_number] = filled
        if hot is not None:
            encoded[:, ~is_number] = hot
        return encoded

    def preprocessing(self, *, missing: Sequence[str], header: bool, target: str | None, all_columns: Sequence[str],
                      dropped: Sequence[str], separator: str | None) -> dict[str, Any]:  # fmt: skip
        """The portable JSON. A raw row gives, for each entry of `columns` in order:

        `number`: one value, Python's `float` of the cell; `fill` (the median) where it is missing or not finite.
        `text`: one value a category, 1 where the cell's text equals it, else 0; then, where `missing` is true, one that
        is 1 where the cell is missing. A text that is no category, or missing where that has no output: all zeros.
        A cell is missing when it is None, NaN, or its text without blanks around it (`strip`) is in `missing`.
        """
        fills = iter(self.imputer.statistics_ if self.imputer is not None else ())
        columns: list[dict[str, Any]] = []
        for name in self.names:
            category = self.categories.get(name)
            if category is None:
                columns.append({"name": name, "kind": "number", "fill": float(next(fills))})
            else:
                texts = list(category.texts)
                columns.append({"name": name, "kind": "text", "categories": texts, "missing": category.missing})
        return {
            "version": 1,
            "kind": "table",
            "columns": columns,
            "missing": list(missing),
            "strip": True,
            "header": header,
            "separator": separator,
            "target": target,
            "dropped": list(dropped),
            "all_columns": list(all_columns),
        }


def fit_table(columns: Sequence[Column]) -> TableEncoder:
    """An encoder learned from these rows. A column of numbers that is empty here is filled with zeros."""
    categories = {c.name: _categories(c) for c in columns if not c.is_number}
    numbers = [c.numbers for c in columns if c.numbers is not None]
    imputer = one_hot = None
    if numbers:
        imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(np.column_stack(numbers))
    if categories:
        codes = np.column_stack([category_numbers(c, categories[c.name]) for c in columns if not c.is_number])
        known = [np.arange(category.width) for category in categories.values()]
        one_hot = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        one_hot.fit(codes)
    return TableEncoder(tuple(c.name for c in columns), categories, imputer, one_hot)


def category_numbers(column: Column, category: Category) -> Array:
    """Each row's position among the column's outputs, (rows,) int64; -1 where it has none."""
    position = {text: i for i, text in enumerate(category.texts)}
    lookup = np.array([*(position.get(text, -1) for text in column.texts), len(position) if category.missing else -1])
    return lookup[column.codes].astype(np.int64)


def _categories(column: Column) -> Category:
    """Categories common enough to learn from: the most common 200.

    From 200 rows on each needs at least two rows and one in 2,000; if none has, the most common one is kept.
    """
    rows = len(column)
    least = 1 if rows < 200 else max(2, rows // 2000)
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.texts))
    common = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
    kept = sorted(column.texts[i] for i in common if counts[i] >= least)
    missing = bool((column.codes < 0).any())
    if not kept and not missing:
        kept = [column.texts[int(common[0])]]
    return Category(tuple(kept), missing)


def as_images(x: Array, source: str) -> Array:
    """Images as (rows, height, width, channels), their number type kept. Raises InputError where x is none of these."""
    shaped = x[..., None] if x.ndim == 3 else x
    if shaped.ndim != 4 or 0 in shaped.shape[1:]:
        expected = "x of shape (rows, features), (rows, height, width) or (rows, height, width, channels)"
        raise refuse(source, "x", expected, str(x.shape), "Save the arrays in one of these shapes.")
    return shaped
