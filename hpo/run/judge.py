"""A searching stage from its task to its verdict."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from hpo.recipe.edges import Ranked, crowded_edges
from hpo.recipe.flow import Done, Next, sent_back
from hpo.recipe.insight import Insight, insight
from hpo.recipe.judging import Bar, Tried, complete, counted, ranked
from hpo.recipe.mending import told
from hpo.recipe.stages import with_more_capacity
from hpo.recipe.stopping import effect
from hpo.recipe.verdicts import bar_from, on_overfit, on_regularize, on_tune, on_widening, with_insight
from hpo.records.rows import StageRow
from hpo.run.baseline import network_baseline
from hpo.run.budget import used_up
from hpo.run.context import Context, optuna_name
from hpo.run.proposing import remedied, rounds
from hpo.run.proving import prove
from hpo.run.searching import Searched, StageSearch, Task
from hpo.run.tasks import grown_space, task_for
from hpo.search.importance import importances
from hpo.search.optuna_study import create_optuna_study
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.values import Verdict

CONTENDERS = 2
"""Trials that are held against the reference with fresh seeds."""
KEPT = 8
"""Trials of each stage whose weights stay in the artifact store."""


def search_stage(ctx: Context, step: Next, done: Sequence[Done]) -> tuple[StageRow, Verdict, int]:
    """Search, prove, judge; the stage's row, its verdict, and the number of its new trials."""
    task = task_for(ctx, step, done)
    name = optuna_name(ctx.spec.name, step.stage, step.attempt)
    direction = "minimize" if step.stage == "overfit" else ctx.metric.direction
    ctx.database.patiently(lambda: create_optuna_study(ctx.storage, name, direction))
    row = ctx.begin(step, done, space=task.space, planned=task.planned, optuna_study=name)
    if row.verdict is not None:
        fresh = [t for t in ctx.queue.trials(row.id, with_runs=False) if t.origin != "carried"]
        return row, row.verdict, len(fresh)
    bar = bar_from(network_baseline(done), ctx.metric)
    found = StageSearch(ctx, row, task, bar).run()
    sign = -1.0 if step.stage == "overfit" else ctx.metric.sign
    if not complete(found.trials):
        verdict = _nothing_trained(found)
    elif found.edges:
        verdict = on_widening(found.trials, found.edges, sign)
    elif step.stage == "overfit":
        verdict = on_overfit(found.trials, bar, ctx.spec.recipe.gate, found.ended)
    elif step.stage == "regularize":
        verdict = _regularize(ctx, row, task, found, bar, done)
    else:
        reference, others = _contenders(found, ctx.metric.sign)
        verdict = on_tune(found.trials, prove(ctx, row, reference, others), bar, ended=found.ended)
    if complete(found.trials):
        verdict = with_insight(verdict, _insight(ctx, step.stage, task, found, sign, verdict))
    value = "training loss" if step.stage == "overfit" else ctx.metric.name
    chain = rounds(remedied(ctx.queue.trials(row.id, with_runs=False)))
    mended = told(chain, step.stage, task.space, ctx.spec.space, value)
    verdict = replace(verdict, sentence=verdict.sentence + mended)
    _keep_the_best(ctx, row, found, sign)
    ctx.studies.end_stage(row.id, verdict, ())
    return row, verdict, found.new


def _keep_the_best(ctx: Context, row: StageRow, found: Searched, sign: float) -> None:
    """Delete the weights of all but the best trials: an ensemble may want those, nobody the rest."""
    kept = {t.number for t in top_trials(found.trials, sign, KEPT)}
    rest = [r.id for t in ctx.queue.trials(row.id) for r in t.runs if r.purpose == "search" and t.number not in kept]
    ctx.store.delete(ctx.queue.forget_artifacts(ctx.study.id, rest))


def _nothing_trained(found: Searched) -> Verdict:
    return Verdict(
        "stop",
        f"{counted(found.trials)}: none gave a value; {found.ended}. Look at the learning rates that the space allows, "
        "and at the scaling of the inputs.",
        {"trials": float(len(found.trials))},
    )


def _contenders(found: Searched, sign: float) -> tuple[Tried, list[Tried]]:
    """The reference (the stage's first trial, handed on to it) and the best others, no two of equal configuration.

    Where the reference has no value the best trial stands in.
    """
    order = top_trials(found.trials, sign, len(found.trials))
    first = next((t for t in complete(found.trials) if t.number == 0), order[0])
    return first, [t for t in order if t.configuration != first.configuration][:CONTENDERS]


def top_trials(trials: Sequence[Tried], sign: float, count: int) -> list[Tried]:
    """The best distinct configurations."""
    order = sorted(complete(trials), key=lambda t: (-sign * (t.value or 0.0), t.number))
    picked: list[Tried] = []
    for trial in order:
        if all(trial.configuration != p.configuration for p in picked):
            picked.append(trial)
    return picked[:count]


def _regularize(ctx: Context, row: StageRow, task: Task, found: Searched, bar: Bar, done: Sequence[Done]) -> Verdict:
    reference, others = _contenders(found, ctx.metric.sign)
    passed = next(d.verdict.hands_on["passed"] for d in reversed(done) if "passed" in d.verdict.hands_on)
    _, can_grow = with_more_capacity(grown_space(ctx.spec.space, done))
    return on_regularize(
        found.trials,
        prove(ctx, row, reference, others),
        bar,
        earning=_effects(task.space, found.trials, ctx.metric.sign),
        ended=found.ended,
        gate_passed=passed,
        can_grow=can_grow,
        sent_back=sent_back(done),
        attempts=ctx.spec.recipe.attempts,
        used_up=used_up(ctx, done, found.new),
    )


def _insight(ctx: Context, stage: str, task: Task, found: Searched, sign: float, verdict: Verdict) -> Insight:
    """What the stage taught; what hardly matters may be fixed where the next one has the same objective."""
    order = ranked(found.trials, sign)
    # What was never trained says nothing, a divergence does.
    diverged = [Ranked(t.configuration, inf) for t in found.trials if t.diverged]
    return insight(
        importances(task.space, [*order, *diverged], derive(ctx.spec.seed, "importance", stage)),
        edges=() if found.edges else crowded_edges(task.space, order),
        chosen=verdict.hands_on.get("configuration"),
        fixes=stage == "regularize",
    )


def _effects(space: SearchSpace, trials: Sequence[Tried], sign: float) -> dict[str, float]:
    """For each numeric hyperparameter that varied: how much better the half with more of it was, in the metric."""
    done, effects = complete(trials), {}
    for h in space.varying:
        pairs = [
            (float(v), -sign * (t.value or 0.0))
            for t in done
            if space.active(h.name, t.configuration)
            and isinstance(v := t.configuration[h.name], (int, float))
            and not isinstance(v, bool)
        ]
        if pairs:
            effects[h.name] = effect([v for v, _ in pairs], [c for _, c in pairs])
    return effects
