"""Cases and sessions for the laws of training: few compiled programs, many runs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
from training_support import CLASSES, NUMBERS, classes_fold, configured, numbers_fold, rich_space, space_with

from hpo.metrics import METRICS
from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras
from hpo.training.compiled_engine import CompiledSession
from hpo.training.fit_engine import FitSession
from hpo.training.weights import trained_variables
from hpo.values import Fold, RunRequest, Task, TaskFacts

FULL, FEW = (os.environ.get("HPO_LAWS") == word for word in ("full", "few"))
SPACE = rich_space()
PLAIN = space_with("optimizer")
UNITS = 9
"""Seven short of its rung, so that every law holds of padded networks."""
ROWS, BATCH = 40, 32
"""An epoch is one step, on a part of the rows: over all of them a regression's residuals cancel to rounding errors."""

ALONE: dict[str, dict[str, Any]] = {
    "l1": {"l1": 0.01}, "l2": {"l2": 0.02}, "dropout": {"dropout": 0.3}, "noise": {"input_noise": 0.2},
    "activation noise": {"activation_noise": 0.2}, "weight noise": {"weight_noise": 0.1},
    "smoothing": {"label_smoothing": 0.2}, "class weights": {"class_weight": 0.7},
}  # fmt: skip
TOGETHER: dict[str, dict[str, Any]] = {
    "penalties": ALONE["l1"] | ALONE["l2"],
    "noises": ALONE["dropout"] | ALONE["noise"] | ALONE["activation noise"] | ALONE["weight noise"],
    "targets": ALONE["smoothing"] | ALONE["class weights"],
}
"""Each set is compiled once where its members would be one after another."""
REGULARIZERS: dict[str, dict[str, Any]] = {
    "none": {}, **(ALONE if FULL else TOGETHER), "gradient noise": {"gradient_noise": 0.1, "clip_norm": 0.5},
    "max-norm": {"max_norm": 0.4}, "clipping": {"clip_norm": 0.1}, "before": {"batch_normalization": "before"},
    "after": {"batch_normalization": "after"},
}  # fmt: skip
FACTS = {
    "binary": TaskFacts(Task.BINARY, (5,), ("a", "b")), "multiclass": CLASSES, "regression": NUMBERS,
}  # fmt: skip


def pairwise(factors: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Few combinations in which any two values of any two factors meet, chosen greedily: the same ones each time."""
    names = list(factors)
    rows = [dict(zip(names, values, strict=True)) for values in product(*factors.values())]
    pairs_of = [{(a, row[a], b, row[b]) for a, b in combinations(names, 2)} for row in rows]
    left, chosen = set().union(*pairs_of), []
    while left:
        best = max(range(len(rows)), key=lambda i: len(pairs_of[i] & left))
        chosen.append(rows[best])
        left -= pairs_of[best]
    return chosen


def cases(**factors: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations under HPO_LAWS=full, each value once or more under `few`, else so many that any two meet."""
    names = list(factors)
    if FEW:
        longest = max(map(len, factors.values()))
        return [{name: values[i % len(values)] for name, values in factors.items()} for i in range(longest)]
    if FULL:
        return [dict(zip(names, values, strict=True)) for values in product(*factors.values())]
    return pairwise(factors)


def named(case: Any) -> str:
    return "-".join(map(str, case.values())) if isinstance(case, dict) else str(case)


def fold_of(task: str) -> Fold:
    if task == "regression":
        return numbers_fold(rows=ROWS)
    fold = classes_fold(rows=ROWS)
    if task == "multiclass":
        return fold
    y_train, y_valid = (np.asarray(y > 0, np.int32) for y in (fold.y_train, fold.y_valid))
    prior = np.bincount(y_train, minlength=2) / ROWS
    return Fold(fold.x_train, y_train, fold.x_valid, y_valid, prior, fold.offset, fold.scale)


@cache
def both(
    task: str, normalization: str, *, batch: int, layers: int = 2, precision: str = "float32", loss: str = "match",
    weight_normalization: str = "none", space: SearchSpace = SPACE,
) -> tuple[FitSession, CompiledSession]:  # fmt: skip
    """Sessions of one slot and of one block for the same structure, shared by all tests of a process."""
    structure = configured(
        space, units=UNITS, batch_size=batch, hidden_layers=layers, batch_normalization=normalization, loss=loss,
        weight_normalization=weight_normalization,
    )  # fmt: skip
    settings = {
        "space": space, "structure": structure, "facts": FACTS[task], "folds": [fold_of(task)],
        "metric": METRICS["rmse" if task == "regression" else "accuracy"], "precision": precision,
        "limit_epochs": None, "reason": "asked for",
    }  # fmt: skip
    return FitSession(slots=1, **settings), CompiledSession(slots=8, **settings)


def one_step_apart(task: str, *, layers: int = 2, space: SearchSpace = SPACE, **values: Any) -> CompiledSession:
    """Holds a step of the two engines from the same state against each other; gives the compiled session, slot 5 taken.

    A step is an epoch here, and the state is that after two, where moments, statistics and schedules are under way.
    """
    structure = {name: values[name] for name in ("loss", "weight_normalization") if name in values}
    normalization = values.get("batch_normalization", "none")
    fit, compiled = both(task, normalization, batch=BATCH, layers=layers, space=space, **structure)
    configuration = configured(
        space, units=UNITS, batch_size=BATCH, hidden_layers=layers, **{"learning_rate": 0.02, **values}
    )
    request = RunRequest(configuration, 3, 0, 6)
    fit.free(0)
    fit.put(0, request)
    fit.advance(2)
    compiled.free(5)
    compiled.restore(5, request, as_compiled(fit, configuration))
    for session in (fit, compiled):
        session.advance(1)
    ours, theirs = compiled.snapshot(5), as_compiled(fit, configuration)
    for name in ("weights", "first", "second"):
        # Adam moves a weight by about the rate: one that came back to nearly zero is as exact as its steps.
        agree(ours[name], theirs[name], 1e-5, name, at_least=0.02 if name == "weights" else 0.0)
    for i, column in enumerate(("training_loss", "validation_loss")):
        np.testing.assert_allclose(ours["curve"][2, i], theirs["curve"][2, i], rtol=1e-5, err_msg=column)
    assert ours["curve"][2, 4] == theirs["curve"][2, 4]
    np.testing.assert_allclose(ours["curve"][2, 5], theirs["curve"][2, 5], rtol=1e-5, err_msg="gradient_norm")
    return compiled


def as_compiled(fit: FitSession, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot that the compiled engine would have taken of the `fit` engine's run in slot 0."""
    snapshot = dict(fit.snapshot(0))
    moments = snapshot.pop("optimizer")[1:]
    del snapshot["network"]
    half = len(moments) // 2
    first, second = moments[:half], moments[half:]
    weights = [backend.host(v) for v in trained_variables(fit._slots[0].program.network.model)]
    return {**snapshot, "weights": weights, "first": first, "second": second}


def agree(ours: Sequence[Any], theirs: Sequence[Any], tolerance: float, name: str, at_least: float = 0.0) -> None:
    """Every entry within `tolerance` times its array's largest, or times `at_least`."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        allowed = tolerance * max(np.abs(b).max(), at_least)
        np.testing.assert_allclose(a, b, rtol=0, atol=allowed, err_msg=f"{name} {i}")


@contextmanager
def double_precision() -> Iterator[None]:
    """64 bits in all threads: `backend.double_precision` is of one thread under JAX, and blocks train in others."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)
