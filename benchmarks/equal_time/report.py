"""The finished runs as a Markdown table."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.peers.report import table
from hpo.metrics import METRICS

Run = Mapping[str, Any]
STAGES = ("data", "baseline", "overfit", "regularize", "tune", "squeeze")
OURS = "ours"
NAMES = {
    OURS: "ours", "keras_tuner": "KerasTuner Hyperband", "optuna": "Optuna TPE, `model.fit`",
    "boosting": "scikit-learn boosting",
}  # fmt: skip
_HEAD = ("set", "contender", "s asked", "s taken", "seeds", "models tried", "validation", "test",
         "validation after {0:g} s", "reaches ours of {0:g} s")  # fmt: skip


def document(runs: Sequence[Run], short: float) -> str:
    """A row a set, contender and time; ours within the short time first. Scores are means over seeds ± their error."""
    lines = []
    for name in dict.fromkeys(r["set"] for r in runs):
        of_set = [r for r in runs if r["set"] == name]
        goals = {
            r["seed"]: r["validation"]
            for r in of_set
            if r["contender"] == OURS and r["seconds"] == short and r["validation"] is not None
        }
        keys = sorted({(list(NAMES).index(r["contender"]), r["seconds"], r["contender"]) for r in of_set})
        for _, seconds, contender in keys:
            these = [r for r in of_set if r["contender"] == contender and r["seconds"] == seconds]
            lines.append((f"{name}, {these[0]['metric']}", *_row(these, seconds, goals, short)))
    head = [cell.format(short) for cell in _HEAD]
    parts = [
        table(head, lines, numbers=2),
        _versions(runs),
        "Where the time of ours goes, seconds by stage:",
        _stages(runs),
    ]
    return "\n\n".join(parts) + "\n"


def _row(these: Sequence[Run], seconds: float, goals: Mapping[int, float], short: float) -> tuple[object, ...]:
    contender, better = these[0]["contender"], METRICS[these[0]["metric"]].better
    reached = [_reached(r["curve"], goals[r["seed"]], better) for r in these if r["seed"] in goals]
    early = [at(r["curve"], short) for r in these]
    return (
        NAMES[contender], f"{seconds:g}", f"{statistics.fmean(r['taken'] for r in these):.0f}", len(these),
        f"{statistics.fmean(r['trials'] for r in these):.0f}", mean(r["validation"] for r in these),
        mean(r["test"] for r in these), "" if contender == OURS else mean(early),
        "" if contender == OURS else _told(reached, seconds),
    )  # fmt: skip


def _stages(runs: Sequence[Run]) -> str:
    """Seconds from the start of `hpo run` to its first stage, of each stage, and from the last one to the end."""
    head = ("set", "seed", "s asked", "before", *STAGES, "after", "s taken")
    lines = []
    for r in sorted((r for r in runs if r["contender"] == OURS), key=lambda r: (r["set"], r["seconds"], r["seed"])):
        cells, last = dict.fromkeys(STAGES, 0.0), r["taken"]
        begun = r["notes"]["stages"]
        for stage, (start, end) in begun.items():
            cells[stage.partition(".")[0]] += (r["taken"] if end is None else end) - start
            last = end
        before = next(iter(begun.values()))[0] if begun else r["taken"]
        after = "stopped" if last is None else f"{r['taken'] - last:.1f}"
        told = [f"{v:.1f}" if v else "" for v in cells.values()]
        lines.append((r["set"], r["seed"], f"{r['seconds']:g}", f"{before:.1f}", *told, after, f"{r['taken']:.0f}"))
    return table(head, lines, numbers=1)


def at(curve: Iterable[Sequence[float]], moment: float) -> float:
    """The best so far at a moment; NaN before there is one."""
    return next((v for t, v in reversed(list(curve)) if t <= moment), math.nan)


def _reached(curve: Iterable[Sequence[float]], goal: float, better: Any) -> float:
    return next((t for t, v in curve if v == goal or better(v, goal)), math.inf)


def _told(reached: Sequence[float], seconds: float) -> str:
    """Seconds by seed, in order."""
    return ", ".join(f"{t:.0f} s" if math.isfinite(t) else f"never in {seconds:g} s" for t in sorted(reached))


def mean(values: Iterable[float | None]) -> str:
    """With its standard error over seeds where there are several; a dash where a seed has none."""
    found = [math.nan if v is None else v for v in values]
    centre = statistics.fmean(found)
    if math.isnan(centre):
        return "-"
    digits = 4 if abs(centre) < 100 else 0
    if len(found) < 2:
        return f"{centre:.{digits}f}"
    return f"{centre:.{digits}f} ± {statistics.stdev(found) / len(found) ** 0.5:.{digits}f}"


def _versions(runs: Sequence[Run]) -> str:
    packages = {name: version for r in runs for name, version in r["versions"].items()}
    return ", ".join(f"{name} {packages[name]}" for name in sorted(packages)) + "."
