"""The verdict of each stage: pure functions from what was measured to a decision with its evidence.

Decisions: `go on`; `widen` (the stage goes on as another attempt in a wider space); `more capacity` (back to overfit);
`stop` (a fault makes training meaningless); `done`, after squeeze (see `squeezing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from types import MappingProxyType
from typing import Any

from hpo.metrics import Metric
from hpo.numbers import number, signed
from hpo.recipe.diagnosis import GAP_IN_NOISE, has_gap
from hpo.recipe.edges import Edge
from hpo.recipe.insight import Insight, insight_figures, insight_to_plain
from hpo.recipe.judging import Bar, Baseline, Proved, Tried, best, complete, counted
from hpo.recipe.noise import Noise
from hpo.recipe.stages import CAPACITY
from hpo.space.plain import range_to_plain
from hpo.values import Check, Status, TaskFacts, Verdict

STRONG = 0.5
"""Regularization is called strong where it closes more than this share of a gap beyond the noise, ..."""
MILD = 0.1
"""... and mild above this one."""


def on_data(facts: TaskFacts, *, metric: str, scale: str, rows: Mapping[str, int], checks: Sequence[Check]) -> Verdict:
    """Task, classes, metric and scaling; warnings in words; `stop` where a check failed.

    rows: number of rows by split (`training`, `validation`, `test`).
    """
    warned = [c for c in checks if c.status is Status.WARNING]
    failed = [c for c in checks if c.status is Status.FAILED]
    kind = f"{facts.task} task, {len(facts.classes)} classes" if facts.task.classifies else "regression task"
    counts = ", ".join(f"{n} {name}" for name, n in rows.items())
    sentence = f"A {kind}, input {'x'.join(map(str, facts.input_shape))}, scored by {metric}; rows: {counts}."
    for check in (*failed, *warned):
        sentence += f" {check.sentence}"
    if not warned and not failed:
        sentence += " Nothing speaks against training."
    return Verdict(
        "stop" if failed else "go on",
        sentence,
        {**{f"rows_{k}": float(v) for k, v in rows.items()}, "warnings": float(len(warned))},
        {"task": str(facts.task), "classes": list(facts.classes), "metric": metric, "scale": scale},
    )


def on_baseline(bar: Bar, checks: Sequence[Check], notes: Mapping[str, str] = MappingProxyType({})) -> Verdict:
    """What must be beaten, the noise, and whether the skeleton can be trusted; `stop` where a check failed.

    notes: what is to be said of how a baseline was fitted, by its name.
    """
    failed = [c for c in checks if c.status is Status.FAILED]
    doubtful = [c for c in checks if c.status is Status.WARNING]
    name, noise = bar.to_beat, bar.noise
    scores = ", ".join(f"{n.replace('_', ' ')} {number(b.metric)}" for n, b in bar.baselines.items())
    sentence = (
        f"Validation {bar.metric.name}: {scores}. To beat: {name.replace('_', ' ')} at "
        f"{number(bar.baselines[name].metric)}. Equal networks differ by {number(noise.metric_seeds, 2)} from seed to "
        f"seed, and {number(noise.metric_rows, 2)} by the choice of the validation rows: noise "
        f"{number(noise.metric, 2)}."
    )
    sentence += "".join(f" {name.replace('_', ' ').capitalize()}: {note}." for name, note in notes.items())
    passed = len(checks) - len(failed) - len(doubtful)
    sentence += f" {passed} of {len(checks)} skeleton checks passed."
    for check in (*failed, *doubtful):
        sentence += f" {check.sentence}"
    figures = {f"{n}_{bar.metric.name}": b.metric for n, b in bar.baselines.items()}
    figures |= {f"{n}_loss": b.loss for n, b in bar.baselines.items()}
    figures |= {"noise_metric": noise.metric, "noise_metric_seeds": noise.metric_seeds, "noise_loss": noise.loss}
    hands_on = {
        "to_beat": name,
        "baselines": {n: {"metric": b.metric, "loss": b.loss} for n, b in bar.baselines.items()},
        "noise": {
            "metric_seeds": noise.metric_seeds, "metric_rows": noise.metric_rows,
            "loss_seeds": noise.loss_seeds, "loss_rows": noise.loss_rows,
        },
        "prior_loss": bar.prior_loss,
        "floor": bar.floor,
    }  # fmt: skip
    return Verdict("stop" if failed else "go on", sentence, figures, hands_on)


def bar_from(hands_on: Mapping[str, Any], metric: Metric) -> Bar:
    """The bar as `on_baseline` handed it on, read back from the records."""
    return Bar(
        metric,
        Noise(**hands_on["noise"]),
        hands_on["prior_loss"],
        hands_on["floor"],
        {n: Baseline(b["metric"], b["loss"]) for n, b in hands_on["baselines"].items()},
    )


def on_widening(trials: Sequence[Tried], edges: Sequence[Edge], sign: float) -> Verdict:
    """The stage's best trials crowd the end of a range: it goes on in a wider space."""
    top = best(trials, sign)
    sentence = f"After {len(trials)} trials: " + " ".join(e.sentence for e in edges)
    sentence += " The trials so far go with it."
    figures = {"best_trial": float(top.number), "best_value": _value(top), "trials": float(len(trials))}
    return Verdict("widen", sentence, figures, {"ranges": {e.name: range_to_plain(e.new) for e in edges}})


