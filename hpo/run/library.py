"""The networks that a final ensemble may be drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.records.artifacts import unpack
from hpo.records.rows import RunRow, TrialRow
from hpo.run.baseline import SMALL_NETWORK, validation_predictions
from hpo.run.closing import tried
from hpo.run.context import Context
from hpo.run.judge import top_trials
from hpo.training.export import Member
from hpo.values import Array, Configuration

LIBRARY = 5
"""Distinct trials of each of the last two stages that an ensemble may draw from."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A configuration trained at one seed, on every fold."""

    label: str
    configuration: Configuration
    runs: tuple[RunRow, ...]
    predictions: Array
    """On the validation rows, fold after fold, (rows, outputs)."""


def candidate(ctx: Context, label: str, configuration: Configuration, runs: Sequence[RunRow]) -> Candidate:
    """From finished runs whose artifacts are kept, one a fold."""
    return Candidate(label, configuration, tuple(runs), validation_predictions(ctx, runs))


def best_trials(ctx: Context) -> list[Candidate]:
    """The best distinct trials of the last regularize and tune stages, as far as their weights are kept."""
    found = []
    for stage in ("tune", "regularize"):
        rows = [r for r in ctx.studies.stages(ctx.study.id) if r.name == stage and r.verdict is not None]
        trials = {t.number: t for t in ctx.queue.trials(rows[-1].id)} if rows else {}
        for top in top_trials([tried(t) for t in trials.values()], ctx.metric.sign, LIBRARY):
            runs = _kept(trials[top.number], "search", ctx.dataset.folds)
            if runs:
                found.append(candidate(ctx, f"{stage} trial {top.number}", top.configuration, runs[0]))
    return found


def small_network(ctx: Context) -> Candidate:
    """The baseline stage's small network, at the seed that is in the middle of its validation scores."""
    row = next(r for r in ctx.studies.stages(ctx.study.id) if r.name == "baseline")
    trial = next(t for t in ctx.queue.trials(row.id) if t.origin == SMALL_NETWORK)
    seeds = sorted(
        _kept(trial, "noise", ctx.dataset.folds),
        key=lambda runs: sum(r.validation_metric for r in runs),
    )
    return candidate(ctx, "small network", trial.configuration, seeds[len(seeds) // 2])


def together(candidates: Sequence[Candidate]) -> Array:
    """The plain mean of their predictions on the validation rows."""
    return np.asarray(np.mean([c.predictions for c in candidates], axis=0))


def members(ctx: Context, candidates: Sequence[Candidate]) -> list[Member]:
    """Every network of the candidates, with its weights."""
    return [
        Member(c.configuration, unpack(ctx.store.get(r.artifact))[0], r.fold)
        for c in candidates
        for r in c.runs
        if r.artifact is not None
    ]


def _kept(trial: TrialRow, purpose: str, folds: int) -> list[list[RunRow]]:
    """The trial's runs of one purpose, grouped by seed, where every fold trained and its weights are kept."""
    runs = [r for r in trial.runs if r.purpose == purpose]
    groups = [runs[i : i + folds] for i in range(0, len(runs), folds)]
    return [g for g in groups if len(g) == folds and all(r.artifact and r.state in ("done", "stopped") for r in g)]
