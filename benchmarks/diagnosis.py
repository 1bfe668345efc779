"""Planted faults: how often a training's diagnosis is the right one, and how often a healthy one is given a name.

    python benchmarks/diagnosis.py [--data-dir DIR] [--output FILE]

Each fault is a configuration (and a number of training rows) that is known to ail in one way, at several strengths, on
each data set; `ACCEPTED` states the names that count as right. Thresholds of `hpo.recipe.diagnosis` are chosen on the
data sets in `DEVELOPED`; the others are only scored. Noise, prior and reference come from the baselines and five seeds
of a small network, as the baseline stage has them. Healthy trainings are planted where that network is level with the
best baseline: elsewhere it is not healthy, but behind. Prints the confusion table with Wilson's 95 % intervals.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hpo.data import load
from hpo.metrics import METRICS
from hpo.recipe.diagnosis import Scale, diagnose
from hpo.recipe.noise import row_losses
from hpo.space import SearchSpace
from hpo.studyfile import load_space, load_study
from hpo.training.baselines import fit
from hpo.training.engine import open_session
from hpo.values import Configuration, Fold, Outcome, RunRequest, RunResult, TaskFacts

DEVELOPED = ("digits", "wine_quality", "diabetes", "churn")
SCORED = ("breast_cancer", "wine", "letter", "california_housing")
ROWS = 1500
"""Training and validation rows at most."""
TABLE: dict[str, Any] = {
    "model": "mlp",
    "architecture": {
        "hidden_layers": {"int": [1, 10], "default": 2}, "units": {"int": [1, 256], "default": 64},
        "activation": {"choice": ["relu", "sigmoid", "tanh"]},
        "initializer": {"choice": ["match", "constant", "zeros", "normal_1.0", "normal_0.01", "xavier_normal"]},
    },
    "optimizer": {
        "name": {"choice": ["adam", "sgd", "nesterov"]},
        "learning_rate": {"float": [1e-8, 1e4], "log": True, "default": 2e-3}, "batch_size": 32,
    },
    "regularization": {
        "l2": {"float": [0.0, 100.0], "default": 0.0}, "dropout": {"float": [0.0, 0.9], "default": 0.0},
        "early_stopping": {"int": [0, 100], "default": 0},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """A fault, or `healthy`, at one strength."""

    fault: str
    changes: dict[str, Any]
    epochs: int = 20
    rows: int | None = None
    seed: int = 0


ACCEPTED: dict[str, tuple[str, ...]] = {
    "symmetric": ("symmetric",),
    "rate too high": ("diverged", "exploding gradient", "dead units", "oscillating", "saturated"),
    "rate too low": ("too slow", "still improving"),
    "too few epochs": ("still improving", "too slow"),
    "vanishing": ("vanishing gradient",),
    "exploding": ("exploding gradient", "diverged"),
    "saturated": ("saturated",),
    "overfit": ("overfit",),
    "underfit": ("underfit",),
    "healthy": ("healthy",),
}


def planted(seed: int) -> Iterator[Planted]:
    """Everything that is planted on one data set."""
    for layers in (2, 3):
        for activation in ("tanh", "sigmoid"):
            changes = {"initializer": "constant", "activation": activation, "hidden_layers": layers}
            yield Planted("symmetric", changes, seed=seed)
    for rate in (3.0, 10.0, 30.0, 100.0):
        yield Planted("rate too high", {"optimizer": "nesterov", "learning_rate": rate}, seed=seed)
    for rate in (1e-7, 1e-6, 3e-6, 1e-5):
        yield Planted("rate too low", {"learning_rate": rate}, seed=seed)
    for rate in (1e-3, 3e-3):
        yield Planted("too few epochs", {"optimizer": "sgd", "learning_rate": rate}, epochs=5, seed=seed)
    for initializer in ("match", "normal_0.01"):
        for rate in (3e-4, 1e-3):
            changes = {"hidden_layers": 10, "activation": "sigmoid", "initializer": initializer, "learning_rate": rate}
            yield Planted("vanishing", changes, seed=seed)
    for rate in (1e-3, 1e-2, 0.1):
        changes = {"hidden_layers": 10, "initializer": "normal_1.0", "optimizer": "sgd", "learning_rate": rate}
        yield Planted("exploding", changes, seed=seed)
    for layers in (2, 3):
        for rate in (1e-5, 1e-4):
            changes = {"hidden_layers": layers, "units": 256, "activation": "tanh", "initializer": "normal_1.0"}
            yield Planted("saturated", {**changes, "learning_rate": rate, "optimizer": "adam"}, epochs=10, seed=seed)
    for rows in (40, 80):
        yield Planted("overfit", {"units": 256}, epochs=60, rows=rows, seed=seed)
    for l2 in (1.0, 3.0, 10.0):
        yield Planted("underfit", {"l2": l2}, seed=seed)
    for n in range(17):
        changes = {"units": 16, "l2": 3e-3, "dropout": 0.2, "early_stopping": 6}
        changes["learning_rate"] = (1e-3, 2e-3, 3e-3)[n % 3]
        yield Planted("healthy", changes, epochs=60, seed=seed + n)


class Bench:
    """One data set with its scale."""

    def __init__(self, name: str, data_dir: str | None) -> None:
        spec = load_study(name)
        data = load(spec.data, seed=0, metric=spec.metric, base=spec.base, data_dir=data_dir)
        self.facts: TaskFacts = data.facts
        self.metric = METRICS[data.metric]
        whole = data.fold(0)
        self.fold = replace(
            whole, x_train=whole.x_train[:ROWS], y_train=whole.y_train[:ROWS], x_valid=whole.x_valid[:ROWS],
            y_valid=whole.y_valid[:ROWS],
        )  # fmt: skip
        self.space: SearchSpace = load_space(TABLE)
        seeds = [Planted("", {"early_stopping": 6, "learning_rate": 1e-3}, epochs=60, seed=100 + i) for i in range(5)]
        small = [result.validation_loss for _, result in self.train(seeds)]
        losses = {}
        for kind in ("prior", "linear", "boosted_trees"):
            predictor = fit(kind, data.facts, *data.encoded_train(0), 0)  # type: ignore[arg-type]
            x, y = data.encoded_valid(0)
            losses[kind] = row_losses(data.facts.task, y, predictor.predict(x), whole.target_scale)
        rows = float(losses["linear"].std() / sqrt(len(losses["linear"])))
        means = {kind: float(values.mean()) for kind, values in losses.items()}
        noise = sqrt(float(np.var(small, ddof=1)) + rows**2)
        network = float(np.mean(small))
        self.scale = Scale(noise, means["prior"], min(means["linear"], means["boosted_trees"], network))
        self.level = network <= self.scale.reference + 2 * noise

    def train(self, wanted: list[Planted]) -> Iterator[tuple[Planted, RunResult]]:
        """Those of one structure and number of rows together."""
        groups: defaultdict[str, list[tuple[Planted, Configuration]]] = defaultdict(list)
        for one in wanted:
            configuration = {**self.space.default(), **one.changes}
            groups[f"{self.space.structure(configuration)} {one.rows}"].append((one, configuration))
        for group in groups.values():
            session = open_session(
                space=self.space, structure=group[0][1], facts=self.facts, folds=[self._part(group[0][0].rows)],
                metric=self.metric, slots=len(group), engine="compiled",
            )  # fmt: skip
            for slot, (one, configuration) in enumerate(group):
                session.put(slot, RunRequest(configuration, one.seed, 0, one.epochs))
            session.advance(max(one.epochs for one, _ in group))
            yield from ((one, session.result(slot)) for slot, (one, _) in enumerate(group))
            session.close()

    def name_of(self, result: RunResult) -> str:
        """The diagnosis."""
        return diagnose(
            result.curve, result.health, diverged=result.outcome is Outcome.DIVERGED,
            training_loss=result.training_loss, validation_loss=result.validation_loss, scale=self.scale,
        ).name  # fmt: skip

    def _part(self, rows: int | None) -> Fold:
        if rows is None:
            return self.fold
        return replace(self.fold, x_train=self.fold.x_train[:rows], y_train=self.fold.y_train[:rows])


def interval(hits: int, count: int) -> str:
    """A share with Wilson's interval."""
    if not count:
        return "none"
    p, z = hits / count, 1.96
    centre, half = (p + z * z / (2 * count)), z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    low, high = (centre - half) / (1 + z * z / count), (centre + half) / (1 + z * z / count)
    return f"{hits} of {count}, {p:.1%} [{low:.1%}, {high:.1%}]"


