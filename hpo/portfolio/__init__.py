"""Configurations that did well elsewhere, to begin a search with.

`mlp.json` holds at most eight, best first: learned by `benchmarks/portfolio.py` from tables of dense networks under
Adam (HPOBench's, scikit-learn's MLPClassifier with relu). Each next one lowers most the mean normalised regret of the
best so far over those tables, so that together they cover data that ask for different things.
"""

import json
import math
from functools import cache
from pathlib import Path

from hpo.space import Choice, FloatRange, IntRange, Range, SearchSpace
from hpo.space.ranges import clamped
from hpo.values import Configuration, Scalar

LEARNED_UNDER = ("adam", "adamw", "nadam")
"""Learning rates were learned under Adam: they are not moved to optimizers of other kinds."""


@cache
def bundled() -> tuple[Configuration, ...]:
    """The configurations that were learned, by hyperparameter of the model `mlp`."""
    return tuple(json.loads(Path(__file__).with_name("mlp.json").read_text(encoding="utf-8"))["configurations"])


def starts(space: SearchSpace) -> tuple[Configuration, ...]:
    """The bundled configurations moved into the space, complete, best first.

    What the space varies takes the learned value, moved into its range; all else stays at the space's default. None
    for other models than `mlp`, and where the space varies nothing that was learned; what is then equal comes once.
    """
    if space.model != "mlp":
        return ()
    found: dict[tuple[tuple[str, Scalar], ...], Configuration] = {}
    for learned in bundled():
        moved = {h.name: _moved(h.range, learned[h.name]) for h in space.varying if h.name in learned}
        values = space.default() | moved
        if values["optimizer"] not in LEARNED_UNDER and "learning_rate" in moved:
            values["learning_rate"] = space.default()["learning_rate"]
            del moved["learning_rate"]
        if moved:
            found.setdefault(tuple(space.active_varying(values).items()), values)
    return tuple(found.values())


def _moved(range_: Range, value: Scalar) -> Scalar:
    """The nearest value of the range; of numbers to choose from, by their ratio."""
    if isinstance(range_, Choice) and not isinstance(value, str):
        numbers = [v for v in range_.values if not isinstance(v, (str, bool)) and v > 0]
        if numbers and value > 0:
            return min(numbers, key=lambda v: abs(math.log(v / value)))
    if isinstance(range_, (FloatRange, IntRange, Choice)):
        return clamped(range_, value)
    return range_.value
