"""Opens sessions."""

from collections.abc import Sequence

from hpo.errors import InputError, Problem
from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training.choosing import engine_for
from hpo.training.session import Session
from hpo.values import Configuration, Fold, TaskFacts

PRECISIONS = ("float32", "mixed")


def open_session(
    *, space: SearchSpace, structure: Configuration, facts: TaskFacts, folds: Sequence[Fold], metric: Metric,
    slots: int = 1, engine: str = "auto", precision: str = "float32", limit_epochs: int | None = None,
) -> Session:  # fmt: skip
    """A session for the structure of a full configuration.

    `folds` are what `RunRequest.fold` counts. `limit_epochs` caps the epochs of every run. Raises InputError for an
    unknown engine or precision, for a batch of one row with batch normalization, and where a model cannot be built;
    OutOfMemory where the device has no room for so many slots.
    """
    name, reason = engine_for(space=space, slots=slots, engine=engine, precision=precision)
    _check(structure, folds, precision)
    # Either loads Keras, which an InputError need not wait for.
    if name == "compiled":
        from hpo.training.compiled_engine import CompiledSession as Chosen
    else:
        from hpo.training.fit_engine import FitSession as Chosen  # type: ignore[assignment]
    return Chosen(
        space=space, structure=structure, facts=facts, folds=folds, metric=metric, slots=slots, precision=precision,
        limit_epochs=limit_epochs, reason=reason,
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
