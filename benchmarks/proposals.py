"""Cost and quality of proposals in cohorts of 32: ours, without and with a bound on structures, and plain Optuna's TPE.

Time: processor ms a trial with 100, 1,000 and 10,000 trials known (ten hyperparameters), plain TPE in memory beside it.
Quality: on tables of finished trainings (HPO_BENCHMARK_DIR, or ../shared/benchmarks), the regret of the incumbent,
(its mean - best) / (median - best), after 64, 128 and 256 trials; trials see one repetition, so choosing is noisy.
Paired Wilcoxon signed-rank test over tables and seeds against ours without a bound; then the same by a clock that
charges each new structure its compilation.

    python benchmarks/proposals.py [--quick] [--seeds 20] [--plain-seeds 3] [--trials 256] [--only hpobench,hpolib]

`16,8,4,2` is a bound of 16 structures in the first cohort, 8 in the second, and so on; the last one stays.
"""

import argparse
import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from scipy.stats import wilcoxon

from hpo.search import PastTrial, Search
from hpo.search.distributions import draw
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, Range, SearchSpace
from hpo.values import Configuration, Scalar

COHORT, STARTUP, COMPILE = 32, 10, 2.5
STRUCTURAL = ("batch_size", "depth", "width", "n_units_1", "n_units_2")
DIRECTORY = (
    Path(os.environ.get("HPO_BENCHMARK_DIR", Path(__file__).parents[2] / "shared" / "benchmarks")) / "hpo_tables"
)
Bounds = tuple[int, ...] | None
Trial = tuple[Configuration, float]


class Laddered(SearchSpace):
    """Widths and batch sizes count by the next power of two, as padded ones do."""

    def structure(self, configuration: Configuration) -> dict[str, Scalar]:
        return {
            h.name: 2 ** math.ceil(math.log2(float(configuration[h.name])))
            if isinstance(h.range, IntRange) and h.range.log
            else configuration[h.name]
            for h in self.hyperparameters
            if h.kind is Kind.STRUCTURE
        }


def hyperparameter(name: str, range_: Range) -> Hyperparameter:
    default = range_.values[0] if isinstance(range_, Choice) else range_.low  # type: ignore[union-attr]
    return Hyperparameter(name, "any", Kind.STRUCTURE if name in STRUCTURAL else Kind.NUMBER, range_, default)


class Table:
    """Results by configuration; a configuration takes those of the nearest one that the table has."""

    direction: Literal["minimize", "maximize"]
    space: SearchSpace
    costs: "np.ndarray[Any, Any]"
    """(..., repetitions): less is better; NaN: diverged."""

    def at(self, configuration: Configuration) -> tuple[int, ...]:
        raise NotImplementedError

    def settle(self) -> None:
        self.mean = self.costs.mean(axis=-1)
        ended = self.mean[np.isfinite(self.mean)]
        self.best, self.median = float(ended.min()), float(np.median(ended))

    def objective(self, configuration: Configuration, number: int, seed: int) -> float:
        at = self.at(configuration)
        drawn = hashlib.blake2b(repr((at, number, seed)).encode(), digest_size=4).digest()
        cost = self.costs[at][int.from_bytes(drawn, "big") % self.costs.shape[-1]]
        return float(cost if self.direction == "minimize" else -cost)

    def regret(self, configuration: Configuration) -> float:
        return (float(self.mean[self.at(configuration)]) - self.best) / (self.median - self.best)


class Grid(Table):
    """hpobench and hpolib: every combination of a few values."""

    def __init__(self, name: str) -> None:
        facts = json.loads((DIRECTORY / "spaces.json").read_text())[name]
        self.axes: dict[str, list[Any]] = facts["space"]
        self.direction = facts["direction"]
        values = np.load(DIRECTORY / f"{name}.npz")["values"].astype(float)
        self.costs = values if self.direction == "minimize" else -values
        self.space = Laddered("a:table", tuple(hyperparameter(k, self._range(k, v)) for k, v in self.axes.items()))
        self.settle()

    @staticmethod
    def _range(name: str, values: list[Any]) -> Range:
        if isinstance(values[0], str):
            return Choice(tuple(values))
        if name in STRUCTURAL:
            return IntRange(values[0], values[-1], log=values[-1] > 10)
        return FloatRange(float(values[0]), float(values[-1]), log=values[0] > 0)

    def at(self, configuration: Configuration) -> tuple[int, ...]:
        found = []
        for h in self.space.hyperparameters:
            values, value = self.axes[h.name], configuration[h.name]
            if isinstance(h.range, Choice):
                found.append(values.index(value))
            else:
                scale = np.log if h.range.log else np.asarray  # type: ignore[union-attr]
                found.append(int(np.argmin(np.abs(scale(np.array(values, dtype=float)) - scale(float(value))))))
        return tuple(found)


