"""Hyperparameters, ranges, conditions and kinds."""

from hpo.space.catalogue import Kind, Known, known
from hpo.space.plain import range_to_plain, space_from_plain, space_to_plain
from hpo.space.ranges import (
    Choice,
    Fixed,
    FloatRange,
    IntRange,
    Range,
    at_position,
    contains,
    narrowed,
    position,
    widened,
)
from hpo.space.space import Condition, Hyperparameter, SearchSpace, bound, order_by_conditions
from hpo.space.widths import padded_width

__all__ = [
    "Choice", "Condition", "Fixed", "FloatRange", "Hyperparameter", "IntRange", "Kind", "Known", "Range", "SearchSpace",
    "at_position", "bound", "contains", "known", "narrowed", "order_by_conditions", "padded_width", "position",
    "range_to_plain", "space_from_plain", "space_to_plain", "widened",
]  # fmt: skip
