"""A search space as plain JSON and back, for records and for workers elsewhere."""

from collections.abc import Mapping
from typing import Any

from hpo.space.catalogue import Kind
from hpo.space.ranges import Choice, Fixed, FloatRange, IntRange, Range
from hpo.space.space import Hyperparameter, SearchSpace


def space_to_plain(space: SearchSpace) -> dict[str, Any]:
    """Lists, texts, numbers and truth values only. `space_from_plain` is the inverse, also after JSON."""
    return {
        "model": space.model,
        "hyperparameters": [
            {
                "name": h.name,
                "section": h.section,
                "kind": h.kind.value,
                "range": range_to_plain(h.range),
                "default": h.default,
                "when": [[on, list(values)] for on, values in h.when],
            }
            for h in space.hyperparameters
        ],
        "unstated": sorted(space.unstated),
    }


def space_from_plain(plain: Mapping[str, Any]) -> SearchSpace:
    """The inverse of `space_to_plain`."""
    return SearchSpace(
        plain["model"],
        tuple(
            Hyperparameter(
                h["name"],
                h["section"],
                Kind(h["kind"]),
                range_from_plain(h["range"]),
                h["default"],
                tuple((on, tuple(values)) for on, values in h["when"]),
            )
            for h in plain["hyperparameters"]
        ),
        frozenset(plain["unstated"]),
    )


def range_to_plain(range_: Range) -> dict[str, Any]:
    """A range in the form that search-space files use; `value` for a fixed one."""
    match range_:
        case FloatRange(low, high, log):
            return {"float": [low, high], "log": log}
        case IntRange(low, high, log):
            return {"int": [low, high], "log": log}
        case Choice(values):
            return {"choice": list(values)}
        case Fixed(value):
            return {"value": value}


def range_from_plain(plain: Mapping[str, Any]) -> Range:
    """The inverse of `range_to_plain`."""
    if "float" in plain:
        return FloatRange(plain["float"][0], plain["float"][1], plain["log"])
    if "int" in plain:
        return IntRange(plain["int"][0], plain["int"][1], plain["log"])
    if "choice" in plain:
        return Choice(tuple(plain["choice"]))
    return Fixed(plain["value"])