def on_overfit(trials: Sequence[Tried], bar: Bar, share: float, ended: str) -> Verdict:
    """Of the trials below the gate the one with the fewest parameters among those that validate as well as any.

    If none passes, the lowest training loss.

    share: the gate as a share of the prior's loss. ended: why the search ended, in words.
    """
    gate = bar.gate(share)
    passing = [t for t in complete(trials) if t.training_loss <= gate]
    top = best(trials, -1.0)
    level = _level(passing, bar)
    chosen = min(level, key=lambda t: (t.parameters, t.training_loss)) if passing else top
    opening = f"{counted(trials)}; {ended}. The gate is a training loss of {number(gate, 3)}, "
    opening += f"{share:.0%} of the prior's {number(bar.prior_loss, 3)}" + (
        f" and what contradictory duplicates allow ({number(bar.floor, 3)}). " if bar.floor > 0 else ". "
    )
    if passing:
        few = ""
        if len(level) < len(passing):
            few = (
                f", {len(level)} of which are not behind the best of these in {bar.metric.name} on the validation rows"
            )
        decided = (
            f"{len(passing)} of them pass{few}. Trial {chosen.number} needs the fewest parameters, "
            f"{chosen.parameters:,}, and reaches {number(chosen.training_loss, 3)}."
        )
    else:
        decided = (
            f"None passes; trial {chosen.number} comes closest with {number(chosen.training_loss, 3)} and "
            f"{chosen.parameters:,} parameters: {_why_none(trials, top, bar)}."
        )
    gap = chosen.gap
    if has_gap(chosen.training_loss, chosen.validation_loss, bar.scale):
        size = f"{gap / bar.noise.loss:.0f} times the noise" if bar.noise.loss > 0 else "beyond all noise"
        follows = f" Its gap of {number(gap, 3)} is {size}: regularization has work to do."
    else:
        follows = f" Its gap of {number(gap, 3)} lies within the noise: little to regularize."
    return Verdict(
        "go on",
        opening + decided + follows,
        {
            "gate": gate, "passing": float(len(passing)), "chosen_trial": float(chosen.number),
            "best_trial": float(top.number), "best_value": _value(top), "training_loss": chosen.training_loss,
            "validation_loss": chosen.validation_loss, "gap": gap, "parameters": float(chosen.parameters),
            "trials": float(len(trials)),
        },
        {"chosen": chosen.number, "configuration": dict(chosen.configuration), "passed": bool(passing)},
    )  # fmt: skip


def _level(trials: Sequence[Tried], bar: Bar) -> list[Tried]:
    """Those whose validation metric is not behind the best by more than the noise; all where it is undefined.

    And all for log loss: without regularization it tells how sure a network is, not what it could learn.
    """
    scores = [bar.metric.sign * t.validation_metric for t in trials if isfinite(t.validation_metric)]
    if not scores or bar.metric.name == "log_loss":
        return list(trials)
    least = max(scores) - GAP_IN_NOISE * bar.noise.metric
    return [t for t in trials if bar.metric.sign * t.validation_metric >= least]


