"""A search space: what may vary, in which range, under which condition. Knows neither Optuna nor Keras."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hpo.space.catalogue import Kind, known
from hpo.space.ranges import Fixed, Range, at_start_value, contains
from hpo.space.widths import padded_width
from hpo.values import Configuration, Scalar

Condition = tuple[tuple[str, tuple[Scalar, ...]], ...]
"""Names with the values that make a hyperparameter active; all must hold."""


@dataclass(frozen=True)
class Hyperparameter:
    """One dimension of a search space."""

    name: str
    section: str
    kind: Kind
    range: Range
    default: Scalar
    when: Condition = ()

    @property
    def varies(self) -> bool:
        return not isinstance(self.range, Fixed)


@dataclass(frozen=True)
class SearchSpace:
    """Hyperparameters in an order in which conditions only look back. `studyfile` builds valid ones.

    `model` is `mlp`, `cnn` or `module:function`. Every hyperparameter that the model knows is present: those that the
    user left out are `Fixed` at the catalogue's default and listed in `unstated`.
    """

    model: str
    hyperparameters: tuple[Hyperparameter, ...]
    unstated: frozenset[str] = frozenset()
    """Names the user did not mention; a verdict may change their values, never a stated `Fixed`."""

    def __getitem__(self, name: str) -> Hyperparameter:
        for hyperparameter in self.hyperparameters:
            if hyperparameter.name == name:
                return hyperparameter
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(h.name == name for h in self.hyperparameters)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(h.name for h in self.hyperparameters)

    @property
    def varying(self) -> tuple[Hyperparameter, ...]:
        return tuple(h for h in self.hyperparameters if h.varies)

    def with_range(self, name: str, range_: Range) -> "SearchSpace":
        """The space with another range for one hyperparameter."""
        changed = tuple(replace(h, range=range_) if h.name == name else h for h in self.hyperparameters)
        return replace(self, hyperparameters=changed)

    def fixed_at(self, configuration: Configuration, names: Iterable[str]) -> "SearchSpace":
        """The space with the named hyperparameters fixed at the configuration's values."""
        wanted = set(names)
        changed = tuple(
            replace(h, range=Fixed(configuration[h.name])) if h.name in wanted else h for h in self.hyperparameters
        )
        return replace(self, hyperparameters=changed)

    def active(self, name: str, values: Mapping[str, Scalar]) -> bool:
        """Whether a hyperparameter matters under the values of those it depends on (and they in turn matter)."""
        return all(
            on in values and values[on] in allowed and self.active(on, values) for on, allowed in self[name].when
        )

    def complete(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """A full configuration: fixed values, then `values`, then defaults for what is inactive or left out."""
        return {
            h.name: h.range.value if isinstance(h.range, Fixed) else values.get(h.name, h.default)
            for h in self.hyperparameters
        }

    def active_varying(self, configuration: Configuration) -> dict[str, Scalar]:
        """The part of a configuration that a search chose: varying and active."""
        return {h.name: configuration[h.name] for h in self.varying if self.active(h.name, configuration)}

    def holds(self, configuration: Configuration) -> bool:
        """Whether the configuration could have been drawn from this space."""
        return all(contains(h.range, configuration[h.name]) for h in self.hyperparameters if h.name in configuration
                   and self.active(h.name, configuration))  # fmt: skip

    def default(self) -> dict[str, Scalar]:
        """The configuration to begin with: defaults where they lie in range, else the middle of the range."""
        return {
            h.name: h.default if contains(h.range, h.default) else at_start_value(h.range) for h in self.hyperparameters
        }

    def structure(self, configuration: Configuration) -> dict[str, Scalar]:
        """The part of a configuration that decides the compiled program: of a dense network's width, its rung."""
        exact = {h.name: configuration[h.name] for h in self.hyperparameters if h.kind is Kind.STRUCTURE}
        if self.model == "mlp" and "units" in exact:
            exact["units"] = padded_width(int(exact["units"]))
        return exact


def order_by_conditions(hyperparameters: Iterable[Hyperparameter]) -> tuple[Hyperparameter, ...]:
    """Stable order in which conditions only look back.

    Raises ValueError: the members of a circle as `a -> b -> a`, or the unknown name that a condition rests on.
    """
    left, done = list(hyperparameters), []
    placed: set[str] = set()
    while left:
        ready = next((h for h in left if all(on in placed for on, _ in h.when)), None)
        if ready is None:
            raise ValueError(_circle({h.name: h for h in left}, placed))
        left.remove(ready)
        done.append(ready)
        placed.add(ready.name)
    return tuple(done)


def _circle(left: Mapping[str, Hyperparameter], placed: set[str]) -> str:
    """Follow conditions that are not met from any member until a name comes again."""
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:
        following = next(on for on, _ in left[path[-1]].when if on not in placed)
        if following not in left:
            return f"{path[-1]} -> {following}, which is unknown"
        path.append(following)
    return " -> ".join(path[path.index(path[-1]) :])


def bound(space: SearchSpace, name: str, side: str) -> float | None:
    """How far a range may be widened: the catalogue's domain; None where the catalogue does not know the name."""
    entry = known(space.model).get(name)
    return None if entry is None else getattr(entry.domain, side, None)
