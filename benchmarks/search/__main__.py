"""The project's search loop on tables of finished trainings, against what else there is.

    python benchmarks/search [--seeds 10] [--families taskset hpobench hpolib] [--only NAME ...]

Prints the mean normalised regret with its standard error over tasks, at 8, 20 and 50 trainings in a single slot and at
1, 2, 5 and 10 cohort trainings in 32. See README.md.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import clock
import optuna
from baselines import Plain, Pruned
from replay import Ours, Strategy, replay
from tables import Table, tables

from hpo.search.halving import Refill

READ = {1: (8, 20, 50), 32: (1, 2, 5, 10)}
"""By slots: read-outs, in trainings of a full cohort."""
Make = Callable[[Table, int, int], Strategy]
"""(table, seed, slots) -> strategy"""


def ours(sampler: str = "tpe", **settings: float) -> Make:
    return lambda t, seed, slots: Ours(
        t.space,
        t.direction,
        t.epochs,
        seed,
        slots,
        Refill(**settings),
        sampler,  # type: ignore[arg-type]
    )


def plain(sampler: str) -> Make:
    return lambda t, seed, slots: Plain(t.space, t.direction, t.epochs, seed, sampler)


def pruned(pruner: str, sampler: str = "tpe") -> Make:
    return lambda t, seed, slots: Pruned(t.space, t.direction, t.epochs, seed, pruner, sampler)


STRATEGIES: dict[str, Make] = {
    "ours": ours(), "ours, random refill": ours("random"), "random": plain("random"), "tpe": plain("tpe"),
    "hyperband pruner": pruned("hyperband"), "successive halving, random": pruned("halving", "random"),
    "successive halving, tpe": pruned("halving"),
}  # fmt: skip


def regrets(table: Table, make: Make, slots: int, seed: int) -> list[float]:
    """At the read-outs."""
    each = table.epochs * clock.epoch(slots)
    trace = replay(
        table.space, table.curve(seed), table.direction, slots, table.epochs, READ[slots][-1] * each, seed,
        strategy=make(table, seed, slots), compile_epochs=0.4 * table.epochs if STRUCTURES else 0.0,
    )  # fmt: skip
    return [table.regret(*trace.at(count * each)) for count in READ[slots]]


STRUCTURES = True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--families", nargs="+", default=["taskset", "hpobench", "hpolib"])
    parser.add_argument("--only", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--slots", type=int, nargs="+", default=list(READ))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for family in given.families:
        found = tables(family)
        for slots in given.slots:
            print(f"\n{family}, {slots} slots, {given.seeds} seeds, {len(found)} tables: regret at "
                  f"{', '.join(map(str, READ[slots]))} trainings of {slots}", flush=True)  # fmt: skip
            for name in given.only:
                if slots > 1 and isinstance(STRATEGIES[name](next(iter(found.values())), 0, slots), Pruned):
                    continue
                all_ = np.array([
                    [regrets(t, STRATEGIES[name], slots, seed) for seed in range(given.seeds)] for t in found.values()
                ])  # fmt: skip
                by_task = all_.mean(axis=1)
                told = zip(by_task.mean(axis=0), by_task.std(axis=0, ddof=1) / len(found) ** 0.5, strict=True)
                print(f"| {name} | " + " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in told) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
