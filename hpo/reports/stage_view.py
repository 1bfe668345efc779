"""What the page shows of one stage: plain values for the template."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.numbers import MISSING, duration, number, present
from hpo.recipe.stages import BY_NAME
from hpo.reports import pictures
from hpo.reports.text import trials_line
from hpo.space import Choice, Fixed, FloatRange, IntRange, Range, SearchSpace

MOST_CURVES = 6
MOST_SCATTERS = 6

MOST_INTERACTIONS = 5

_SHARE = "sensitivity_"
_VISIBLE = 0.005

_ROUNDING = 1e-12
"""A gain below it is none: sums taken in another order differ as much."""

_SHOWN_ELSEWHERE = ("chosen_trial", "best_trial", "best_value", "trials")

Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """An image for the page with what it shows in words."""

    source: str
    """A data URI."""
    alt: str


@dataclass(frozen=True)
class CurveView:
    """A trial's loss curves with their diagnosis."""

    title: str
    diagnosis: str
    sentence: str
    picture: Picture


@dataclass(frozen=True)
class Searched:
    """What a stage searched in one hyperparameter, and what came of it."""

    name: str
    range: str
    best: str
    chosen: str


@dataclass(frozen=True)
class ShareView:
    """What a hyperparameter, or two together, explain: lengths in percent, and words."""

    name: str
    share: float
    low: float | None
    high: float | None
    """None where no interval is known: of a study judged by an earlier version."""
    told: str
    fixed: str = ""
    """The value at which the next stage holds it."""


@dataclass(frozen=True)
class StageView:
    """One stage of the page."""

    label: str
    question: str
    state: str
    decision: str
    verdict: str
    facts: tuple[tuple[str, str], ...]
    """The key figures: name and number."""
    shares: tuple["ShareView", ...]
    """Which hyperparameters mattered."""
    interactions: tuple["ShareView", ...]
    checks: tuple[Row, ...]
    diagnoses: tuple[tuple[str, int], ...]
    curves: tuple[CurveView, ...] = ()
    searched: tuple[Searched, ...] = ()
    scatters: tuple[Picture, ...] = field(default=())


@dataclass(frozen=True)
class StageMaterial:
    """What the records hold of one stage, row by row."""

    stage: Row
    trials: Sequence[Row]
    runs: Sequence[Row]
    epochs: Sequence[Row]
    figures: Sequence[Row]
    checks: Sequence[Row]
    params: Sequence[Row]
    importance: Sequence[Row]
    space: SearchSpace | None
    metric: str

    @property
    def objective(self) -> str:
        """What the trials are ranked by, with the metric's name."""
        return number(self.stage["objective"]).replace("metric", self.metric)


def stage_view(material: StageMaterial) -> StageView:
    """The stage's facts, checks, curves and searched values."""
    stage = material.stage
    known = BY_NAME.get(stage["name"])
    counts: dict[str, int] = {}
    for trial in material.trials:
        if present(trial["diagnosis"]):
            counts[trial["diagnosis"]] = counts.get(trial["diagnosis"], 0) + 1
    return StageView(
        label=stage["stage"],
        question=known.question if known is not None else "",
        state=number(stage["state"]),
        decision=number(stage["decision"]),
        verdict=number(stage["verdict"]),
        facts=_facts(material),
        shares=_shares(material),
        interactions=_interactions(material),
        checks=tuple(material.checks),
        diagnoses=tuple(sorted(counts.items(), key=lambda item: -item[1])),
        curves=tuple(_curve_views(material)),
        searched=tuple(_searched(material)),
        scatters=tuple(_scatters(material)),
    )


