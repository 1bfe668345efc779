"""Chooses the engine and opens sessions."""

from collections.abc import Sequence

from hpo.errors import InputError, Problem
from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training.session import Session
from hpo.values import Configuration, Fold, TaskFacts

ENGINES = ("auto", "fit")
PRECISIONS = ("float32", "mixed")


def engine_for(engine: str = "auto") -> tuple[str, str]:
    """The engine that will train, and why. Raises InputError for an unknown name."""
    if engine not in ENGINES:
        raise InputError(
            Problem("study file", "training.engine", " or ".join(ENGINES), repr(engine), "Use auto where unsure.")
        )
    if engine == "fit":
        return "fit", "asked for"
    return "fit", "trains every model, one run after another"


def open_session(
    *, space: SearchSpace, structure: Configuration, facts: TaskFacts, folds: Sequence[Fold], metric: Metric,
    slots: int = 1, engine: str = "auto", precision: str = "float32", limit_epochs: int | None = None,
) -> Session:  # fmt: skip
    """A session for the structure of a full configuration.

    `folds` are what `RunRequest.fold` counts. `limit_epochs` caps the epochs of every run. Raises InputError for an
    unknown engine or precision, for a batch of one row with batch normalization, and where a model cannot be built.
    """
    engine_for(engine)
    _check(structure, folds, precision)
    from hpo.training.fit_engine import FitSession  # loads Keras, which an InputError need not wait for

    return FitSession(
        space=space, structure=structure, facts=facts, folds=folds, metric=metric, slots=slots, precision=precision,
        limit_epochs=limit_epochs,
    )  # fmt: skip


def _check(structure: Configuration, folds: Sequence[Fold], precision: str) -> None:
    problems = []
    if precision not in PRECISIONS:
        problems.append(
            Problem(
                "study file", "training.precision", " or ".join(PRECISIONS), repr(precision), "Use float32 on a CPU."
            )
        )
    rows = min(len(fold.x_train) for fold in folds)
    if min(int(structure["batch_size"]), rows) == 1 and structure["batch_normalization"] != "none":
        problems.append(
            Problem(
                "search space", "optimizer.batch_size", "at least two rows a batch with batch normalization", "1",
                "Raise batch_size's lower end, or leave batch normalization out.",
            )
        )  # fmt: skip
    if problems:
        raise InputError(problems)