def summary(title: str, found: list[tuple[str, str]]) -> list[str]:
    """Shares, and a row of names for each fault."""
    faults = [(f, n) for f, n in found if f != "healthy"]
    well = [n for f, n in found if f == "healthy"]
    right = sum(n in ACCEPTED[f] for f, n in faults)
    lines = [
        f"### {title}", "", f"Faults named right: {interval(right, len(faults))}. Healthy trainings given another "
        f"name: {interval(sum(n != 'healthy' for n in well), len(well))}.", "", "| planted | named |", "|---|---|",
    ]  # fmt: skip
    for fault in ACCEPTED:
        counts = Counter(n for f, n in found if f == fault)
        if counts:
            told = ", ".join(f"{n}{'' if n in ACCEPTED[fault] else ' (wrong)'} {c}" for n, c in counts.most_common())
            lines.append(f"| {fault} | {told} |")
    return [*lines, ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", help="of the studies whose data is not scikit-learn's")
    parser.add_argument("--sets", nargs="+", default=[*DEVELOPED, *SCORED])
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found: dict[str, list[tuple[str, str]]] = {}
    for number, name in enumerate(given.sets):
        bench = Bench(name, given.data_dir)
        results = bench.train([p for p in planted(1000 * number) if p.fault != "healthy" or bench.level])
        found[name] = [(one.fault, bench.name_of(result)) for one, result in results]
        print("\n".join(summary(name, found[name])), flush=True)
    parts = {"Developed on": DEVELOPED, "Only scored": SCORED}
    lines = [
        line for title, names in parts.items()
        for line in summary(f"{title}: {', '.join(names)}", [p for n in names for p in found.get(n, [])])
    ]  # fmt: skip
    text = "\n".join(lines)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
