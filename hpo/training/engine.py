"""Chooses the engine and opens sessions."""

import os
from collections.abc import Sequence

import numpy as np

from hpo.errors import InputError, Problem
from hpo.metrics import Metric
from hpo.space import SearchSpace, padded_width
from hpo.training.session import Session
from hpo.values import Configuration, Fold, TaskFacts

ENGINES = ("auto", "compiled", "fit")
PRECISIONS = ("float32", "mixed")
BLOCK = 8
"""Slots of the compiled engine's block on a CPU."""
FEWEST = 3
"""A block costs about as much arithmetic as three trainings by `fit` of a network that is bound by arithmetic."""
MOST = 64
"""Slots: more fill no core better, and a search learns nothing while a cohort trains."""
MEASURED_AT_ONCE = 1024
"""Rows that a block measures at once: bounds the memory that its hidden layers take."""


def engine_for(
    *, space: SearchSpace, slots: int, engine: str = "auto", precision: str = "float32"
) -> tuple[str, str]:  # fmt: skip
    """The engine that trains so many runs of a structure at once, and why. Raises InputError for an unknown name."""
    if engine not in ENGINES:
        raise InputError(
            Problem("study file", "training.engine", " or ".join(ENGINES), repr(engine), "Use auto where unsure.")
        )
    if engine == "fit":
        return "fit", "asked for"
    if space.model != "mlp":
        kind = "convolutions" if space.model == "cnn" else "a model of the user's own"
        return "fit", f"{kind}: the compiled engine trains dense networks"
    if precision == "mixed":
        return "fit", "mixed precision: the compiled engine computes in 32 bits"
    if engine == "compiled":
        return "compiled", "asked for"
    if slots < FEWEST:
        return "fit", f"fewer than {FEWEST} runs of this structure: a block of slots would be mostly empty"
    return "compiled", "dense networks of one structure train together"


def slots_for(
    *, space: SearchSpace, configuration: Configuration, facts: TaskFacts, rows: int, runs: int, engine: str = "auto",
    precision: str = "float32", memory: int | None = None,
) -> int:  # fmt: skip
    """How many slots a session should have for so many runs of one structure; 1 where they train one after another.

    `rows`: of the training set. `memory`: bytes that the slots may take; None: a quarter of the machine's. A function
    of its arguments and of the machine alone, so that a resumed study gets the same cohorts.
    """
    if engine_for(space=space, slots=runs, engine=engine, precision=precision)[0] == "fit":
        return 1
    budget = memory or _machine_memory() // 4
    each = bytes_a_slot(configuration, facts, rows)
    wanted = min(-(-runs // BLOCK) * BLOCK, MOST)
    return max(min(wanted, int(budget // each) // BLOCK * BLOCK), 1)


def bytes_a_slot(configuration: Configuration, facts: TaskFacts, rows: int) -> int:
    """About what a slot of the compiled engine takes: weights with moments, gradients and copies, activations, rows."""
    inputs = int(np.prod(facts.input_shape))
    width, layers = padded_width(int(configuration["units"])), int(configuration["hidden_layers"])
    parameters = inputs * width + max(layers - 1, 0) * width * width + width * facts.outputs
    batch = min(int(configuration["batch_size"]), rows)
    activations = max(3 * batch, MEASURED_AT_ONCE) * (inputs + layers * width + facts.outputs)
    return 4 * (8 * parameters + 2 * activations + rows)


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