class Points(Table):
    """taskset: a thousand configurations, some of which diverge; the last validation loss."""

    direction = "minimize"

    def __init__(self, name: str) -> None:
        file = np.load(DIRECTORY / f"{name}.npz")
        names = json.loads((DIRECTORY / "taskset.json").read_text())["hp_names"]
        points = file["hp"]
        self.costs = file["valid"][:, -1:].astype(float)
        low, high = points.min(axis=0), points.max(axis=0)
        logs = [
            bool(a > 0 and b / a > 50 and not n.startswith("beta")) for n, a, b in zip(names, low, high, strict=True)
        ]
        self.space = SearchSpace(
            "a:table",
            tuple(
                hyperparameter(n, FloatRange(float(a), float(b), log))
                for n, a, b, log in zip(names, low, high, logs, strict=True)
            ),
        )
        self.points = self._scaled(points)
        self.settle()

    def _scaled(self, points: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        columns = []
        for c, h in enumerate(self.space.hyperparameters):
            scale = np.log if h.range.log else np.asarray  # type: ignore[union-attr]
            low, high = scale(h.range.low), scale(h.range.high)  # type: ignore[union-attr]
            columns.append((scale(points[..., c]) - low) / (high - low))
        return np.stack(columns, axis=-1)

    def at(self, configuration: Configuration) -> tuple[int, ...]:
        here = self._scaled(np.array([configuration[n] for n in self.space.names], dtype=float))
        return (int(np.argmin(((self.points - here) ** 2).sum(axis=1))),)


def plain(table: Table, seed: int, trials: int) -> Iterator[Trial]:
    """Stock Optuna's TPE as it comes (multivariate, constant liar), in batches; diverged trials told as pruned."""
    study = plain_study(seed, table.direction)
    for first in range(0, trials, COHORT):
        batch = []
        for _ in range(COHORT):
            trial = study.ask()
            draw(table.space, trial)
            batch.append((trial, table.space.complete(trial.params)))
        for number, (trial, configuration) in enumerate(batch, first):
            value = table.objective(configuration, number, seed)
            ended = math.isfinite(value)
            study.tell(trial, value if ended else None, state=None if ended else optuna.trial.TrialState.PRUNED)
            yield configuration, value


def plain_study(seed: int, direction: str) -> optuna.Study:
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
    return optuna.create_study(direction=direction, sampler=sampler)


def ours(table: Table, seed: int, trials: int, bounds: Bounds, sampler: str = "tpe") -> Iterator[Trial]:
    """Our search; what was compiled stays open."""
    search = Search(table.space, direction=table.direction, sampler=sampler, seed=(seed, "table"), startup=STARTUP)
    open_: dict[str, Configuration] = {}
    for cohort, first in enumerate(range(0, trials, COHORT)):
        bound = None if bounds is None else bounds[min(cohort, len(bounds) - 1)]
        batch = search.ask(range(first, first + COHORT), structures=bound, open_=tuple(open_.values()))
        for p in batch:
            if bounds is not None:
                open_.setdefault(repr(table.space.structure(p.configuration)), p.configuration)
            value = table.objective(p.configuration, p.number, seed)
            search.tell(p.number, value if math.isfinite(value) else None, diverged=not math.isfinite(value))
            yield p.configuration, value


def curve(table: Table, trials: Iterator[Trial]) -> tuple[list[float], list[int]]:
    """After each cohort: the incumbent's regret, and how many structures there were until then."""
    best, regret, regrets, counts = math.inf, 1.0, [], []
    structures: set[str] = set()
    for n, (configuration, value) in enumerate(trials, 1):
        cost = value if table.direction == "minimize" else -value
        if math.isfinite(cost) and cost < best:
            best, regret = cost, table.regret(configuration)
        structures.add(repr(table.space.structure(configuration)))
        if n % COHORT == 0:
            regrets.append(regret)
            counts.append(len(structures))
    return regrets, counts


# --- time


TIMED = SearchSpace(
    "a:timed",
    tuple(
        hyperparameter(name, range_)
        for name, range_ in {
            "learning_rate": FloatRange(1e-5, 1.0, log=True),
            "l2": FloatRange(1e-8, 1.0, log=True),
            "dropout": FloatRange(0.0, 0.5),
            "momentum": FloatRange(0.5, 0.99),
            "weight_decay": FloatRange(1e-6, 0.1, log=True),
            "width": IntRange(16, 1024, log=True),
            "depth": IntRange(1, 4),
            "batch_size": IntRange(4, 256, log=True),
            "activation": Choice(("relu", "tanh", "elu", "swish")),
            "optimizer": Choice(("sgd", "adam", "rmsprop")),
        }.items()
    ),
)


def timed_objective(configuration: Configuration) -> float:
    return abs(math.log10(float(configuration["learning_rate"])) + 2) + float(configuration["dropout"])


def times(counts: Sequence[int]) -> None:
    print("processor ms a trial; plain TPE: 8 proposals a count, the sides in turn")
    print(
        f"{'known':>7} {'ask':>7} {'4 structures':>13} {'plain ask':>10} {'tell':>7} {'rebuild':>8} {'plain add':>10}"
    )
    drawn = Search(TIMED, direction="minimize", sampler="random", seed=(0,), startup=0).ask(range(max(counts)))
    for count in counts:
        past = [
            PastTrial(p.number, p.configuration, timed_objective(p.configuration), "complete") for p in drawn[:count]
        ]
        study = plain_study(0, "minimize")
        added = -time.process_time()
        for p in drawn[:count]:
            params = {param.name: p.configuration[param.name] for param in p.params}
            over = {param.name: optuna.distributions.json_to_distribution(param.distribution) for param in p.params}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=over, value=timed_objective(p.configuration))
            )
        added += time.process_time()
        taken: dict[str, list[float]] = {"rebuild": [], "free": [], "bound": [], "tell": [], "plain": []}
        for _ in range(4):
            searches = []
            for _ in range(2):
                start = time.process_time()
                searches.append(
                    Search(TIMED, direction="minimize", sampler="tpe", seed=(1,), startup=STARTUP, history=past)
                )
                taken["rebuild"].append((time.process_time() - start) / count)
            numbers = range(count, count + COHORT)
            start = time.process_time()
            searches[0].ask(numbers)
            taken["free"].append((time.process_time() - start) / COHORT)
            start = time.process_time()
            searches[1].ask(numbers, structures=4)
            taken["bound"].append((time.process_time() - start) / COHORT)
            start = time.process_time()
            for number in numbers:
                searches[0].tell(number, 1.0)
            taken["tell"].append((time.process_time() - start) / COHORT)
            start = time.process_time()
            for _ in range(2):
                draw(TIMED, study.ask())
            taken["plain"].append((time.process_time() - start) / 2)
        ms = {key: 1e3 * float(np.median(values)) for key, values in taken.items()}
        print(
            f"{count:>7} {ms['free']:>7.2f} {ms['bound']:>13.2f} {ms['plain']:>10.1f} {ms['tell']:>7.3f} "
            f"{ms['rebuild']:>8.3f} {1e3 * added / count:>10.3f}"
        )


