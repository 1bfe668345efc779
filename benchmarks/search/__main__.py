"""The project's search loop on tables of finished trainings, against what else there is.

    python benchmarks/search [--seeds 10] [--families NAME ...] [--slots 1 32] [--only NAME ...]
    python benchmarks/search --batches [--seeds 20]     refills eight at a time against one at a time
    python benchmarks/search --times                    processor time of a refill

Prints the mean normalised regret with its standard error over tables, at 8, 20 and 50 trainings in a single slot and
at 1, 2, 5 and 10 trainings of a cohort in 8 or 32; behind each baseline how far it is from ours, with the standard
error of that difference over tables: `+` where it is resolved (two errors) that ours is better, `-` that it is worse.
Trainings are counted after the first compilation, which every search pays. See README.md.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products: more threads only wait for one another
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import batches
import clock
import numpy as np
import optuna
import times
from baselines import Plain, Pruned
from replay import Ours, Strategy, replay
from synthetic import formulas
from tables import Table, tables

from hpo.search.halving import Refill

READ = {1: (8, 20, 50), 8: (1, 2, 5, 10), 32: (1, 2, 5, 10)}
"""By slots: read-outs, in trainings of a full cohort."""
FAMILIES = ("taskset", "hpobench", "hpolib", "synthetic")
Make = Callable[[Table, int, int], Strategy]
"""(table, seed, slots) -> strategy"""


def ours(sampler: str = "tpe", **settings: Any) -> Make:
    return lambda t, seed, slots: Ours(t.space, t.direction, t.epochs, seed, slots, Refill(**settings), sampler)


def plain(sampler: str) -> Make:
    return lambda t, seed, slots: Plain(t.space, t.direction, seed, sampler)


def pruned(pruner: str, sampler: str) -> Make:
    return lambda t, seed, slots: Pruned(t.space, t.direction, t.epochs, seed, pruner, sampler)


STRATEGIES: dict[str, Make] = {
    "ours": ours(), "ours, random refills": ours("random"), "random": plain("random"), "TPE": plain("tpe"),
    "Hyperband pruner, random": pruned("hyperband", "random"), "Hyperband pruner, TPE": pruned("hyperband", "tpe"),
    "successive halving, random": pruned("halving", "random"), "successive halving, TPE": pruned("halving", "tpe"),
    "GP": plain("gp"),
}  # fmt: skip
ONE_AT_A_TIME = ("Hyperband pruner, TPE", "successive halving, TPE")
"""Left out of cohorts: stock Optuna takes tens of milliseconds for each of thousands of proposals."""


def regrets(table: Table, make: Make, slots: int, seed: int) -> list[float]:
    """At the read-outs."""
    each, first = table.epochs * clock.epoch(slots), clock.compilation(table.epochs, table.trained_for)
    trace = replay(
        table.space, table.curve(seed), table.direction, slots, table.epochs, READ[slots][-1] * each + first, seed,
        strategy=make(table, seed, slots), compile_epochs=first,
    )  # fmt: skip
    return [table.regret(*trace.at(count * each + first)) for count in READ[slots]]


def family(name: str) -> Mapping[str, Table]:
    return formulas() if name == "synthetic" else tables(name)


def compared(name: str, slots: int, only: list[str], seeds: int) -> None:
    """Print a family's table."""
    found = family(name)
    print(f"\n{name}, {slots} slots, {seeds} seeds, {len(found)} tables: regret after "
          f"{', '.join(map(str, READ[slots]))} trainings{f' of {slots}' if slots > 1 else ''}", flush=True)  # fmt: skip
    base: np.ndarray[Any, Any] | None = None
    for label in only:
        if slots > 1 and label in ONE_AT_A_TIME:
            continue
        here = np.array([
            np.mean([regrets(t, STRATEGIES[label], slots, seed) for seed in range(seeds)], axis=0)
            for t in found.values()
        ])  # fmt: skip
        base = here if base is None else base
        cells = [told(column, own) for column, own in zip(here.T, base.T, strict=True)]
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def told(here: "np.ndarray[Any, Any]", base: "np.ndarray[Any, Any]") -> str:
    """Mean and error over tables, and of the difference to the base; marked where that is resolved."""
    root = len(here) ** 0.5
    text = f"{here.mean():.3f} ± {here.std(ddof=1) / root:.3f}"
    away = here - base
    if not away.any():
        return text
    mean, error = away.mean(), away.std(ddof=1) / root
    mark = "" if abs(mean) <= 2 * error else (" +" if mean > 0 else " -")
    return f"{text} ({mean:+.3f} ± {error:.3f}{mark})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--only", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 32], choices=list(READ))
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--times", action="store_true")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if given.batches or given.times:
        return times.main() if given.times else batches.main(given.seeds or 20)
    if "GP" in given.only and importlib.util.find_spec("torch") is None:
        given.only.remove("GP")
        print("GP is left out: it needs torch (pip install 'hpo[gp]')")
    for name in given.families:
        for slots in given.slots:
            compared(name, slots, given.only, given.seeds or 10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
