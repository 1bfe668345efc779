"""Which engine trains a structure, and in how many slots: decided without loading a framework."""

import numpy as np

from hpo.errors import InputError, Problem
from hpo.space import SearchSpace, padded_width
from hpo.values import Configuration, TaskFacts

ENGINES = ("auto", "compiled", "fit")
BLOCK = 8
"""Slots of the compiled engine's block on a CPU; half as many where the network is large: see `block_slots`."""
_SMALL = 32_768
"""Padded parameters up to which a step is bound by the number of operations, so that a block's slots come nearly free.

Eight slots of more no longer fit into a core's cache with their moments.
"""
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

    `rows`: of the training set. `memory`: bytes that the slots may take; None: any. A function of its arguments alone,
    so that a resumed study gets the same cohorts.
    """
    if engine_for(space=space, slots=runs, engine=engine, precision=precision)[0] == "fit":
        return 1
    wanted = min(-(-runs // BLOCK) * BLOCK, MOST)
    if memory is None:
        return wanted
    fitting = memory // bytes_a_slot(configuration, facts, rows)
    return max(min(wanted, fitting // BLOCK * BLOCK), 1)


def block_slots(parameters: int) -> int:
    """Slots of a block on a CPU for a padded number of parameters: a cohort of eight large networks is two blocks.

    Measured on two cores, an epoch of eight runs of three layers on 64 inputs: width 128 0.14 s in two blocks and 0.25
    in one, 256 0.47 and 0.58, 64 the same. Two layers of 64 on 784 inputs: blocks of four an eighth faster than eight.
    """
    return BLOCK if parameters <= _SMALL else BLOCK // 2


def bytes_a_slot(configuration: Configuration, facts: TaskFacts, rows: int) -> int:
    """About what a slot of the compiled engine takes: weights with moments, gradients and copies, activations, rows."""
    inputs = int(np.prod(facts.input_shape))
    width, layers = padded_width(int(configuration["units"])), int(configuration["hidden_layers"])
    batch = min(int(configuration["batch_size"]), rows)
    activations = max(3 * batch, MEASURED_AT_ONCE) * (inputs + layers * width + facts.outputs)
    return 4 * (8 * _parameters(configuration, facts) + 2 * activations + rows)


def epoch_seconds(configuration: Configuration, facts: TaskFacts, rows: int, slots: int) -> float:
    """About what an epoch of a dense cohort costs on a CPU's core: a function of its arguments alone, never of a clock.

    Taken: 20 microseconds a step and slot, and 20 thousand million operations a second. Eight runs of two layers of 64
    on digits: 28 ms estimated, 23 to 26 measured. It orders lanes and sizes cohorts, for which that is near enough.
    """
    steps = rows / min(int(configuration["batch_size"]), rows)
    return slots * (2e-5 * steps + 6 * rows * _parameters(configuration, facts) / 2e10)


def _parameters(configuration: Configuration, facts: TaskFacts) -> int:
    """Of the padded network, without biases."""
    inputs = int(np.prod(facts.input_shape))
    width, layers = padded_width(int(configuration["units"])), int(configuration["hidden_layers"])
    return inputs * width + max(layers - 1, 0) * width * width + width * facts.outputs
