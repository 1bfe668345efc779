"""Checks and description, on data with planted faults and against closed forms."""

import math

import numpy as np
import pytest
from data_support import local, table, write_csv

from hpo.data import checks, summary_lines
from hpo.data.columns import number_column, parse_column
from hpo.data.contents import row_hashes
from hpo.data.describe import cap, conflict_floor_classes, conflict_floor_numbers, entropy
from hpo.data.roles import reason_to_drop
from hpo.data.targets import looks_like_classes
from hpo.values import Status


def check(dataset, name):
    return next(c for c in checks(dataset) if c.name == name)


def load_table(tmp_path, columns, **spec):
    write_csv(tmp_path / "t.csv", columns)
    return local(tmp_path / "t.csv", target=spec.pop("target", "kind"), **spec)


def test_sound_table_passes_every_check(tmp_path):
    dataset = load_table(tmp_path, table(2000))
    assert {c.status for c in checks(dataset)} == {Status.PASSED}
    assert any("colour" not in line for line in summary_lines(dataset))


@pytest.mark.parametrize("kind", ["copy", "flipped", "number"])
def test_leaking_column_is_named(tmp_path, kind):
    columns, rng = table(1500), np.random.default_rng(1)
    truth = columns["kind"] == "yes"
    if kind == "copy":
        columns["outcome"] = np.where(truth, "left", "stayed")
    elif kind == "flipped":
        columns["outcome"] = (truth ^ (rng.random(1500) < 0.01)).astype(int)
    else:
        columns["outcome"] = (truth * 3.0 + rng.normal(size=1500) * 0.3).round(4)
    found = check(load_table(tmp_path, columns), "leaking column")
    assert found.status is Status.WARNING
    assert "`outcome`" in found.sentence
    assert "`size`" not in found.sentence


def test_leak_of_a_numeric_target_is_named_and_noise_is_not(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.normal(size=1200) * 100
    columns = {"noise": rng.normal(size=1200), "taxed": (y * 1.2 + rng.normal(size=1200)).round(3), "price": y.round(3)}
    dataset = load_table(tmp_path, columns, target="price")
    assert "`taxed`" in check(dataset, "leaking column").sentence
    assert dataset.description.single["noise"] < 0.1


def test_columns_of_noise_explain_nothing(tmp_path):
    rng = np.random.default_rng(9)
    columns = {**table(400), "noise": rng.normal(size=400), "word": [f"w{i}" for i in rng.integers(0, 60, 400)]}
    single = load_table(tmp_path, columns).description.single
    assert max(single["noise"], single["word"], single["colour"]) < 0.02
    assert min(single["size"], single["weight"]) > 0.02


def test_conflict_floor_of_classes_is_the_conditional_entropy():
    # Group 0: classes 0,0,0,1; group 1: 1,1; group 2: 0,1.
    group, y = np.array([5, 5, 5, 5, 9, 9, 2, 2], np.uint64), np.array([0, 0, 0, 1, 1, 1, 0, 1])
    in_first = -(3 * math.log(3 / 4) + math.log(1 / 4))
    assert conflict_floor_classes(group, y) == pytest.approx((in_first + 0 + 2 * math.log(2)) / 8)
    assert conflict_floor_classes(np.arange(8), y) == 0


def test_conflict_floor_of_numbers_is_the_variance_within_groups():
    group, y = np.array([0, 0, 1, 1, 2]), np.array([1.0, 3.0, 10.0, 10.0, 7.0])
    assert conflict_floor_numbers(group, y) == pytest.approx((1 + 1) / 5 / y.var())


def test_conflict_floor_is_reached_by_a_table_of_all_rows(tmp_path):
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 4, 1200)
    y = (rng.random(1200) < np.array([0.1, 0.5, 0.8, 1.0])[cell]).astype(int)
    dataset = load_table(tmp_path, {"cell": cell, "target": y}, target="target")
    x, labels = dataset.encoded_train(0)
    shares = {v: labels[x[:, 0] == v].mean() for v in np.unique(x)}
    p = np.array([shares[v] if label else 1 - shares[v] for v, label in zip(x[:, 0], labels, strict=True)])
    assert dataset.description.conflict_floor == pytest.approx(-np.log(p).mean())
    assert dataset.description.prior_loss == pytest.approx(entropy(np.bincount(labels)))
    assert check(dataset, "conflicting targets").status is Status.WARNING