def picture(svg: str, alt: str) -> Picture:
    """The picture as part of the page itself."""
    return Picture("data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode(), alt)


def words(name: str) -> str:
    """`noise_metric` as `noise metric`."""
    return name.replace("_", " ")


def _facts(material: StageMaterial) -> tuple[tuple[str, str], ...]:
    stage = material.stage
    facts = []
    if present(stage["optuna_study"]):
        facts.append(("searched", trials_line(stage["trials"], stage["trials_planned"])))
    if present(stage["best_trial"]):
        facts.append((f"best {material.objective}", f"{number(stage['best_value'])} (trial {stage['best_trial']})"))
    if present(stage["chosen_trial"]):
        facts.append(("chosen", f"trial {stage['chosen_trial']} ({number(stage['chosen_value'])})"))
    facts.append(("time", duration(stage["seconds"])))
    facts += [
        (figure_name(f["name"]), figure_text(f["name"], f["value"])) for f in material.figures if _worth_a_line(f)
    ]
    return tuple(facts)


_FIGURE_NAMES = {
    "behind": "behind the best baseline", "passing": "trials below the gate", "gate": "gate (training loss)",
    "fresh_mean": "mean over fresh seeds", "reference_mean": "the reference's mean", "gain": "gain over the reference",
    "gain_needed": "gain that would be proof", "gap_before": "gap of the reference", "gap_after": "gap of the chosen",
    "look": "look at the test rows", "members": "members of the final model",
}  # fmt: skip


def figure_name(name: str) -> str:
    """A verdict's number in words."""
    if name.startswith("earns_"):
        return f"gain by more {words(name.removeprefix('earns_'))}"
    return _FIGURE_NAMES.get(name, words(name))


def figure_text(name: str, value: Any) -> str:
    """A verdict's number: shares in percent, truths as words."""
    if name == "gap_closed":
        return f"{value:.0%}"
    return number(bool(value)) if name == "gain_proved" else number(value, 3)


def _worth_a_line(figure: Row) -> bool:
    name, value = figure["name"], figure["value"]
    if name in _SHOWN_ELSEWHERE or name.startswith(_SHARE) or not present(value):
        return False
    return not (name.startswith("earns_") and abs(value) < _ROUNDING)


def _shares(material: StageMaterial) -> tuple[ShareView, ...]:
    found = [share_view(r["name"], r) for r in material.importance if not present(r["other"])]
    if found:
        return tuple(found)
    told = [f for f in material.figures if f["name"].startswith(_SHARE) and present(f["value"])]
    told.sort(key=lambda f: -float(f["value"]))
    return tuple(share_view(f["name"].removeprefix(_SHARE), {"share": f["value"]}) for f in told)


def _interactions(material: StageMaterial) -> tuple[ShareView, ...]:
    """Those that are more than nothing when rounded."""
    pairs = [r for r in material.importance if present(r["other"]) and r["share"] >= _VISIBLE]
    return tuple(share_view(f"{r['name']} and {r['other']}", r) for r in pairs[:MOST_INTERACTIONS])


def share_view(name: str, row: Row) -> ShareView:
    """A share of the importance table for the page."""
    share = float(row["share"])
    fixed = number(row["fixed"]) if present(row.get("fixed")) else ""
    if not (present(row.get("low")) and present(row.get("high"))):
        return ShareView(name, 100 * share, None, None, f"{share:.0%}", fixed)
    low, high = (100 * float(row[k]) for k in ("low", "high"))
    return ShareView(name, 100 * share, low, high, f"{share:.0%} [{low:.0f}, {high:.0f}]", fixed)


def _curve_views(material: StageMaterial) -> list[CurveView]:
    by_run: dict[int, list[Row]] = {}
    for epoch in material.epochs:
        by_run.setdefault(epoch["run"], []).append(epoch)
    views = []
    for trial, why in worth_showing(material):
        runs = [r for r in material.runs if r["trial"] == trial["number"] and r["run"] in by_run]
        first = [r for r in runs if r["purpose"] == runs[0]["purpose"]][:5]
        if not first:
            continue
        lines = [by_run[r["run"]] for r in first]
        kept = first[0]["best_epoch"]
        last = lines[0][-1]["epoch"]
        curves = pictures.Curves(
            tuple(tuple(e["epoch"] for e in line) for line in lines),
            tuple(tuple(_real(e["training_loss"]) for e in line) for line in lines),
            tuple(tuple(_real(e["validation_loss"]) for e in line) for line in lines),
            kept=int(kept) if len(lines) == 1 and present(kept) and kept != last else None,
        )
        title = f"Trial {trial['number']}" + (f", {why}" if why else "")
        diagnosis = trial["diagnosis"] if present(trial["diagnosis"]) else ""
        views.append(
            CurveView(title, diagnosis, trial["diagnosis_sentence"] if present(trial["diagnosis_sentence"]) else "",
                      picture(pictures.loss_curves(curves), f"Training and validation loss of trial {trial['number']}"))
        )  # fmt: skip
    return views


def worth_showing(material: StageMaterial) -> list[tuple[Row, str]]:
    """The chosen and the best trial, then for each diagnosis not seen yet its middle trial, then more of the others.

    With each trial why it is shown; empty for the last ones.
    """
    trained = {e["trial"] for e in material.epochs}
    trials = [t for t in material.trials if t["number"] in trained]
    shown: dict[int, tuple[Row, str]] = {}
    for trial in trials:
        marks = [word for word, flag in (("chosen", trial["chosen"]), ("best", trial["best"])) if flag is True]
        if marks:
            shown[trial["number"]] = (trial, " and ".join(marks))
    covered = {t["diagnosis"] for t, _ in shown.values()}
    groups: dict[str, list[Row]] = {}
    for trial in trials:
        if present(trial["diagnosis"]) and trial["diagnosis"] not in covered:
            groups.setdefault(trial["diagnosis"], []).append(trial)
    for group in groups.values():
        ranked = sorted(group, key=lambda t: (not present(t["value"]), t["value"] if present(t["value"]) else 0))
        middle = ranked[len(ranked) // 2]
        shown[middle["number"]] = (middle, "typical" if len(group) > 1 else "")
    for trial in trials:
        if len(shown) >= min(3, MOST_CURVES):
            break
        shown.setdefault(trial["number"], (trial, ""))
    return list(shown.values())[:MOST_CURVES]


def _searched(material: StageMaterial) -> list[Searched]:
    if material.space is None or not present(material.stage["best_trial"]):
        return []
    stage = material.stage
    values = {(p["trial"], p["name"]): p for p in material.params}

    def of(trial: Any, name: str) -> str:
        cell = values.get((trial, name)) if present(trial) else None
        # What was not varied did not matter to this trial: its condition was not met.
        return number(cell["value"]) if cell is not None and cell["varied"] is True else MISSING

    return [
        Searched(h.name, range_text(h.range), of(stage["best_trial"], h.name), of(stage["chosen_trial"], h.name))
        for h in material.space.varying
    ]


def range_text(range_: Range) -> str:
    """A range as people write it."""
    match range_:
        case FloatRange(low, high, log) | IntRange(low, high, log):
            return f"{number(low)} to {number(high)}" + (", log" if log else "")
        case Choice(values):
            return ", ".join(number(v) for v in values)
        case Fixed(value):
            return number(value)


def _scatters(material: StageMaterial) -> list[Picture]:
    """The hyperparameters that were searched against the objective, those that follow it most first."""
    if material.space is None:
        return []
    stage, trials = material.stage, {t["number"]: t for t in material.trials if present(t["value"])}
    objective = material.objective
    values_seen = [_real(t["value"]) for t in trials.values()]
    log_objective = bool(values_seen) and min(values_seen) > 0 and max(values_seen) / min(values_seen) > 20
    sensitivity = {f["name"].removeprefix(_SHARE): f["value"] for f in material.figures if present(f["value"])}
    drawn = []
    for h in sorted(material.space.varying, key=lambda h: -float(sensitivity.get(h.name, 0))):
        cells = [p for p in material.params if p["name"] == h.name and p["varied"] is True and p["trial"] in trials]
        if len(cells) < 3 or len({str(c["value"]) for c in cells}) < 2:
            continue
        numbers = [c["trial"] for c in cells]
        at = {n: i for i, n in enumerate(numbers)}
        points = pictures.Points(
            h.name, tuple(c["value"] for c in cells), tuple(_real(trials[n]["value"]) for n in numbers),
            chosen=at.get(stage["chosen_trial"]) if present(stage["chosen_trial"]) else None,
            best=at.get(stage["best_trial"]) if present(stage["best_trial"]) else None,
            log=isinstance(h.range, (FloatRange, IntRange)) and h.range.log,
            whole=isinstance(h.range, IntRange),
        )  # fmt: skip
        svg = pictures.searched(points, objective, log_objective=log_objective)
        drawn.append(picture(svg, f"{h.name} against {objective}"))
    return drawn[:MOST_SCATTERS]


def _real(value: Any) -> float:
    return float(value) if present(value) else float("nan")
