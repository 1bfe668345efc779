"""What practice says of batch normalization, dropout and losses, as words of caution: a study may do otherwise.

Batch normalization goes before relu and its kin, after tanh and sigmoid, whose flat ends it would else be fed into; it
pays most in deep networks and least where the absolute scale of the inputs carries the answer; dropout ahead of it
shifts the variance that it learns (Li et al. 2019). Wide hidden layers that overfit bear a dropout of 0.5 to 0.8.
"""

from collections.abc import Iterator

from hpo.errors import InputError, Problem
from hpo.space import Choice, Fixed, Hyperparameter, SearchSpace, contains
from hpo.space.catalogue import LOSSES
from hpo.space.ranges import Side
from hpo.values import Task

DEEP, WIDE, STRONG = 5, 512, 0.5
"""Hidden layers, units and dropout from which on practice has something to say."""
_FLAT = ("tanh", "sigmoid")


def advice(space: SearchSpace, task: Task | None) -> Iterator[str]:
    """Sentences that begin with the key they are about."""
    if "batch_normalization" not in space or "activation" not in space:
        return
    placed, activations = space["batch_normalization"], _values(space["activation"])
    places = {place for place in ("before", "after") if contains(placed.range, place)}
    key = "architecture.batch_normalization"
    if places == {"before"} and set(activations) <= set(_FLAT):
        yield f"{key}: before {' and '.join(activations)}, where practice puts it after: allow after as well."
    if places == {"after"} and not set(activations) & set(_FLAT):
        yield f"{key}: after {' and '.join(activations)}, where practice puts it before: allow before as well."
    if places and task is Task.REGRESSION and "none" not in _values(placed):
        yield f"{key}: takes off the absolute scale, which a regression may need: allow none as well."
    if places and "none" not in _values(placed) and _end(space, "dropout") > 0:
        yield (
            "regularization.dropout: acts behind the last batch normalization alone; ahead of one it would shift the "
            "variance that it learns."
        )
    if (
        not places
        and _end(space, "hidden_layers") >= DEEP
        and not contains(space["weight_normalization"].range, "centered")
    ):
        yield f"{key}: networks of {_end(space, 'hidden_layers'):g} layers train more surely with it: allow it."
    if _end(space, "units", "low") >= WIDE and "dropout" not in space.unstated and 0 < _end(space, "dropout") < STRONG:
        yield (
            f"regularization.dropout: ends at {_end(space, 'dropout'):g}; hidden layers of {WIDE} units and more "
            "that overfit bear 0.5 to 0.8."
        )


def check_loss(space: SearchSpace, task: Task, where: str) -> None:
    """Raises InputError where the space may ask for a loss that the task does not have."""
    if "loss" not in space:
        return
    wrong = [name for name in _values(space["loss"]) if LOSSES.get(name, task.classifies) is not task.classifies]
    if wrong:
        suited = ", ".join(name for name, of_classes in LOSSES.items() if of_classes is task.classifies)
        raise InputError(
            Problem(where, "loss.name", f"losses for the task {task}: match, {suited}", ", ".join(wrong),
                    "Leave them out, or leave the whole entry out: match follows the task.")
        )  # fmt: skip


def _values(hyperparameter: Hyperparameter) -> list[str]:
    """What a hyperparameter of words may be."""
    match hyperparameter.range:
        case Choice(values):
            return [str(v) for v in values]
        case Fixed(value):
            return [str(value)]
        case _:
            return []


def _end(space: SearchSpace, name: str, side: Side = "high") -> float:
    """The greatest or least value of a hyperparameter of numbers; zero where the model has none of the name."""
    if name not in space:
        return 0.0
    match space[name].range:
        case Choice(values):
            return (max if side == "high" else min)(float(v) for v in values)
        case Fixed(value):
            return float(value)
        case range_:
            return float(getattr(range_, side))
