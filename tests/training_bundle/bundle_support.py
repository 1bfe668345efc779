"""Spaces, folds and members for the tests of this folder: real networks with drawn weights, no training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from hpo.space import Fixed, Hyperparameter, SearchSpace, known
from hpo.training.builder import build
from hpo.training.export import Member
from hpo.values import Fold, Task, TaskFacts


def space(model="mlp", **values):
    """A space with every hyperparameter fixed: the catalogue's default, or the value given here."""
    return SearchSpace(
        model,
        tuple(
            Hyperparameter(k.name, k.section, k.kind, Fixed(values.get(k.name, k.default)), k.default, k.when)
            for k in known(model).values()
        ),
    )


def facts(task, shape, classes=("a", "b", "c")):
    if task is Task.REGRESSION:
        classes = ()
    return TaskFacts(task, shape, classes)


def fold(encoded, seed=0, target=(0.0, 1.0)):
    """A fold whose scaling is that of `encoded`, and whose validation rows are `encoded` scaled."""
    rng = np.random.default_rng(seed)
    offset = encoded.mean(0) + rng.normal(size=encoded.shape[1:])
    scale = 1 / (encoded.std(0) + rng.uniform(0.1, 1, size=encoded.shape[1:]))
    offset, scale = offset.astype(np.float32), scale.astype(np.float32)
    x = ((encoded - offset) * scale).astype(np.float32)
    y = np.zeros(len(x), np.int32)
    return Fold(x, y, x, y, np.ones(1), offset, scale, *target)


def member(space_, facts_, fold_index=0, seed=0):
    """A member with weights as large as trained ones, batch normalization's statistics included."""
    configuration = space_.default()
    rng = np.random.default_rng(seed)
    network = build(space_, configuration, facts_, seed=seed, runtime=False)
    weights = tuple(
        (
            rng.uniform(0.5, 1.5, w.shape)
            if "variance" in v.name or v.name == "gamma"
            else w + rng.normal(0, 0.3, w.shape)
        ).astype(np.float32)
        for v, w in zip(network.weights, network.get_weights(), strict=True)
    )
    return Member(configuration, weights, fold_index)


def stranger(folder: Path, code: str, *arguments: str, backend: str = "tensorflow", expect: int = 0):
    """Run code (or, if empty, the bundle's script) in a process that cannot import `hpo`; its output and errors."""
    guard = "import sys; sys.modules['hpo'] = None; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'predict.py'\n"
    program = guard + (code or "import runpy; runpy.run_path(sys.path[0] + '/predict.py', run_name='__main__')")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), *arguments],
        capture_output=True, text=True, env=environment, cwd=folder.parent, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr
    return done.stdout, done.stderr


TABLE = {
    "version": 1,
    "kind": "table",
    "columns": [
        {"name": "age", "kind": "number", "fill": 37.0},
        {"name": "work", "kind": "text", "categories": ["Private", "State-gov"], "missing": True},
        {"name": "sex", "kind": "text", "categories": ["Female", "Male"], "missing": False},
    ],
    "missing": ["", "?", "NA"],
    "strip": True,
    "header": True,
    "target": "income",
    "dropped": ["id"],
    "all_columns": ["id", "age", "work", "sex"],
}


def plain(value):
    """A deep copy by way of JSON."""
    return json.loads(json.dumps(value))
