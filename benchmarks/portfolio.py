"""The bundled portfolio: learned from HPOBench's tables, and judged on each table by what the others taught.

    python benchmarks/portfolio.py [--write] [--size 8] [--seeds 200]

Greedy: each next configuration lowers most the mean over tables of the normalised regret of the best so far, (mean of
the best - best known) / (median random - best known). Leaving one table out at a time, the regret after the portfolio's
trainings is printed beside that of random ones; trainings show one repetition each, so that choosing is noisy.
`--write` writes hpo/portfolio/mlp.json, learned from all tables.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "search")]

from tables import Grid, tables  # noqa: E402

from hpo.seeds import derive  # noqa: E402

Floats = "np.ndarray[Any, Any]"
RANDOM = (8, 16, 32, 64)


def regrets(table: Grid) -> "Floats":
    """(configurations,), of the mean over repetitions."""
    return ((table.mean - table.best) / (table.median - table.best)).ravel()


def learned(all_: "Floats", size: int) -> list[int]:
    """Greedily chosen columns of (tables, configurations)."""
    best, chosen = np.full(len(all_), np.inf), []
    for _ in range(size):
        chosen.append(int(np.argmin(np.minimum(best[:, None], all_).mean(axis=0))))
        best = np.minimum(best, all_[:, chosen[-1]])
    return chosen


def after(table: Grid, chosen: Sequence[int], random: np.random.Generator) -> float:
    """Regret of the configuration that looks best when each is trained once."""
    values = table.values.reshape(-1, table.values.shape[-1])[np.asarray(chosen)]
    seen = values[np.arange(len(values)), random.integers(values.shape[-1], size=len(values))]
    best = int(np.argmin(seen if table.direction == "minimize" else -seen))
    return float(regrets(table)[chosen[best]])


def product(table: Grid, column: int) -> dict[str, float | int | str]:
    """A configuration of HPOBench in the names and forms of the model `mlp`."""
    at = np.unravel_index(column, table.mean.shape)
    own = {name: values[k] for (name, values), k in zip(table.axes.items(), at, strict=True)}
    return {
        "hidden_layers": int(own["depth"]), "units": int(own["width"]), "activation": "relu", "optimizer": "adam",
        "learning_rate": float(own["learning_rate_init"]), "batch_size": int(own["batch_size"]),
        # scikit-learn adds alpha / 2 times the squares to the sum of a batch's losses, Keras l2 times to their mean
        "l2": float(f"{own['alpha'] / (2 * own['batch_size']):.6g}"),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=200)
    given = parser.parse_args()
    found: dict[str, Any] = tables("hpobench")
    all_ = np.stack([regrets(t) for t in found.values()])
    print("| left out | portfolio | " + " | ".join(f"{n} random" for n in RANDOM) + " |")
    print("|---|" + "---|" * (1 + len(RANDOM)))
    lines = []
    for k, (name, table) in enumerate(found.items()):
        chosen = learned(np.delete(all_, k, axis=0), given.size)
        streams = [np.random.default_rng(derive("portfolio", name, seed)) for seed in range(given.seeds)]
        line = [float(np.mean([after(table, chosen, s) for s in streams]))]
        for n in RANDOM:
            line.append(float(np.mean([after(table, s.integers(all_.shape[1], size=n), s) for s in streams])))
        lines.append(line)
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in line) + " |")
    mean, error = np.mean(lines, axis=0), np.std(lines, axis=0, ddof=1) / len(lines) ** 0.5
    print("| mean | " + " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)) + " |")
    chosen = learned(all_, given.size)
    configurations = [product(next(iter(found.values())), column) for column in chosen]
    print("\n" + "\n".join(json.dumps(c) for c in configurations))
    if given.write:
        text = {"learned_from": sorted(found), "by": "benchmarks/portfolio.py", "configurations": configurations}
        (ROOT / "hpo" / "portfolio" / "mlp.json").write_text(json.dumps(text, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
