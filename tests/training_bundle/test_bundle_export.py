"""The exported network equals its members, is made of stock parts, and works in a process without `hpo`."""

import importlib.util
import json
import shutil
import sys
import types
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from bundle_support import TABLE, facts, fold, member, plain, space, stranger

from hpo.errors import InputError
from hpo.metrics import METRICS
from hpo.training import assembly
from hpo.training.export import (
    Member,
    assemble,
    export_bundle,
    foreign_parts,
    frozen_hash,
    predict_members,
)
from hpo.values import Task

# Keras 3.15 on NumPy 2 warns of TensorFlow's own variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LARGE = space(hidden_layers=2, units=9, batch_normalization="before", dropout=0.3, input_noise=0.2, l2=0.01)
SMALL = space(hidden_layers=1, units=5, activation="tanh", batch_normalization="after")
CNN = space("cnn", blocks=1, filters=3, dense_units=4, batch_normalization="before", dropout=0.2)


def rows(shape, count=50, seed=5):
    """Rows with columns of very different size, one of them with a mean large against its deviation."""
    x = np.random.default_rng(seed).normal(size=(count, *shape)) * 10.0 ** np.arange(-2, shape[-1] - 2)
    x[..., -1] = 2000 + np.random.default_rng(seed).normal(size=x.shape[:-1])
    return x.astype(np.float32)


def by_hand(members, facts_, folds, x):
    """Predictions in float64 from the definition, for an mlp without extras: its layers are read off its weights."""
    total = 0.0
    for m in members:
        f = folds[m.fold_index]
        h = (x.astype(np.float64) - f.offset) * f.scale
        w = [np.asarray(a, np.float64) for a in m.weights]
        for i in range(0, len(w) - 2, 2):
            h = np.maximum(h @ w[i] + w[i + 1], 0)
        h = h @ w[-2] + w[-1]
        if facts_.task.classifies:
            h = np.exp(h - h.max(1, keepdims=True))
            total = total + h / h.sum(1, keepdims=True)
        else:
            total = total + h * f.target_scale + f.target_offset
    return total / len(members)


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_members_predict_as_defined(task):
    x = rows((4,))
    f = facts(task, (4,))
    folds = {0: fold(x, 0, (100.0, 25.0)), 2: fold(x, 1, (90.0, 30.0))}
    members = [member(space(units=8), f, 0, 0), member(space(units=8), f, 2, 1)]
    expected = by_hand(members, f, folds, x)
    for seen in (
        predict_members(space(units=8), members, f, folds, x),
        np.asarray(keras.ops.convert_to_numpy(assemble(space(units=8), members, f, folds)(x))),
    ):
        assert seen.shape == (len(x), f.outputs)
        np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