def test_row_hashes_are_equal_only_for_equal_rows():
    x = np.random.default_rng(0).integers(0, 3, (5000, 7)).astype(np.float32)
    _, by_value = np.unique(x, axis=0, return_inverse=True)
    _, by_hash = np.unique(row_hashes(x), return_inverse=True)
    assert len(np.unique(by_hash)) == len(np.unique(by_value))
    assert len(np.unique(np.c_[by_value.ravel(), by_hash], axis=0)) == len(np.unique(by_value))
    assert row_hashes(np.array([[0.0, 1.0]]))[0] == row_hashes(np.array([[-0.0, 1.0]]))[0]
    assert row_hashes(np.array([[0.0, 1.0]]))[0] != row_hashes(np.array([[1.0, 0.0]]))[0]


def test_cap_is_seen_at_either_end_and_not_in_counts():
    rng = np.random.default_rng(0)
    y = rng.normal(size=2000)
    assert cap(y) == (0.0, 0.0)
    share, at = cap(np.minimum(y, 1.5))
    assert (at, share) == (1.5, pytest.approx(np.mean(y >= 1.5)))
    assert cap(np.maximum(y, -1.0))[1] == -1.0
    assert cap(rng.integers(1, 9, 2000).astype(float)) == (0.0, 0.0)


def test_duplicates_constants_missing_and_outliers_are_seen(tmp_path):
    columns = table(400)
    for name in columns:
        columns[name][200:300] = columns[name][100:200]
    columns["zero"] = np.zeros(400)
    columns["empty"] = ["?"] * 400
    columns["some"] = np.where(np.arange(400) % 4 > 0, "", np.arange(400) % 7).tolist()
    columns["size"][0] = 1e5
    dataset = load_table(tmp_path, columns)
    assert dataset.description.origin.dropped == {
        "zero": "constant: one value in every row",
        "empty": "empty: every value is missing",
    }
    assert check(dataset, "constant columns").status is Status.WARNING
    assert "More than half is missing in some" in check(dataset, "missing values").sentence
    assert dataset.description.outliers == {"size": 1}
    assert dataset.description.duplicates >= 50
    assert check(dataset, "duplicates").status is Status.WARNING


def test_imbalance_asks_for_another_metric(tmp_path):
    columns = table(500)
    columns["kind"] = ["no"] * 450 + ["yes"] * 50
    write_csv(tmp_path / "t.csv", columns)
    assert "balanced_accuracy" in check(local(tmp_path / "t.csv", target="kind"), "class balance").sentence
    quiet = local(tmp_path / "t.csv", target="kind", metric="auc")
    assert quiet.metric == "auc"
    assert "balanced_accuracy" not in check(quiet, "class balance").sentence


def test_training_on_a_handful_of_rows_is_called_meaningless(tmp_path):
    assert check(load_table(tmp_path, table(14)), "rows").status is Status.FAILED


def test_arrays_that_do_not_vary_are_called_meaningless(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((200, 3)), y=np.arange(200) % 2)
    assert check(local(tmp_path / "a.npz"), "constant columns").status is Status.FAILED


def test_header_that_is_data_and_mixed_columns_are_said_so(tmp_path):
    rows = [f"{i % 37},{i % 11 if i % 3 else 'unknown'},{i % 2}" for i in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    dataset = local(tmp_path / "t.csv", target=-1, header=False)
    assert "`unknown`" in check(dataset, "mixed column").sentence
    (tmp_path / "u.csv").write_text("\n".join(f"{i % 37},{(i + 2) % 11},{i % 2 + 4}" for i in range(200)))
    assert "header = false" in check(local(tmp_path / "u.csv", target=-1), "header").sentence


@pytest.mark.parametrize(
    ("name", "values", "dropped"),
    [
        ("customer", [f"C{i}" for i in range(100)], True),
        ("row_id", [7 * i + 1000 for i in range(100)], True),
        ("phone", np.random.default_rng(0).permutation(100), True),
        ("income", np.random.default_rng(0).choice(10**6, 100, replace=False), False),
        ("width", np.random.default_rng(0).normal(size=100), False),
        ("city", [f"c{i % 30}" for i in range(100)], False),
        ("paid", [i % 21 for i in range(100)], False),
    ],
)
def test_identifiers(name, values, dropped):
    import pandas as pd

    reason = reason_to_drop(parse_column(name, pd.Series([str(v) for v in values]), ("",)))
    assert reason.startswith("like an identifier") is dropped


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 1] * 50, True),
        ([0.5, 1.5] * 50, True),
        (list(range(1, 27)) * 20, True),
        (list(range(100)) * 50, True),
        (np.random.default_rng(0).normal(size=100), False),
        ((np.random.default_rng(0).normal(size=3000) * 20 + 50).round(), False),
        ([1, 2, 3, 4, 5, 6], False),
        ([1.5, 2.5, 3.0] * 30, False),
    ],
)
def test_task_is_read_off_the_values(values, classes):
    assert looks_like_classes(number_column("y", np.array(values, float))) is classes