def _why_none(trials: Sequence[Tried], top: Tried, bar: Bar) -> str:
    if top.diagnosis == "still improving":
        return "its loss was still falling, so more epochs would help"
    if top.training_loss > bar.prior_loss:
        return "that is worse than always predicting the prior, so look at the learning rates first"
    if top.training_loss > bar.scale.reference:
        return "even the training rows are not learned, so more capacity or epochs would help"
    return "the rest may be noise in the targets, or ask for more epochs or capacity"


def on_regularize(
    trials: Sequence[Tried], contenders: Sequence[Proved], bar: Bar, *, earning: Mapping[str, float], ended: str,
    gate_passed: bool, can_grow: Sequence[str], sent_back: int, attempts: int, used_up: bool = False,
) -> Verdict:  # fmt: skip
    """Which regularization is handed on, whether its gain is proved, and whether capacity is what is missing.

    contenders: the reference (the configuration handed on by overfit) first. earning: for each regularizer the gain in
    the metric between the better and the worse half of its values (positive: more of it was better). can_grow: names of
    capacity ranges that can be carried further. sent_back: how often the study went back already, of `attempts` times
    that it may. used_up: too little of the budget is left to search all stages again.
    """
    sign = bar.metric.sign
    reference, chosen = contenders[0], max(contenders, key=lambda c: sign * c.mean)
    before, after = reference.gap, chosen.gap
    had_gap = has_gap(reference.training_loss, reference.validation_loss, bar.scale)
    closed = (before - after) / before if had_gap else 0.0
    strength = "strong" if closed > STRONG else "mild" if closed > MILD else "no"
    worth = [name for name, gain in earning.items() if gain > bar.noise.metric_seeds / 2]
    hindrance = _hindrance(can_grow, sent_back, attempts, used_up)
    decision, lacking = _capacity(chosen, bar, gate_passed, can_grow, hindrance)
    sentence = f"{counted(trials)}; {ended}. " + _proof_sentence(contenders, chosen, bar)
    if closed > MILD:
        sentence += f" The gap falls from {number(before, 3)} to {number(after, 3)}: {strength} regularization."
    elif had_gap:
        now = "" if chosen is reference else f" ({number(after, 3)} in trial {chosen.trial.number})"
        sentence += f" The reference's gap of {number(before, 3)} stays{now}."
    elif isfinite(before):
        sentence += f" There was no gap to close ({number(before, 3)}, noise {number(bar.noise.loss, 2)})."
    if worth:
        sentence += " More of it was better: " + ", ".join(f"{n} ({signed(earning[n], 2)})" for n in worth) + "."
    top = best(trials, sign)
    figures = {
        "chosen_trial": float(chosen.trial.number), "best_trial": float(top.number), "best_value": _value(top),
        "gap_before": before, "gap_after": after, "gap_closed": closed, "fresh_mean": chosen.mean,
        "reference_mean": reference.mean, "behind": bar.behind(chosen.mean), "trials": float(len(trials)),
    } | {f"earns_{name}": gain for name, gain in earning.items()} | _comparison_figures(chosen)  # fmt: skip
    hands_on = {
        "chosen": chosen.trial.number, "configuration": dict(chosen.trial.configuration), "strength": strength,
        "earns": worth, "grow": list(can_grow) if decision == "more capacity" else [],
    }  # fmt: skip
    return Verdict(decision, sentence + lacking, figures, hands_on)


def _hindrance(can_grow: Sequence[str], sent_back: int, attempts: int, used_up: bool) -> str:
    """Why the study cannot be sent back for capacity, as a sentence; empty where it can."""
    if not can_grow:
        return f"It stays: the space has no range of it that can grow ({', '.join(CAPACITY)})."
    if not attempts:
        return "It stays: recipe.attempts allows no going back."
    if sent_back >= attempts:
        return f"It stays: the study was sent back {'once' if sent_back == 1 else f'{sent_back} times'} already."
    return "It stays: too little of the budget is left to search all stages again." if used_up else ""


