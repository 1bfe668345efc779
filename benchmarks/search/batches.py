"""Is search quality lost by refilling eight slots at once, and not one at a time?

Whole trainings, no clock: the regret after so many of them. Structure counts as any hyperparameter here, for what is
asked is the sampler's part alone.
"""

from dataclasses import replace

import numpy as np
from tables import Table, tables

from hpo.search.halving import SlotSearch
from hpo.space import Kind, SearchSpace

AFTER = (32, 64, 128)
TOGETHER = (1, 8)


def regrets(table: Table, together: int, seed: int) -> list[float]:
    """At `AFTER` trainings."""
    free = tuple(replace(h, kind=Kind.NUMBER) for h in table.space.hyperparameters)
    space = SearchSpace(table.space.model, free)
    slots = SlotSearch(
        space, direction=table.direction, rungs=(1,), sampler="tpe", seed=(seed, "batches"), slots=together
    )
    sign, curve = (1.0 if table.direction == "minimize" else -1.0), table.curve(seed)
    best, regret, found = np.inf, 1.0, []
    for first in range(0, AFTER[-1], together):
        for p in slots.begin(range(first, first + together)):
            value = curve(p.configuration)[-1]
            slots.end(p.number, value)
            if sign * value < best:
                best, regret = sign * value, table.regret(value, p.configuration)
        if first + together in AFTER:
            found.append(regret)
    return found


def main(seeds: int) -> int:
    """Print means over tables and seeds, and the difference with its error over tables."""
    print(f"regret after {', '.join(map(str, AFTER))} trainings, {seeds} seeds")
    print("| tables | one at a time | eight at a time | difference |\n|---|---|---|---|")
    rows = []
    for family in ("taskset", "hpobench", "hpolib"):
        found = tables(family)
        here = np.array([
            [np.mean([regrets(t, k, s) for s in range(seeds)], axis=0) for k in TOGETHER] for t in found.values()
        ])  # fmt: skip
        rows.append(here)
        print(_line(f"{family} ({len(found)})", here), flush=True)
    print(_line("all", np.concatenate(rows)))
    return 0


def _line(label: str, here: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    away = here[:, 1] - here[:, 0]
    error = away.std(axis=0, ddof=1) / len(away) ** 0.5
    sides = [", ".join(f"{x:.3f}" for x in here[:, k].mean(axis=0)) for k in (0, 1)]
    differences = ", ".join(f"{m:+.3f} ± {e:.3f}" for m, e in zip(away.mean(axis=0), error, strict=True))
    return f"| {label} | {sides[0]} | {sides[1]} | {differences} |"
