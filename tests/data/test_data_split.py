"""Laws of the division into training, validation and test rows."""

import numpy as np
import pytest
from data_support import local, table, write_csv

from hpo.data import checks
from hpo.data.split import divide, sample, strata_of
from hpo.studyfile.spec import DataSpec

SPEC = DataSpec("memory")


def classes(rows, shares, seed=0):
    return np.random.default_rng(seed).choice(len(shares), rows, p=shares).astype(np.int64)


@pytest.mark.parametrize("folds", [1, 2, 3, 5])
@pytest.mark.parametrize("own_test", [True, False])
@pytest.mark.parametrize("rows", [60, 61, 997])
def test_parts_are_disjoint_whole_and_stratified(folds, own_test, rows):
    y = classes(rows, [0.6, 0.3, 0.1])
    d = divide(y, True, DataSpec("m", folds=folds), 0, own_test)
    assert np.array_equal(np.sort(np.r_[d.pool, d.test]), np.arange(rows))
    assert len(d.test) == (round(0.2 * rows) if own_test else 0)
    for train, valid in d.folds:
        assert np.array_equal(np.sort(np.r_[train, valid]), np.arange(len(d.pool)))
        assert len(valid) == (round(0.2 * rows) if folds == 1 else len(d.pool) // folds)
        for c in range(3):
            expected = (y == c).mean() * len(valid)
            assert abs((y[d.pool[valid]] == c).sum() - expected) <= 2.5
    if own_test:
        assert all(abs((y[d.test] == c).sum() - (y == c).mean() * len(d.test)) <= 1 for c in range(3))


def test_folds_validate_each_row_at_most_once_and_are_of_one_size():
    d = divide(classes(200, [0.5, 0.5]), True, DataSpec("m", folds=3), 0, True)
    together = np.concatenate([valid for _, valid in d.folds])
    assert len(set(together)) == len(together) == 3 * (160 // 3)
    assert len({(len(train), len(valid)) for train, valid in d.folds}) == 1


def test_seed_decides():
    y = classes(500, [0.7, 0.3])
    a, b, c = (divide(y, True, SPEC, seed, True) for seed in (0, 0, 1))
    assert np.array_equal(a.test, b.test)
    assert np.array_equal(a.folds[0][1], b.folds[0][1])
    assert not np.array_equal(a.test, c.test)


def test_classes_too_rare_to_split_train_only_and_the_next_larger_are_in_every_part():
    y = np.array([0] * 100 + [1] * 100 + [2] * 2 + [3] * 1 + [4] * 3, np.int64)
    for folds in (1, 3):
        d = divide(y, True, DataSpec("m", folds=folds), 0, True)
        assert d.rare == {2: 2, 3: 1}
        assert not np.isin(y[d.test], [2, 3]).any()
        assert (y[d.test] == 4).sum() == 1
        for train, valid in d.folds:
            assert {2, 3, 4} <= set(y[d.pool[train]])
            assert not np.isin(y[d.pool[valid]], [2, 3]).any()


def test_numeric_targets_are_spread_evenly():
    y = np.random.default_rng(0).lognormal(size=1000)
    strata = strata_of(y, False)
    assert np.bincount(strata).tolist() == [100] * 10
    assert y[strata == 0].max() <= y[strata == 9].min()
    d = divide(strata, False, SPEC, 0, True)
    assert np.bincount(strata[d.test]).tolist() == [20] * 10


def test_sample_keeps_proportions_and_rare_classes():
    y = np.array([0] * 900 + [1] * 95 + [2] * 5, np.int64)
    rows = sample(y, 100, 0, 3)
    assert len(rows) == len(set(rows)) == 100
    assert np.bincount(y[rows]).tolist()[2] == 3
    assert abs((y[rows] == 1).sum() - 9.5) <= 1
    assert np.array_equal(sample(y, 5000, 0, 3), np.arange(1000))


def test_three_folds_are_the_default_on_few_rows(tmp_path):
    write_csv(tmp_path / "few.csv", table(999))
    write_csv(tmp_path / "many.csv", table(1000))
    assert local(tmp_path / "few.csv", target="kind").folds == 3
    assert local(tmp_path / "many.csv", target="kind").folds == 1
    assert local(tmp_path / "many.csv", target="kind", rows=300).folds == 3
    assert local(tmp_path / "few.csv", target="kind", folds=1).folds == 1


def test_rare_classes_are_said_so(tmp_path):
    columns = table(200)
    columns["kind"][7] = "odd"
    write_csv(tmp_path / "t.csv", columns)
    dataset = local(tmp_path / "t.csv", target="kind")
    check = next(c for c in checks(dataset) if c.name == "rare classes")
    assert "`odd` 1 row" in check.sentence
    odd = dataset.facts.classes.index("odd")
    assert all(odd in dataset.fold(i).y_train and odd not in dataset.fold(i).y_valid for i in range(3))
    assert odd not in dataset.open_test().y
    assert all(dataset.fold(i).prior.min() > 0 for i in range(3))
