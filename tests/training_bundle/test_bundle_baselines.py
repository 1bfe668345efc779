"""The baselines: closed forms, bounds on their time, repeatability."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from hpo.errors import Fault
from hpo.metrics import METRICS
from hpo.training import baselines
from hpo.training.beside import fit_beside
from hpo.values import Task, TaskFacts


def half(loader):
    x, y = loader(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order].astype(np.float32), y[order], len(x) // 2


def classes(y):
    return tuple(map(str, np.unique(y)))


def test_prior_is_frequencies_or_mean():
    x = np.zeros((5, 2), np.float32)
    three = TaskFacts(Task.MULTICLASS, (2,), ("a", "b", "c"))
    p = baselines.fit("prior", three, x, np.array([0, 0, 0, 2, 2]), 0).predict(x[:2])
    np.testing.assert_allclose(p, [[0.6, 0, 0.4]] * 2, rtol=1e-6)
    number = TaskFacts(Task.REGRESSION, (2,), ())
    p = baselines.fit("prior", number, x, np.array([1.0, 2, 3, 4, 5]), 0).predict(x[:3])
    np.testing.assert_allclose(p, [[3.0]] * 3)


def test_scores_on_real_data():
    x, y, n = half(load_digits)
    facts = TaskFacts(Task.MULTICLASS, (8, 8, 1), classes(y))
    images = x.reshape(-1, 8, 8, 1)
    for kind, least in (("linear", 0.93), ("boosted_trees", 0.93)):
        p = baselines.fit(kind, facts, images[:n], y[:n], 0).predict(images[n:])
        assert p.shape == (len(x) - n, 10)
        assert p.dtype == np.float32
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
        assert METRICS["accuracy"](y[n:], p) > least
    x, y, n = half(load_diabetes)
    facts = TaskFacts(Task.REGRESSION, (10,), ())
    for kind, least in (("linear", 0.35), ("boosted_trees", 0.15)):
        assert METRICS["r2"](y[n:], baselines.fit(kind, facts, x[:n], y[:n], 0).predict(x[n:])) > least


def test_linear_regression_in_closed_form():
    x, y, _ = half(load_diabetes)
    z = (x - x.mean(0)) / x.std(0)
    w = np.linalg.solve(z.T @ z + np.eye(10), z.T @ (y - y.mean()))
    p = baselines.fit("linear", TaskFacts(Task.REGRESSION, (10,), ()), x, y, 0).predict(x)
    np.testing.assert_allclose(p[:, 0], z @ w + y.mean(), rtol=1e-4)


def test_same_inputs_same_model_and_hash():
    x, y, n = half(load_breast_cancer)
    facts = TaskFacts(Task.BINARY, (30,), ("no", "yes"))
    for kind in baselines.KINDS:
        a, b = (baselines.fit(kind, facts, x[:n], y[:n], 3) for _ in range(2))
        assert a.fingerprint == b.fingerprint
        np.testing.assert_array_equal(a.predict(x[n:]), b.predict(x[n:]))
        assert baselines.fit(kind, facts, x[: n - 1], y[: n - 1], 3).fingerprint != a.fingerprint
    assert len({baselines.fit(kind, facts, x[:n], y[:n], 3).fingerprint for kind in baselines.KINDS}) == 3


def test_another_process_gives_the_same_model_and_says_why_it_failed():
    x, y, n = half(load_breast_cancer)
    facts = TaskFacts(Task.BINARY, (30,), ("no", "yes"))
    asked = [(kind, facts, x[:n], y[:n], 3, 1.0) for kind in baselines.KINDS]
    for arguments, there in zip(asked, fit_beside(asked, 1), strict=True):
        here = baselines.fit(*arguments)
        assert here.fingerprint == there.fingerprint
        np.testing.assert_array_equal(here.predict(x[n:]), there.predict(x[n:]))
    with pytest.raises(Fault, match="as many rows as targets"):
        fit_beside([("linear", facts, x[:n], y, 3, 1.0)], 1)


def test_scaling_of_columns_does_not_matter_to_linear():
    x, y, n = half(load_breast_cancer)
    facts = TaskFacts(Task.BINARY, (30,), ("no", "yes"))
    first = baselines.fit("linear", facts, x[:n], y[:n], 0).predict(x[n:])
    second = baselines.fit("linear", facts, x[:n] * 1000 + 5, y[:n], 0).predict(x[n:] * 1000 + 5)
    np.testing.assert_allclose(first, second, atol=2e-3)


@pytest.mark.parametrize("kind", ["linear", "boosted_trees"])
def test_a_class_without_training_rows_gets_probability_zero(kind):
    x, y, n = half(load_breast_cancer)
    facts = TaskFacts(Task.MULTICLASS, (30,), ("no", "never", "yes"))
    p = baselines.fit(kind, facts, x[:n], y[:n] * 2, 0).predict(x[n:])
    assert (p[:, 1] == 0).all()
    assert METRICS["accuracy"](y[n:] * 2, p) > 0.9


def test_one_class_alone_falls_back_to_the_prior_and_says_so():
    model = baselines.fit("linear", TaskFacts(Task.BINARY, (2,), ("a", "b")), np.eye(2), np.array([1, 1]), 0)
    assert "prior" in model.note
    np.testing.assert_array_equal(model.predict(np.eye(2)), [[0, 1]] * 2)


def test_many_rows_are_cut_stratified_and_said(monkeypatch):
    monkeypatch.setitem(baselines._WORK, "linear", 1.0)
    monkeypatch.setattr(baselines, "_LEAST_ROWS", 100)
    monkeypatch.setattr(baselines, "_LINEAR_STEPS", 2)
    x, y, _ = half(load_breast_cancer)
    facts = TaskFacts(Task.BINARY, (30,), ("no", "yes"))
    model = baselines.fit("linear", facts, x, y, 0)
    assert "100 of 569 rows" in model.note
    assert "2 steps" in model.note
    kept = baselines._rows_for("linear", facts, x, y, 0, 1.0)
    assert abs(y[kept].mean() - y.mean()) < 0.01
    assert METRICS["accuracy"](y, model.predict(x)) > 0.85


def test_a_short_study_bounds_its_baselines_by_its_seconds(monkeypatch):
    assert [baselines.share_for(seconds) for seconds in (None, 60.0, 600.0, 6000.0)] == [1.0, 0.1, 1.0, 1.0]
    monkeypatch.setitem(baselines._WORK, "boosted_trees", 30 * 2 * 400)
    monkeypatch.setattr(baselines, "_LEAST_ROWS", 100)
    x, y, _ = half(load_breast_cancer)
    facts = TaskFacts(Task.BINARY, (30,), ("no", "yes"))
    notes = [baselines.fit("boosted_trees", facts, x, y, 0, share).note for share in (1.0, 0.5)]
    assert notes == [f"fitted on {rows} of 569 rows, to save time" for rows in (400, 200)]


def test_tiny_tables_are_learned_by_trees_too():
    x = np.arange(30, dtype=np.float32)[:, None]
    y = (np.arange(30) >= 15).astype(int)
    model = baselines.fit("boosted_trees", TaskFacts(Task.BINARY, (1,), ("a", "b")), x, y, 0)
    assert METRICS["accuracy"](y, model.predict(x)) == 1.0


def test_bad_calls():
    facts = TaskFacts(Task.BINARY, (2,), ("a", "b"))
    with pytest.raises(ValueError, match="boosted_trees"):
        baselines.fit("forest", facts, np.eye(2), np.array([0, 1]), 0)
    with pytest.raises(ValueError, match="as many rows as targets"):
        baselines.fit("prior", facts, np.eye(2), np.array([0]), 0)
