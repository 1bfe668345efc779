"""A search space in Optuna's terms.

Conditions are kept by order: hyperparameters are suggested one after another in the space's order, in which conditions
only look back, and an inactive one is not suggested at all (Optuna's define-by-run).
"""

from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from hpo.search.values import Param
from hpo.space import Choice, Fixed, FloatRange, IntRange, Range, SearchSpace, contains
from hpo.values import Configuration, Scalar


def distribution(range_: Range) -> BaseDistribution:
    """Optuna's distribution for a range. Raises ValueError for a fixed value, which is never drawn."""
    match range_:
        case FloatRange(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntRange(low, high, log):
            return IntDistribution(low, high, log=log)
        case Choice(values):
            return CategoricalDistribution(values)
        case Fixed(value):
            raise ValueError(f"the fixed value {value!r} is not drawn from a distribution")


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distribution of every varying hyperparameter, in the space's order."""
    return {h.name: distribution(h.range) for h in space.varying}


def draw(space: SearchSpace, trial: optuna.Trial) -> None:
    """Let the trial's sampler choose every varying hyperparameter that is active under those chosen before it."""
    seen: dict[str, Scalar] = {}
    for h in space.hyperparameters:
        if isinstance(h.range, Fixed):
            seen[h.name] = h.range.value
        elif space.active(h.name, seen):
            seen[h.name] = _suggested(trial, h.name, h.range)


def _suggested(trial: optuna.Trial, name: str, range_: FloatRange | IntRange | Choice) -> Scalar:
    match range_:
        case FloatRange(low, high, log):
            return trial.suggest_float(name, low, high, log=log)
        case IntRange(low, high, log):
            return trial.suggest_int(name, low, high, log=log)
        case Choice(values):
            return cast(Scalar, trial.suggest_categorical(name, values))


def inside(to: BaseDistribution, internal: float) -> float:
    """Optuna's stored number moved inside the distribution's ends.

    The exponential of a logarithm can lie a rounding error outside the range it came from.
    """
    if isinstance(to, (FloatDistribution, IntDistribution)):
        return min(max(internal, to.low), to.high)
    return internal


def params_of(space: SearchSpace, configuration: Configuration) -> tuple[Param, ...]:
    """The varying and active part of a configuration for Optuna's tables, in the space's order.

    Raises ValueError naming each hyperparameter whose value lies outside its range.
    """
    chosen = space.active_varying(configuration)
    outside = [f"{name} = {value!r}" for name, value in chosen.items() if not contains(space[name].range, value)]
    if outside:
        raise ValueError(f"the configuration lies outside the search space: {', '.join(outside)}")
    found = distributions(space)
    return tuple(
        Param(name, float(found[name].to_internal_repr(value)), distribution_to_json(found[name]))
        for name, value in chosen.items()
    )


def values_of(space: SearchSpace, params: tuple[Param, ...]) -> dict[str, Scalar]:
    """The inverse of `params_of`: values by name, each in its range's own type (an int range gives ints)."""
    found = distributions(space)
    return {p.name: cast(Scalar, found[p.name].to_external_repr(p.internal)) for p in params}
