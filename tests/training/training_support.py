"""Small spaces and data for the tests of training."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hpo.metrics import METRICS
from hpo.space import Choice, Fixed, FloatRange, Hyperparameter, SearchSpace, known
from hpo.space.catalogue import ACTIVATIONS, MODELS, OPTIMIZERS
from hpo.training.engine import open_session
from hpo.values import Fold, RunRequest, RunResult, Scalar, Task, TaskFacts


def space_of(model: str = "mlp") -> SearchSpace:
    """Everything fixed at the catalogue's defaults."""
    names = [k.name for k in MODELS[model]] if model in MODELS else list(known(model))
    entries = [known(model)[name] for name in names]
    return SearchSpace(
        model, tuple(Hyperparameter(k.name, k.section, k.kind, Fixed(k.default), k.default, k.when) for k in entries)
    )


PARTS = (
    "l1", "l2", "dropout", "input_noise", "activation_noise", "weight_noise", "gradient_noise", "clip_norm", "max_norm",
    "label_smoothing", "class_weight",
)  # fmt: skip
"""Strengths of optional parts."""
_CHOICES = {"activation": Choice(ACTIVATIONS), "optimizer": Choice(OPTIMIZERS)}


def space_with(*names: str, **fixed: Scalar) -> SearchSpace:
    """Dense networks whose ranges allow the named parts and choices: the compiled engine's program holds no others.

    A program of all parts takes XLA five times as long as one of none.
    """
    strength = FloatRange(0.0, 0.9)
    changed = (
        replace(h, range=Fixed(fixed[h.name]), default=fixed[h.name]) if h.name in fixed
        else replace(h, range=_CHOICES.get(h.name, strength)) if h.name in names else h
        for h in space_of().hyperparameters
    )  # fmt: skip
    return SearchSpace("mlp", tuple(changed))


def rich_space() -> SearchSpace:
    """Dense networks whose ranges allow every optional part."""
    return space_with(*_CHOICES, *PARTS)


SMALL: dict[str, Scalar] = {"units": 8, "batch_size": 16, "hidden_layers": 2, "learning_rate": 0.01}


def configured(space: SearchSpace, **values: Scalar) -> dict[str, Scalar]:
    small = {k: v for k, v in SMALL.items() if k in space}
    return {**space.default(), **small, **values}


def classes_fold(seed: int = 0, rows: int = 100, shape: tuple[int, ...] = (5,)) -> Fold:
    """Three classes that a small network can tell apart."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows + 40, *shape)).astype(np.float32)
    flat = x.reshape(len(x), -1)
    y = (1 + np.sign(flat[:, 0]) * (flat[:, 1] ** 2 > 0.4)).astype(np.int32)
    prior = np.bincount(y[:rows], minlength=3) / rows
    offset, scale = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    return Fold(x[:rows], y[:rows], x[rows:], y[rows:], prior, offset, scale)


def numbers_fold(seed: int = 0, rows: int = 100) -> Fold:
    """A regression whose targets in their own unit have mean 50 and deviation 20."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows + 40, 4)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(x[:, 2])
    y = ((y - y[:rows].mean()) / y[:rows].std()).astype(np.float32)
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    return Fold(x[:rows], y[:rows], x[rows:], y[rows:], np.zeros(1), zero, one, 50.0, 20.0)


CLASSES = TaskFacts(Task.MULTICLASS, (5,), ("a", "b", "c"))
IMAGES = TaskFacts(Task.MULTICLASS, (6, 6, 1), ("a", "b", "c"))
NUMBERS = TaskFacts(Task.REGRESSION, (4,), ())


def session_for(configuration: Mapping[str, Scalar], *, facts: TaskFacts = CLASSES, folds=None, slots: int = 1, **more):
    model = more.pop("model", "mlp")
    space = more.pop("space", None) or (rich_space() if model == "mlp" else space_of(model))
    folds = folds or [numbers_fold() if facts is NUMBERS else classes_fold(shape=facts.input_shape)]
    metric = METRICS["rmse" if facts is NUMBERS else "accuracy"]
    return open_session(
        space=space, structure=configuration, facts=facts, folds=folds, metric=metric, slots=slots,
        **{"engine": "fit", **more},
    )  # fmt: skip


def trained(session, configuration, *, seed: int = 1, epochs: int = 3, fold: int = 0, slot: int = 0) -> RunResult:
    """A whole run in one slot, which is free afterwards."""
    session.put(slot, RunRequest(configuration, seed, fold, epochs))
    session.advance(epochs)
    result = session.result(slot)
    session.free(slot)
    return result


def numbers_of(result: RunResult) -> list[bytes]:
    """Every number of a result, times apart, as bytes: equal means equal bit for bit."""
    curve = [getattr(result.curve, name).tobytes() for name in result.curve.__dataclass_fields__]
    scores = np.array(
        [result.training_loss, result.validation_loss, result.training_metric, result.validation_metric]
    ).tobytes()
    kept = [w.tobytes() for w in result.weights]
    return [*curve, scores, result.predictions.tobytes(), *kept, str(result.outcome).encode(), bytes(result.best_epoch)]