def _capacity(chosen: Proved, bar: Bar, gate_passed: bool, can_grow: Sequence[str], hindrance: str) -> tuple[str, str]:
    """Whether capacity is what is missing: the decision, and the sentence that says so."""
    behind = bar.behind(chosen.mean)
    if (
        gate_passed
        or not isfinite(behind)
        or chosen.training_loss > bar.prior_loss  # worse than no network: no question of capacity
        or behind <= GAP_IN_NOISE * bar.noise.metric
        or has_gap(chosen.training_loss, chosen.validation_loss, bar.scale)
    ):
        return "go on", ""
    lacks = f" No gap, yet {number(behind, 3)} behind {bar.to_beat.replace('_', ' ')}: the network lacks capacity."
    if hindrance:
        return "go on", f"{lacks} {hindrance}"
    return "more capacity", lacks + f" Back to overfit with more of {', '.join(can_grow)}."


def on_tune(trials: Sequence[Tried], contenders: Sequence[Proved], bar: Bar, *, ended: str) -> Verdict:
    """The best configuration by fresh seeds, and whether its gain is proved."""
    sign = bar.metric.sign
    chosen = max(contenders, key=lambda c: sign * c.mean)
    top = best(trials, sign)
    sentence = f"{counted(trials)}; {ended}. " + _proof_sentence(contenders, chosen, bar)
    behind = bar.behind(chosen.mean)
    rival = bar.to_beat.replace("_", " ")
    if not isfinite(behind):
        pass  # said already: it diverged
    elif behind > GAP_IN_NOISE * bar.noise.metric:
        sentence += f" Still {number(behind, 3)} behind {rival}, more than the noise."
    elif behind < -GAP_IN_NOISE * bar.noise.metric:
        sentence += f" {number(-behind, 3)} ahead of {rival}, the best baseline."
    else:
        sentence += f" Level with {rival}, the best baseline, within the noise."
    figures = {
        "chosen_trial": float(chosen.trial.number), "best_trial": float(top.number), "best_value": _value(top),
        "fresh_mean": chosen.mean, "behind": behind, "gap": chosen.gap, "trials": float(len(trials)),
    } | _comparison_figures(chosen)  # fmt: skip
    return Verdict(
        "go on", sentence, figures,
        {"chosen": chosen.trial.number, "configuration": dict(chosen.trial.configuration)},
    )  # fmt: skip


def with_insight(verdict: Verdict, found: Insight) -> Verdict:
    """The verdict with what the stage taught about its hyperparameters: in its sentence, its figures, and handed on."""
    sentence = f"{verdict.sentence} {found.sentence}".strip()
    hands_on = {**verdict.hands_on, "insight": insight_to_plain(found)}
    return replace(verdict, sentence=sentence, figures={**verdict.figures, **insight_figures(found)}, hands_on=hands_on)


def _proof_sentence(contenders: Sequence[Proved], chosen: Proved, bar: Bar) -> str:
    """Says gain only where the paired comparison proves one."""
    reference, name, first = contenders[0], bar.metric.name, f"the reference (trial {contenders[0].trial.number})"
    if chosen is reference:
        if not isfinite(reference.mean):
            return f"With fresh seeds {first} diverges, as does whatever was held against it: it is handed on in doubt."
        if len(contenders) == 1:
            return f"With fresh seeds {first} has {name} {number(reference.mean)}; there is nothing to hold against it."
        return f"With fresh seeds nothing beats {first}, {name} {number(reference.mean)}."
    told = f"With fresh seeds trial {chosen.trial.number} has {name} {number(chosen.mean)}, "
    comparison = chosen.comparison
    if comparison is None:
        return told + f"where {first} diverges."
    told += f"{first} {number(reference.mean)}: "
    needed = number(comparison.threshold, 2)
    if comparison.gain:
        return told + f"a gain of {number(comparison.difference, 3)}, proved (more than {needed})."
    told += f"a difference of {signed(comparison.difference, 2)}, no proved gain (that would take {needed}); "
    return told + "it is handed on as not worse."


def _comparison_figures(chosen: Proved) -> dict[str, float]:
    if chosen.comparison is None:
        return {"gain": 0.0, "gain_needed": 0.0, "gain_proved": 0.0}
    c = chosen.comparison
    return {"gain": c.difference, "gain_needed": c.threshold, "gain_proved": float(c.gain)}


def _value(trial: Tried) -> float:
    return trial.value if trial.value is not None else float("nan")
