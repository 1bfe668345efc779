"""The bench's replay: whatever a curve gives, a search ends, and is the same for the same seed."""

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

BENCH = Path(__file__).resolve().parents[2] / "benchmarks" / "search"
SPACE = SearchSpace(
    "a:model",
    (
        Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(1e-4, 1.0, log=True), 0.01),
        Hyperparameter("width", "any", Kind.STRUCTURE, IntRange(1, 6), 1),
        Hyperparameter("place", "any", Kind.STRUCTURE, Choice(("before", "after")), "before"),
    ),
)
ODD = {
    "NaN": [math.nan] * 9, "nothing": [], "infinite": [math.inf] * 9, "short": [0.5, 0.4], "one": [0.5],
    "long": [1.0] * 99, "constant": [1.0] * 9, "NaN later": [0.5, 0.4, 0.3] + [math.nan] * 6,
    "whole numbers": [3, 2, 1], "huge": [1e308] * 9,
}  # fmt: skip


@pytest.fixture
def bench() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCH))
    yield importlib.import_module("replay")
    sys.path.remove(str(BENCH))
    for name in ("replay", "clock"):
        del sys.modules[name]


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    ("direction", "slots", "epochs"), [("minimize", 1, 9), ("maximize", 8, 9), ("minimize", 32, 1)]
)
def test_odd_curves_end_in_a_trace(bench, values, direction, slots, epochs):
    one, again = (bench.replay(SPACE, lambda c: values, direction, slots, epochs, 60, 0) for _ in range(2))
    assert (one.costs, one.values, one.configurations) == (again.costs, again.values, again.configurations)
    assert one.trials > 0
    known = [v for v in values[:epochs] if math.isfinite(v)]
    assert math.isnan(one.at(60)[0]) == (not known)


def test_a_search_of_curves_with_structure_finds_the_structure_and_the_rate(bench):
    def curve(c):
        loss = abs(math.log10(c["rate"]) + 2) + abs(c["width"] - 4) + (c["place"] == "after")
        return [loss + 3 * math.exp(-epoch / 3) for epoch in range(1, 28)]

    trace = bench.replay(SPACE, curve, "minimize", 8, 27, 2000, 0)
    best = trace.at(2000)[1]
    assert (best["width"], best["place"]) == (4, "before")
    assert abs(math.log10(best["rate"]) + 2) < 0.3
    assert trace.structures < trace.trials / 4