# --- quality


Curves = Mapping[tuple[str, int], tuple[list[float], list[int]]]


def quality(names: Sequence[str], seeds: int, plain_seeds: int, trials: int, bounds: Sequence[Bounds]) -> None:
    tables = {name: Points(name) if name.startswith("taskset") else Grid(name) for name in names}
    pairs = [(name, seed) for seed in range(seeds) for name in names]
    found: dict[str, Curves] = {}
    for bound in bounds:
        label = "no bound" if bound is None else ",".join(map(str, bound))
        found[label] = {
            (n, s): curve(tables[n], ours(tables[n], s, trials, bound))
            for n, s in pairs
            if bound is None or not n.startswith("taskset")  # which have no structure to bound
        }
        report(label, found, trials)
    found["random"] = {(n, s): curve(tables[n], ours(tables[n], s, trials, None, "random")) for n, s in pairs}
    report("random", found, trials)
    found["plain TPE"] = {(n, s): curve(tables[n], plain(tables[n], s, trials)) for n, s in pairs if s < plain_seeds}
    if plain_seeds:
        report("plain TPE", found, trials)
    clock({label: curves for label, curves in found.items() if curves})


def report(label: str, found: Mapping[str, Curves], trials: int) -> None:
    """A line for each family and number of trials."""
    base = found["no bound"]
    for family in ("hpobench", "hpolib", "taskset", ""):
        pairs = [pair for pair in found[label] if pair[0].startswith(family)]
        for n in (n for n in (64, 128, 256, 512, 1024) if n <= trials and pairs):
            here = np.array([found[label][pair][0][n // COHORT - 1] for pair in pairs])
            there = np.array([base[pair][0][n // COHORT - 1] for pair in pairs])
            count = np.mean([found[label][pair][1][n // COHORT - 1] for pair in pairs])
            print(
                f"{label:>10} {family or 'all':>9} {len(pairs):>4} pairs {n:>5} trials: regret {here.mean():.4f} "
                f"(geometric {geometric(here):.4f}), {count:5.1f} structures{against(here, there)}",
                flush=True,
            )


def against(here: "np.ndarray[Any, Any]", there: "np.ndarray[Any, Any]") -> str:
    if np.array_equal(here, there):
        return ""
    better, worse = np.mean(here < there), np.mean(here > there)
    return f"; better {better:.0%}, worse {worse:.0%}, p = {wilcoxon(here, there).pvalue:.3g}"


def geometric(regrets: "np.ndarray[Any, Any]") -> float:
    return float(np.exp(np.log(regrets + 1e-3).mean()) - 1e-3)


def clock(found: Mapping[str, Curves]) -> None:
    print(f"\ngeometric mean regret by a clock: {COMPILE} s a new structure, and seconds for each run; grids only")
    for run in (0.03, 0.1, 0.3, 1.0):
        for budget in (30, 60, 120, 300):
            line = []
            for label, curves in found.items():
                at = [_at(curves[pair], run, budget) for pair in curves if not pair[0].startswith("taskset")]
                full = bool(at) and max(k for _, k in at) == len(next(iter(curves.values()))[0])
                line.append(f"{label} {geometric(np.array([r for r, _ in at])):.4f}{'*' if full else ''}" if at else "")
            print(f"{run:>5} s a run, {budget:>4} s: " + " | ".join(line))
    print("*: some had used all their trials before the time was up")


def _at(curve_: tuple[list[float], list[int]], run: float, budget: float) -> tuple[float, int]:
    """The regret when the time is up (1, the median's, before the first cohort has ended), and the cohorts by then."""
    k = sum(COMPILE * count + run * COHORT * n <= budget for n, count in enumerate(curve_[1], 1))
    return (curve_[0][k - 1] if k else 1.0), k


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: three tables, one seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--plain-seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--only", default="")
    parser.add_argument("--bounds", default="4 3 2 8 16,8,4,2 8,4,2")
    parser.add_argument("--no-times", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not given.no_times:
        times((100, 1000) if given.quick else (100, 1000, 10_000))
    names = sorted(p.stem for p in DIRECTORY.glob("*.npz") if p.stem.startswith(tuple(given.only.split(","))))
    bounds: list[Bounds] = [None, *(tuple(map(int, b.split(","))) for b in given.bounds.split())]
    if given.quick:
        names, given.seeds, given.plain_seeds, given.trials = names[:1] + names[8:9] + names[-1:], 1, 1, 64
    print()
    quality(names, given.seeds, given.plain_seeds, given.trials, bounds)


if __name__ == "__main__":
    main()
