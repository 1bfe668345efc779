"""Processor time of a refill as a study grows: ten hyperparameters, eight slots refilled at a time."""

import math
import time
from collections.abc import Callable

import numpy as np

from hpo.search import PastTrial, Proposal, Search
from hpo.search.halving import SlotSearch
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace

KNOWN, TOGETHER, REPEATED = (100, 1000, 10_000), 8, 30
SPACE = SearchSpace(
    "a:timed",
    tuple(
        Hyperparameter(name, "any", kind, range_, range_.values[0] if isinstance(range_, Choice) else range_.low)
        for name, kind, range_ in (
            ("learning_rate", Kind.NUMBER, FloatRange(1e-5, 1.0, log=True)),
            ("l2", Kind.NUMBER, FloatRange(1e-8, 1.0, log=True)),
            ("dropout", Kind.NUMBER, FloatRange(0.0, 0.5)),
            ("momentum", Kind.NUMBER, FloatRange(0.5, 0.99)),
            ("weight_decay", Kind.NUMBER, FloatRange(1e-6, 0.1, log=True)),
            ("width", Kind.STRUCTURE, IntRange(16, 1024, log=True)),
            ("depth", Kind.STRUCTURE, IntRange(1, 4)),
            ("batch_size", Kind.STRUCTURE, Choice((32, 64, 128))),
            ("activation", Kind.NUMBER, Choice(("relu", "tanh", "elu", "swish"))),
            ("optimizer", Kind.NUMBER, Choice(("sgd", "adam", "rmsprop"))),
        )
    ),
)


def objective(proposal: Proposal) -> float:
    c = proposal.configuration
    return abs(math.log10(float(c["learning_rate"])) + 2) + float(c["dropout"])


def taken(action: Callable[[], object]) -> float:
    """Processor milliseconds."""
    start = time.process_time()
    action()
    return 1e3 * (time.process_time() - start)


def measured(past: list[PastTrial]) -> tuple[float, float, float]:
    """Milliseconds a trial: a refill, seeing and ending it, and building the search anew."""
    made: list[SlotSearch] = []
    anew = taken(lambda: made.append(SlotSearch(
        SPACE, direction="minimize", rungs=(3, 9, 27), sampler="tpe", seed=(1,), slots=32, history=past,
    )))  # fmt: skip
    slots, refills, ends, first = made[0], [], [], len(past)
    home = None
    while len(refills) < REPEATED:
        begun: list[Proposal] = []
        start = time.process_time()
        begun = slots.begin(range(first, first + TOGETHER), within=home)
        spent = 1e3 * (time.process_time() - start)
        if begun and home is not None:
            refills.append(spent / len(begun))
        start = time.process_time()
        for p in begun:
            slots.see(p.number, 3, objective(p))
            slots.end(p.number, None, dropped=True)
        ends.append(1e3 * (time.process_time() - start) / max(1, len(begun)))
        home = begun[0].configuration if begun else None
        first += len(begun)
    return float(np.median(refills)), float(np.median(ends)), anew / len(past)


def main() -> int:
    """Print a line for each number of trials known."""
    print(
        f"processor ms a trial, {TOGETHER} at a time\n| known | refill | see and end | built anew |\n|---|---|---|---|"
    )
    drawn = Search(SPACE, direction="minimize", sampler="random", seed=(0,), startup=0).ask(range(max(KNOWN)))
    past = [PastTrial(p.number, p.configuration, objective(p), "complete") for p in drawn]
    for count in KNOWN:
        refill, end, anew = measured(past[:count])
        print(f"| {count:,} | {refill:.2f} | {end:.3f} | {anew:.3f} |", flush=True)
    return 0
