"""How well each single column predicts the target: where one does nearly alone, it is likely to leak it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from hpo.data.columns import Column
from hpo.values import Array

_ROWS, _COLUMNS, _LEAVES = 4000, 200, 64


def single_column_scores(columns: Sequence[Column], y: Array, classes: int) -> Mapping[str, float]:
    """Column name -> share of the target that a tree of at most 64 leaves on that column explains on rows it has not
    seen: 1 - log loss / prior's log loss for classes, R² for numbers; 0 is nothing, 1 everything.

    Trees are grown on one half of at most 4,000 rows and scored on the other; only the first 200 columns are looked at.
    The better of two trees counts: leaves of two rows find a rare class, those of an eighth of all rows a weak trend.
    A leaf predicts its class counts with the prior added as one row (Laplace), or its mean.
    """
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(y))[:_ROWS]
    grow, judge = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    if len(judge) < 10:
        return {}
    score = _class_skill if classes else _number_skill
    leaves = (2, max(2, len(grow) // 8))
    return {
        c.name: max(score(_values(c), y, grow, judge, classes, leaf) for leaf in leaves) for c in columns[:_COLUMNS]
    }


def _values(column: Column) -> Array:
    """The column as numbers (rows, 1): category numbers for texts; missing values lie below all others."""
    if column.numbers is None:
        return column.codes[:, None].astype(np.float64)
    lowest = np.nanmin(column.numbers) - 1.0 if not np.isnan(column.numbers).all() else 0.0
    return np.where(np.isnan(column.numbers), lowest, column.numbers)[:, None]


def _class_skill(x: Array, y: Array, grow: Array, judge: Array, classes: int, leaf: int) -> float:
    tree: Any = DecisionTreeClassifier(
        criterion="log_loss", max_leaf_nodes=_LEAVES, min_samples_leaf=leaf, random_state=0
    )
    leaves = tree.fit(x[grow], y[grow]).apply(x)
    prior = (np.bincount(y[grow], minlength=classes) + 1.0) / (len(grow) + classes)
    counts = np.zeros((tree.tree_.node_count, classes))
    np.add.at(counts, (leaves[grow], y[grow]), 1.0)
    p = (counts + prior) / (counts.sum(axis=1, keepdims=True) + 1.0)
    loss = -np.log(p[leaves[judge], y[judge]]).mean()
    return float(max(0.0, 1.0 - loss / -np.log(prior[y[judge]]).mean()))


def _number_skill(x: Array, y: Array, grow: Array, judge: Array, classes: int, leaf: int) -> float:
    tree: Any = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=leaf, random_state=0).fit(
        x[grow], y[grow]
    )
    spread = float(((y[judge] - y[grow].mean()) ** 2).mean())
    error = float(((y[judge] - tree.predict(x[judge])) ** 2).mean())
    return max(0.0, 1.0 - error / spread) if spread > 0 else 0.0
