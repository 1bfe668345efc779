"""Analysis of variance of regression trees, in closed form, and its intervals over the choice of the trials.

A tree is constant on boxes. With leaves l of value v_l (its mean over the space taken off) that cover the part s_lj of
hyperparameter j and the part o_lmj of it together with leaf m, and w_l = v_l prod_j s_lj, what the hyperparameters of a
set S explain together, each alone and all interactions within S, is

    V_S = sum_lm w_l w_m prod_{j in S} o_lmj / (s_lj s_mj).

Columns lie in the unit interval. A hyperparameter that is a number has one, a choice one a value (0 or 1).
"""

from collections.abc import Sequence

import numpy as np

from hpo.values import Array

LEAVES = 32
"""A tree's most: bounds the time of a long stage."""
NORMAL = 1.645
"""Deviations to each side of a 90 % interval."""

Leaves = tuple[Array, Array, Array]
"""Of one tree: lower ends and upper ends of the leaves' boxes, (leaves, columns), and their values, (leaves,)."""
Interval = tuple[Array, Array, Array]
"""Estimate, lower and upper bound."""


def trees(x: Array, y: Array, rows: Array, seed: int) -> list[Leaves]:
    """A tree on each resample. x: (trials, columns). y: (trials,). rows: trials drawn for a tree, (trees, trials)."""
    from sklearn.tree import DecisionTreeRegressor  # a second to import, and few processes judge a stage

    grown = []
    for number, of in enumerate(rows):
        fitted = DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=(seed + number) % 2**32).fit(x[of], y[of])
        grown.append(leaves(fitted.tree_, x.shape[1]))
    return grown


def leaves(tree: object, width: int) -> Leaves:
    """The leaves of scikit-learn's tree over so many columns."""
    left, right, feature, threshold, value = (
        getattr(tree, name).tolist() for name in ("children_left", "children_right", "feature", "threshold", "value")
    )
    low, high, values = [], [], []
    waiting = [(0, [0.0] * width, [1.0] * width)]
    while waiting:
        node, lows, highs = waiting.pop()
        on = feature[node]
        if on < 0:
            low.append(lows)
            high.append(highs)
            values.append(value[node][0][0])
            continue
        at = threshold[node]
        waiting.append((left[node], lows, [*highs[:on], at, *highs[on + 1 :]]))
        waiting.append((right[node], [*lows[:on], at, *lows[on + 1 :]], highs))
    return np.array(low), np.array(high), np.array(values)


def parts(tree: Leaves, widths: Sequence[int]) -> tuple[float, Array, Array, Array]:
    """Variance over the space; what each hyperparameter explains, (d,); pairs beyond that, (d, d); totals, (d,).

    widths: columns of each hyperparameter. A total is what is left of the variance without the hyperparameter.
    """
    over, sizes = _overlaps(tree, widths)
    volume, values = sizes.prod(axis=0), tree[2]
    away = values - volume @ values
    weights = np.outer(away * volume, away * volume)
    flat = over.reshape(len(over), -1)
    variance = float(volume @ away**2)
    single = flat @ weights.ravel()
    pair = (flat * weights.ravel()) @ flat.T - single[:, None] - single[None, :]
    before, after = (np.cumprod(np.concatenate([np.ones((1, *weights.shape)), o]), axis=0) for o in (over, over[::-1]))
    others = [float((weights * before[j] * after[len(over) - 1 - j]).sum()) for j in range(len(over))]
    return variance, single, pair, variance - np.array(others)


def _overlaps(tree: Leaves, widths: Sequence[int]) -> tuple[Array, Array]:
    """For each hyperparameter o_lm / (s_l s_m), (d, leaves, leaves), and s_l, (d, leaves): see the module's head."""
    low, high, _ = tree
    over, sizes = [], _sizes(tree, widths)
    for of, size in zip(slices(widths), sizes, strict=True):
        if of.stop - of.start == 1:
            ends = np.minimum(high[:, of], high[:, of].T) - np.maximum(low[:, of], low[:, of].T)
            common = np.clip(ends, 0.0, None)
        else:
            allowed = _allowed(low[:, of], high[:, of])
            common = allowed @ allowed.T / allowed.shape[1]
        over.append(common / np.outer(size, size))
    return np.stack(over), sizes


def _sizes(tree: Leaves, widths: Sequence[int]) -> Array:
    """The part of each hyperparameter that each leaf covers, (d, leaves)."""
    low, high, _ = tree
    single = [of.stop - of.start == 1 for of in slices(widths)]
    return np.stack([
        (high - low)[:, of.start] if one else _allowed(low[:, of], high[:, of]).mean(axis=1)
        for of, one in zip(slices(widths), single, strict=True)
    ])  # fmt: skip


def _allowed(low: Array, high: Array) -> Array:
    """Which values of a choice each leaf holds, (leaves, values): 1 or 0."""
    taken, out = low >= 0.5, high <= 0.5
    others_taken = taken.sum(axis=1, keepdims=True) - taken > 0
    allowed: Array = (~out & ~others_taken).astype(float)
    return allowed


def without_mains(x: Array, y: Array, forest: Sequence[Leaves], counts: Array, widths: Sequence[int]) -> Array:
    """Y less what the hyperparameters explain one by one, (trials,): the mean of the trees that did not see a trial.

    counts: how often each tree saw each trial, (trees, trials).
    """
    told, by = np.zeros(len(y)), np.zeros(len(y))
    for tree, count in zip(forest, counts, strict=True):
        unseen = count == 0
        told[unseen] += mains(x[unseen], tree, widths)
        by[unseen] += 1
    return y - np.where(by > 0, told / np.maximum(by, 1), y.mean())


def mains(x: Array, tree: Leaves, widths: Sequence[int]) -> Array:
    """The tree's mean over the space plus the main effects at each row of x, (rows,)."""
    low, high, values = tree
    sizes = _sizes(tree, widths)
    volume = sizes.prod(axis=0)
    mean = float(volume @ values)
    weights = (values - mean) * volume
    effects = np.full(len(x), mean)
    for of, size in zip(slices(widths), sizes, strict=True):
        within = ((x[:, None, of] > low[None, :, of]) & (x[:, None, of] <= high[None, :, of])) | (
            (x[:, None, of] == 0) & (low[None, :, of] == 0)
        )
        effects = effects + within.all(axis=2) @ (weights / size)
    return effects


def slices(widths: Sequence[int]) -> list[slice]:
    """The columns of each hyperparameter."""
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


def interval(shares: Array, counts: Array) -> Interval:
    """The mean over trees with its 90 % interval, cut at 0 and 1. shares: (trees, ...). counts: (trees, trials).

    The deviation over the choice of the trials is the infinitesimal jackknife of a bagged estimate, with its correction
    for the number of trees (Wager, Hastie, Efron 2014, Confidence intervals for random forests, eq. 5 and 7).
    """
    mean = shares.mean(axis=0)
    away = (shares - mean).reshape(len(shares), -1)
    with_trials = (counts - 1.0).T @ away / len(shares)
    by_chance = counts.shape[1] / len(shares) ** 2 * (away**2).sum(axis=0)
    found = (with_trials**2).sum(axis=0) - by_chance
    # what the correction takes off is itself uncertain: less than its own deviation was not seen to be nothing
    deviation = np.sqrt(np.maximum(found, by_chance * np.sqrt(2 / counts.shape[1]))).reshape(mean.shape)
    return np.clip(mean, 0, 1), np.clip(mean - NORMAL * deviation, 0, 1), np.clip(mean + NORMAL * deviation, 0, 1)