@pytest.mark.parametrize(("one", "two", "shape"), [(LARGE, SMALL, (4,)), (CNN, CNN, (6, 5, 2))])
def test_file_equals_members(tmp_path, task, one, two, shape):
    x = rows(shape)
    f = facts(task, shape, ("no", "yes"))
    folds = {0: fold(x, 0, (5e5, 1e5)), 1: fold(x, 1, (4e5, 2e5))}
    members = [member(one, f, 0), member(two, f, 1, 1), member(one, f, 1, 2)]
    space_ = one
    info = export_bundle(
        tmp_path / "bundle", space=space_, members=members, facts=f, folds=folds,
        preprocessing={"version": 1, "kind": "image", "shape": list(shape)}, metric=METRICS["mse"], extra={},
    )  # fmt: skip
    loaded = keras.saving.load_model(info.path / "model.keras", safe_mode=True)
    unit = 1e5 if task is Task.REGRESSION else 1.0
    expected = predict_members(space_, members, f, folds, x)
    np.testing.assert_allclose(np.asarray(keras.ops.convert_to_numpy(loaded(x))) / unit, expected / unit, atol=1e-5)
    with zipfile.ZipFile(info.path / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert "hpo." not in config
    assert "Lambda" not in config


def test_one_value_serves_as_scaling_of_all_inputs():
    x = rows((4,))
    f = facts(Task.BINARY, (4,), ("no", "yes"))
    whole = fold(x)
    scalar = type(whole)(*[*vars(whole).values()][:5], np.float32(2.5), np.float32(0.1))
    one = member(SMALL, f)
    model = assemble(SMALL, [one], f, {0: scalar})
    seen = np.asarray(keras.ops.convert_to_numpy(model(x)))
    np.testing.assert_allclose(seen, predict_members(SMALL, [one], f, {0: scalar}, x), atol=1e-6)


def test_mixed_precision_training_is_exported_in_full_precision():
    x = rows((4,))
    f = facts(Task.BINARY, (4,), ("no", "yes"))
    one, folds = member(SMALL, f), {0: fold(x)}
    expected = predict_members(SMALL, [one], f, folds, x)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        seen = np.asarray(keras.ops.convert_to_numpy(assemble(SMALL, [one], f, folds)(x)))
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def table_bundle(path, extra=None):
    """A bundle for rows like those of `TABLE`, with what it must predict for the encoded rows."""
    f = facts(Task.MULTICLASS, (6,), ("low", "middle", "high"))
    encoded = np.array([[40, 1, 0, 0, 0, 1], [37, 0, 0, 1, 1, 0], [20, 0, 1, 0, 1, 0]] * 4, np.float32)
    folds = {0: fold(encoded)}
    members = [member(LARGE, f), member(SMALL, f, seed=1)]
    info = export_bundle(
        path, space=LARGE, members=members, facts=f, folds=folds,
        preprocessing=TABLE, metric=METRICS["accuracy"], extra=extra or {},
    )  # fmt: skip
    return info, predict_members(LARGE, members, f, folds, encoded[:2])


BACKENDS = [
    "tensorflow",
    pytest.param("jax", marks=pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stranger_uses_a_moved_bundle(tmp_path, backend):
    info, expected = table_bundle(tmp_path / "bundle")
    moved = tmp_path / "some where" / "else"
    moved.parent.mkdir()
    shutil.move(info.path, moved)
    code = """
import json, keras, predict
model = predict.load()
rows = [{"age": "40", "work": "Private", "sex": " Male"}, {"age": "?", "work": None, "sex": "Female"}]
print(json.dumps([keras.backend.backend(), list(model.predict(rows)), model.predict_proba(rows).tolist()]))
print("tensorflow" in sys.modules)
try:
    model.predict([{"age": 1}])
except ValueError as error:
    print(error)
"""
    output, _ = stranger(moved, code, backend=backend)
    answer, tensorflow, sentence = output.splitlines()
    seen_backend, labels, p = json.loads(answer)
    assert seen_backend == backend
    np.testing.assert_allclose(p, expected, atol=1e-5)
    assert labels == [("low", "middle", "high")[i] for i in expected.argmax(1)]
    assert tensorflow == str(backend == "tensorflow")
    assert sentence == "Row 1 lacks the columns 'work', 'sex'. Each row needs 'age', 'work', 'sex'."


def test_the_script_prints_a_label_a_row(tmp_path):
    info, expected = table_bundle(tmp_path / "bundle")
    (tmp_path / "rows.csv").write_text("id,age,work,sex,income\n1,40,Private,Male,x\n2,?,,Female,y\n")
    output, _ = stranger(info.path, "", str(tmp_path / "rows.csv"))
    assert output.splitlines() == [("low", "middle", "high")[i] for i in expected.argmax(1)]
    (tmp_path / "rows.csv").write_text("id,age,work\n1,40,Private\n")
    _, errors = stranger(info.path, "", str(tmp_path / "rows.csv"), expect=2)
    assert errors.strip().splitlines()[-1].startswith("error: Row 1 lacks the column 'sex'.")


def test_a_bundle_tells_of_itself(tmp_path):
    info, _ = table_bundle(tmp_path / "bundle", {"study": "census", "test_accuracy": np.float64(0.75)})
    names = {"model.keras", "preprocessing.json", "labels.json", "about.json", "predict.py", "README.md"}
    assert set(info.files) == {p.name for p in info.path.iterdir()} == names
    assert json.loads((info.path / "preprocessing.json").read_text()) == TABLE
    assert json.loads((info.path / "labels.json").read_text())["classes"] == ["low", "middle", "high"]
    about = json.loads((info.path / "about.json").read_text())
    assert about["test_accuracy"] == 0.75
    assert about["members"][0]["configuration"] == plain(LARGE.default())
    text = (info.path / "README.md").read_text()
    for part in ("Predicts income: 3 classes", "mean of 2 networks", "`State-gov`", "37 is taken", "census"):
        assert part in text


def test_the_hash_stands_for_what_decides_the_predictions(tmp_path):
    f = facts(Task.MULTICLASS, (6,))
    folds = {0: fold(np.eye(6, dtype=np.float32))}
    one, other = member(SMALL, f), member(SMALL, f, seed=1)
    base = frozen_hash(SMALL, [one], f, folds, TABLE)
    assert frozen_hash(SMALL, [member(SMALL, f)], f, folds, plain(TABLE)) == base
    changed = plain(TABLE)
    changed["columns"][0]["fill"] = 38.0
    nudged = Member(one.configuration, (one.weights[0] + np.float32(1e-6), *one.weights[1:]), 0)
    others = [
        frozen_hash(SMALL, [other], f, folds, TABLE),
        frozen_hash(SMALL, [one, other], f, folds, TABLE),
        frozen_hash(SMALL, [nudged], f, folds, TABLE),
        frozen_hash(SMALL, [one], f, {0: fold(np.eye(6, dtype=np.float32), seed=1)}, TABLE),
        frozen_hash(SMALL, [one], f, folds, changed),
    ]
    assert len({base, *others}) == 6
    first, second = (table_bundle(tmp_path / name)[0] for name in ("a", "b"))
    assert first.sha256 == second.sha256
    assert len(base) == 64


def test_an_earlier_bundle_is_replaced_and_nothing_else(tmp_path):
    table_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "__pycache__").mkdir()
    info, _ = table_bundle(tmp_path / "bundle", {"attempt": 2})
    assert json.loads((info.path / "about.json").read_text())["attempt"] == 2
    (info.path / "my-rows.csv").write_text("x")
    with pytest.raises(InputError, match=r"also holds my-rows\.csv"):
        table_bundle(info.path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file"):
        table_bundle(tmp_path / "file")
    with pytest.raises(InputError, match="can be written"):
        table_bundle(tmp_path / "file" / "inside")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "file"]


@pytest.mark.parametrize("place", ["writing", "putting in place"])
def test_a_failed_export_leaves_the_earlier_bundle(tmp_path, monkeypatch, place):
    info, _ = table_bundle(tmp_path / "bundle", {"attempt": 1})
    rename = Path.rename

    def full(*_):
        raise OSError(28, "No space left on device")

    def full_for_new(source, target):
        new = source.parent.name.startswith(".bundle-") and source.name == "bundle"
        return full() if new else rename(source, target)

    if place == "writing":
        monkeypatch.setattr("hpo.training.bundle_text.readme", full)
    else:
        monkeypatch.setattr(Path, "rename", full_for_new)
    with pytest.raises(InputError, match="No space left"):
        table_bundle(info.path, {"attempt": 2})
    assert json.loads((info.path / "about.json").read_text())["attempt"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


class Twice(keras.layers.Layer):
    """A layer that a stranger does not have."""

    def call(self, x):
        return 2 * x


class Subclassed(keras.Model):
    """A model that is code rather than a graph of layers."""

    def call(self, x):
        return x


def own_relu(x):
    return keras.ops.maximum(x, 0)


def sequential(*layers):
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])


def test_foreign_parts_are_named():
    assert foreign_parts(sequential(keras.layers.Dense(3, "relu", kernel_regularizer="l2"))) == ()
    assert foreign_parts(sequential(sequential(Twice()))) == ("Twice",)
    assert foreign_parts(sequential(keras.layers.Dense(3, own_relu))) == ("a function of your own",)
    assert foreign_parts(sequential(keras.layers.Lambda(own_relu))) == ("a function of your own",)
    assert "Subclassed" in foreign_parts(Subclassed())[0]


def test_a_custom_model_is_exported_if_it_is_made_of_stock_layers(tmp_path, monkeypatch):
    module = types.ModuleType("own_models")
    module.stock = lambda structure, shape, outputs: sequential(keras.layers.BatchNormalization())
    module.foreign = lambda structure, shape, outputs: sequential(Twice())
    monkeypatch.setitem(sys.modules, "own_models", module)
    x, f = rows((4,)), facts(Task.BINARY, (4,), ("no", "yes"))
    folds = {0: fold(x)}
    for name, parts in (("stock", None), ("foreign", "Twice")):
        own = space(f"own_models:{name}")
        arguments = {
            "space": own, "members": [member(own, f)], "facts": f, "folds": folds,
            "preprocessing": {"version": 1, "kind": "array", "features": 4}, "metric": METRICS["auc"], "extra": {},
        }  # fmt: skip
        if parts:
            with pytest.raises(InputError, match=parts):
                export_bundle(tmp_path / name, **arguments)
            assert not (tmp_path / name).exists()
        else:
            assert export_bundle(tmp_path / name, **arguments).path.is_dir()


def test_an_ensemble_has_members():
    f = facts(Task.BINARY, (4,), ("no", "yes"))
    for function in (lambda: assemble(SMALL, [], f, {}), lambda: predict_members(SMALL, [], f, {}, rows((4,)))):
        with pytest.raises(ValueError, match="at least one member"):
            function()


def test_many_rows_go_in_batches(monkeypatch):
    x, f = rows((4,)), facts(Task.BINARY, (4,), ("no", "yes"))
    one, folds = member(SMALL, f), {0: fold(x)}
    expected = predict_members(SMALL, [one], f, folds, x)
    monkeypatch.setattr(assembly, "_BATCH", 7)
    np.testing.assert_allclose(predict_members(SMALL, [one], f, folds, x), expected, atol=1e-6)
    assert predict_members(SMALL, [one], f, folds, x[:0]).shape == (0, 2)
