"""What the data looks like, in numbers that checks and verdicts rest on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.data.contents import row_hashes
from hpo.data.prepared import Origin, Prepared
from hpo.data.single import single_column_scores
from hpo.values import Array

OUTLIER_DEVIATIONS = 10.0


@dataclass(frozen=True)
class DataDescription:
    """The data in numbers. Unless said otherwise they count the pool: all rows used but the test rows."""

    origin: Origin
    """Source, its rows and columns, dropped columns with reason, missing values by column, notes."""
    rows: int
    """Of pool and test together."""
    features: int
    """Of one encoded row, all axes together."""
    train_rows: int
    """Of fold 0, as the next."""
    valid_rows: int
    test_rows: int
    folds: int
    classes: Mapping[str, int]
    """Rows by class, in the classes' order; empty for regression."""
    rare: Mapping[str, int]
    """Classes with too few rows to split, with their rows: all are in training."""
    constant: tuple[str, ...]
    """Encoded features with one value in the whole pool; for images none is named."""
    duplicates: int
    """Rows that equal an earlier one in all encoded features and the target."""
    valid_seen: int
    """Validation rows of fold 0 whose features and target stand in its training rows too."""
    test_seen: int
    """Test rows whose features and target stand in the pool too."""
    conflicts: int
    """Rows whose features stand in another row with another target."""
    conflict_floor: float
    """The lowest training loss that any function can reach on fold 0's training rows, given equal rows with different
    targets: log loss in nats, or mse of the standardised target."""
    prior_loss: float
    """Training loss of the prior on the same rows: the classes' entropy in nats, or 1."""
    majority: float
    """Share of the largest class; 0 for regression."""
    single: Mapping[str, float]
    """What each single column explains of the target, 0 to 1: see `single_column_scores`."""
    outliers: Mapping[str, int]
    """Values more than ten standard deviations from the mean, by column, where there are any."""
    target_range: tuple[float, float]
    """Lowest and highest target in its own unit; (0, 0) for classes."""
    capped: float
    """Share of rows at the extreme value where the target looks cut off; else 0."""
    capped_at: float


def describe(p: Prepared) -> DataDescription:
    """Counts, duplicates, conflicts, single columns, outliers, cap: about a second for 50,000 rows of 100 features."""
    train, valid = p.division.folds[0]
    features, classifies = row_hashes(p.x), p.facts.task.classifies
    full, full_test = _with_target(features, p.y), _with_target(row_hashes(p.x_test), p.y_test)
    counts = np.bincount(p.y, minlength=len(p.facts.classes)) if classifies else np.zeros(0, np.int64)
    share, at = (0.0, 0.0) if classifies else cap(p.y)
    return DataDescription(
        origin=p.origin,
        rows=len(p.y) + len(p.y_test),
        features=int(np.prod(p.facts.input_shape)),
        train_rows=len(train),
        valid_rows=len(valid),
        test_rows=len(p.y_test),
        folds=len(p.division.folds),
        classes={name: int(n) for name, n in zip(p.facts.classes, counts, strict=True)},
        rare={p.facts.classes[c]: n for c, n in p.division.rare.items()},
        constant=_constant(p),
        duplicates=len(full) - len(np.unique(full)),
        valid_seen=int(np.isin(full[valid], full[train]).sum()),
        test_seen=int(np.isin(full_test, full).sum()),
        conflicts=_conflicts(features, full),
        conflict_floor=_floor(features[train], p.y[train], classifies),
        prior_loss=entropy(np.bincount(p.y[train])) if classifies else 1.0,
        majority=float(counts.max() / counts.sum()) if classifies else 0.0,
        single=single_column_scores(p.columns, p.y, len(p.facts.classes)),
        outliers={} if p.is_image else _outliers(p),
        target_range=(0.0, 0.0) if classifies else (float(p.y.min()), float(p.y.max())),
        capped=share,
        capped_at=at,
    )


def entropy(counts: Array) -> float:
    """-Σ q log q of the shares q, in nats."""
    q = counts[counts > 0] / counts.sum()
    return float(-(q * np.log(q)).sum())


def conflict_floor_classes(group: Array, y: Array) -> float:
    """Mean over the rows of -log of the share of the row's class among the rows of equal features, in nats.

    group, y: (rows,) integers. This is the conditional entropy of the target given the features, as counted.
    """
    _, group = np.unique(group, return_inverse=True)
    pairs, pair = np.unique(group * (int(y.max()) + 1) + y, return_inverse=True)
    in_pair, in_group = np.bincount(pair, minlength=len(pairs)), np.bincount(group)
    return float(-np.log(in_pair[pair] / in_group[group]).mean()) + 0.0


def conflict_floor_numbers(group: Array, y: Array) -> float:
    """Mean squared distance of y from the mean of the rows of equal features, over the variance of y."""
    _, group = np.unique(group, return_inverse=True)
    rows = np.bincount(group)
    centred = y - y.mean()
    means = np.bincount(group, weights=centred) / rows
    variance = float((centred**2).mean())
    return float(((centred - means[group]) ** 2).mean()) / variance if variance > 0 else 0.0


def cap(y: Array) -> tuple[float, float]:
    """(share of rows, value) where the highest or lowest target looks cut off, else (0, 0).

    It does when at least one row in a hundred has exactly that value, and ten times as many as the median value has.
    """
    values, counts = np.unique(y, return_counts=True)
    if len(values) <= 20:
        return 0.0, 0.0
    i = 0 if counts[0] > counts[-1] else len(values) - 1
    looks_cut = counts[i] >= 0.01 * len(y) and counts[i] >= 10 * np.median(counts)
    return (float(counts[i] / len(y)), float(values[i])) if looks_cut else (0.0, 0.0)


def _floor(group: Array, y: Array, classifies: bool) -> float:
    return conflict_floor_classes(group, y) if classifies else conflict_floor_numbers(group, y)


def _with_target(features: Array, y: Array) -> Array:
    """One uint64 for a row's features and target together."""
    bits = y.astype(np.float64).view(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    return features ^ (bits ^ (bits >> np.uint64(31)))


def _conflicts(features: Array, full: Array) -> int:
    """Rows in groups of equal features whose targets are not all equal."""
    _, group = np.unique(features, return_inverse=True)
    _, first = np.unique(full, return_index=True)
    targets_in_group = np.bincount(group[first], minlength=int(group.max()) + 1)
    return int((targets_in_group[group] > 1).sum())


def _constant(p: Prepared) -> tuple[str, ...]:
    if p.is_image:
        return ()
    still = np.ptp(p.x, axis=0) == 0
    return tuple(name for name, is_still in zip(p.feature_names, still, strict=True) if is_still)


def _outliers(p: Prepared) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for i in np.flatnonzero(p.is_number):
        x = p.x[:, i].astype(np.float64)
        far = int((np.abs(x - x.mean()) > OUTLIER_DEVIATIONS * x.std()).sum()) if x.std() > 0 else 0
        if far:
            found[p.feature_names[i]] = far
    return found
