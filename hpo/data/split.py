"""Which rows train, validate and test: stratified, by seed, never by chance of the machine.

Classes are strata; a numeric target is cut into ten strata of equal size. A class with fewer rows than every part needs
goes to training whole, and is said so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.data.problems import counted, refuse, setting
from hpo.errors import InputError
from hpo.seeds import derive
from hpo.studyfile.spec import DataSpec
from hpo.values import Array

FEW_ROWS = 1000
"""Below so many rows, three folds are the default."""


@dataclass(frozen=True, eq=False)
class Division:
    """Row numbers, ascending. Those of `folds` count within `pool`: pool[train] are rows of the whole."""

    pool: Array
    test: Array
    """Empty where the test rows come from elsewhere."""
    folds: tuple[tuple[Array, Array], ...]
    """(training, validation) for each fold; all folds have the same sizes."""
    rare: Mapping[int, int]
    """Class number -> rows, for classes that are in training only."""


def sample(strata: Array, rows: int | None, seed: int, least: int) -> Array:
    """So many row numbers, ascending, drawn in proportion to the strata; all where `rows` is None or not smaller.

    Each stratum gives at least `least` rows where it has them.
    """
    if rows is None or rows >= len(strata):
        return np.arange(len(strata))
    chosen = _draw(strata, rows, np.random.default_rng(derive(seed, "data", "rows")), least=least, leave=0)
    return np.sort(chosen)


def strata_of(y: Array, classifies: bool) -> Array:
    """Class numbers themselves; for a numeric target its tenth by rank (one stratum below 50 rows)."""
    if classifies:
        return y.astype(np.int64)
    if len(y) < 50:
        return np.zeros(len(y), np.int64)
    ranks = np.empty(len(y), np.int64)
    ranks[np.argsort(y, kind="stable")] = np.arange(len(y))
    return ranks * 10 // len(y)


def folds_for(spec: DataSpec, rows: int) -> int:
    """How many folds a study file asks for; 1 is a single split."""
    if spec.folds is not None:
        return spec.folds
    return 3 if rows < FEW_ROWS else 1


def needed(own_test: bool) -> int:
    """Rows a class needs to be in every part: training, validation and, if it is split off, the test rows."""
    return 3 if own_test else 2


def divide(strata: Array, classifies: bool, spec: DataSpec, seed: int, own_test: bool) -> Division:
    """Test rows (if `own_test`), then one validation split or folds of the rest.

    Raises InputError where there are fewer rows than folds, or a part would be empty.
    """
    rng = np.random.default_rng(derive(seed, "data", "split"))
    total, folds = len(strata), folds_for(spec, len(strata))
    test_rows = max(1, round(spec.test * total)) if own_test else 0
    _enough(total, test_rows, folds, spec)
    counts = np.bincount(strata)
    rare_classes = np.flatnonzero((counts > 0) & (counts < needed(own_test))) if classifies else np.empty(0, np.int64)
    common = np.flatnonzero(~np.isin(strata, rare_classes))
    valid_rows = max(1, round(spec.valid * total))
    if len(common) < test_rows + (folds if folds > 1 else valid_rows + 1):
        expected = f"classes with at least {needed(own_test)} rows"
        got = f"{counted(len(common), 'row')} in such classes"
        raise refuse(spec.source, "", expected, got, "Add rows, or set data.task if the target is a number.")
    test = common[_draw(strata[common], test_rows, rng, least=1, leave=2)]
    rest = np.setdiff1d(np.arange(total), test)
    open_rows = np.flatnonzero(~np.isin(strata[rest], rare_classes))
    if folds == 1:
        valid = open_rows[_draw(strata[rest][open_rows], valid_rows, rng, least=1, leave=1)]
        parts = [valid]
    else:
        parts = [open_rows[part] for part in _equal_folds(strata[rest][open_rows], folds, rng)]
    everything = np.arange(len(rest))
    pairs = tuple((np.setdiff1d(everything, part), np.sort(part)) for part in parts)
    return Division(rest, np.sort(test), pairs, {int(c): int(counts[c]) for c in rare_classes})


def _enough(total: int, test_rows: int, folds: int, spec: DataSpec) -> None:
    got = counted(total, "row") + (f", of which {test_rows:,} for the test" if test_rows else "")
    if folds > 1 and total - test_rows < folds:
        remedy = "Use fewer folds, or more rows."
        raise InputError(setting("data.folds", f"at least {folds} rows to train on, one a fold", got, remedy))
    left = total - test_rows - (max(1, round(spec.valid * total)) if folds == 1 else 0)
    if left < 2:
        remedy = "Add rows, or make data.valid and data.test smaller."
        raise refuse(spec.source, "", "at least two rows to train on", got, remedy)


def _draw(strata: Array, wanted: int, rng: np.random.Generator, *, least: int, leave: int) -> Array:
    """`wanted` positions drawn without replacement, by largest remainder in proportion to the strata.

    Each stratum gives at least `least` (where `wanted` suffices for that) and keeps at least `leave`, as far as the
    number wanted allows.
    """
    if wanted == 0:
        return np.empty(0, np.int64)
    counts = np.bincount(strata)
    present = np.flatnonzero(counts)
    quota = _quota(counts[present], wanted, least, leave)
    picked = [rng.permutation(np.flatnonzero(strata == c))[:q] for c, q in zip(present, quota, strict=True)]
    return np.concatenate(picked)


def _quota(counts: Array, wanted: int, least: int, leave: int) -> Array:
    """How many each stratum gives, (strata,) int, summing to `wanted` where the strata together have so many."""
    most = np.maximum(counts - leave, 0)
    if most.sum() < wanted:
        most = counts
    floor = np.minimum(least, most) if least * len(counts) <= wanted else np.zeros_like(counts)
    ideal = counts * wanted / counts.sum()
    quota = np.clip(np.floor(ideal).astype(np.int64), floor, most)
    while quota.sum() != wanted:
        step = 1 if quota.sum() < wanted else -1
        free = quota < most if step > 0 else quota > floor
        # What `least` took too much is given back in proportion to size, so that no small stratum pays for it.
        lack = np.where(free, ideal - quota if step > 0 else quota / ideal, -np.inf)
        quota[int(np.argmax(lack))] += step
    return np.asarray(quota)


def _equal_folds(strata: Array, folds: int, rng: np.random.Generator) -> list[Array]:
    """Positions of each fold's validation rows, all of one size; the rows that are left over always train.

    Rows are ordered by stratum, by chance within it, and each run of `folds` neighbours is dealt out, one to a fold: so
    every fold has every stratum's share within one row.
    """
    kept = rng.permutation(len(strata))[: len(strata) - len(strata) % folds]
    kept = kept[np.argsort(strata[kept], kind="stable")].reshape(-1, folds)
    return [np.sort(kept[:, fold]) for fold in range(folds)]
