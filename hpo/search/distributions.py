"""A search space in Optuna's terms.

Conditions are kept by order: hyperparameters are suggested one after another in the space's order, in which conditions
only look back, and an inactive one is not suggested at all (Optuna's define-by-run).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
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


Row = Sequence[float]
"""One number for each varying hyperparameter, in the space's order, as Optuna stores it; NaN: inactive."""


class Terms:
    """What a space is in Optuna's terms, worked out once: a search asks for it thousands of times."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.names = tuple(h.name for h in space.varying)
        self.distributions = distributions(space)
        self._json = {name: distribution_to_json(d) for name, d in self.distributions.items()}
        self._fixed = {h.name: h.range.value for h in space.hyperparameters if isinstance(h.range, Fixed)}
        self._conditions = [(h.name, h.when) for h in space.hyperparameters if h.when]

    def inactive(self, values: Mapping[str, Scalar]) -> set[str]:
        """Names that do not matter under `values`: `SearchSpace.active` for all at once."""
        found: set[str] = set()
        for name, when in self._conditions:  # which only look back
            if any(on in found or on not in values or values[on] not in allowed for on, allowed in when):
                found.add(name)
        return found

    def row(self, params: Iterable[Param]) -> list[float]:
        """The row of a trial's parameters."""
        known = {p.name: p.internal for p in params}
        return [known.get(name, math.nan) for name in self.names]

    def params(self, row: Row) -> tuple[Param, ...]:
        """The inverse of `row`."""
        return tuple(
            Param(name, float(x), self._json[name])
            for name, x in zip(self.names, row, strict=True)
            if not math.isnan(x)
        )

    def external(self, name: str, internal: float) -> Scalar:
        """The value that Optuna stores as `internal`, in its range's own type (an int range gives ints)."""
        return cast(Scalar, self.distributions[name].to_external_repr(internal))

    def active_values(self, row: Row) -> dict[str, Scalar]:
        """Fixed values and those of the row."""
        chosen = {name: self.external(name, x) for name, x in zip(self.names, row, strict=True) if not math.isnan(x)}
        return self._fixed | chosen

    def configuration(self, row: Row) -> Configuration:
        """The row as a complete configuration."""
        return self.space.complete(self.active_values(row))

    def params_of(self, configuration: Configuration) -> tuple[Param, ...]:
        """The varying and active part of a configuration for Optuna's tables, in the space's order.

        Raises ValueError naming each hyperparameter whose value lies outside its range.
        """
        inactive = self.inactive(configuration)
        chosen = [h for h in self.space.varying if h.name not in inactive]
        outside = [f"{h.name} = {v!r}" for h in chosen if not contains(h.range, v := configuration[h.name])]
        if outside:
            raise ValueError(f"the configuration lies outside the search space: {', '.join(outside)}")
        return tuple(
            Param(h.name, float(self.distributions[h.name].to_internal_repr(configuration[h.name])), self._json[h.name])
            for h in chosen
        )

    def values_of(self, params: Iterable[Param]) -> dict[str, Scalar]:
        """The inverse of `params_of`: values by name."""
        return {p.name: self.external(p.name, p.internal) for p in params}
