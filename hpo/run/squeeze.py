"""The last stage: seeds, longer training, an ensemble, the one opening of the test set, the exported network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpo.errors import Fault
from hpo.numbers import signed
from hpo.recipe.flow import Done, Next
from hpo.recipe.judging import Bar
from hpo.recipe.noise import difference_over_rows
from hpo.recipe.squeezing import on_squeeze
from hpo.recipe.verdicts import bar_from
from hpo.records.rows import NewTrial, RunRow, StageRow
from hpo.run.baseline import by_seed, network_baseline
from hpo.run.budget import seconds_left
from hpo.run.bundles import unpack_bundle
from hpo.run.closing import Seen, closed, read
from hpo.run.context import Context
from hpo.run.exporting import export_final
from hpo.run.library import Candidate, best_trials, candidate, together
from hpo.run.opening import open_test
from hpo.run.proving import Repeated, held_against
from hpo.run.waiting import by_number, extra_runs, failure, queue_extra, requests, seeds_for, train_extra
from hpo.seeds import derive
from hpo.training.ensemble import choose, lead_on_unseen
from hpo.values import Configuration, Verdict, fingerprint

LONGER = 2
"""Longer training has so many times the epochs."""


def squeeze_stage(ctx: Context, step: Next, done: Sequence[Done]) -> tuple[StageRow, Verdict]:
    """Makes the final model, freezes it with the baselines, opens the test set once, exports."""
    configuration: Configuration = done[-1].verdict.hands_on["configuration"]
    space = ctx.spec.space.fixed_at(configuration, ctx.spec.space.names)
    row = ctx.begin(step, done, space=space)
    if row.verdict is not None:
        if not Path(ctx.bundle).exists():  # asked for in another place than before
            unpack_bundle(ctx.studies, ctx.store, ctx.study.id, ctx.bundle)
        return row, row.verdict
    usual, longer, diverged = _train(ctx, row, configuration)
    comparison = None if longer is None else held_against(ctx, longer, usual, derive(ctx.spec.seed, "longer"))
    _close(ctx, row, usual, bar_from(network_baseline(done), ctx.metric))
    if longer is not None and comparison is not None and comparison.difference > 0:
        seeds = _seeds(ctx, configuration, longer, "longer seed")
    else:
        seeds = _seeds(ctx, configuration, usual, "seed")
    final, why = _final(ctx, seeds, best_trials(ctx))
    y = ctx.validation_targets
    scores, look, lead = open_test(ctx, final)
    verdict = on_squeeze(
        metric=ctx.metric,
        seeds=usual.metrics,
        longer=comparison,
        epochs=LONGER * ctx.spec.budget.epochs,
        members=[c.label for c in final],
        why=why,
        single=float(np.mean([ctx.metric(y, c.predictions) for c in final])),
        together=ctx.metric(y, together(final)),
        scores=scores,
        look=look,
        against=lead,
        folds=ctx.dataset.folds,
        diverged=diverged,
        in_time=bool(extra_runs(ctx, row, "longer", [0])),
    )
    export_final(ctx, final, scores, verdict)
    ctx.studies.end_stage(row.id, verdict, ())
    return row, verdict


def _train(ctx: Context, row: StageRow, configuration: Configuration) -> tuple[Repeated, Repeated | None, int]:
    """The chosen configuration with fresh seeds, and the same seeds for more epochs.

    None for these if one of them diverged, or no time is left. Seeds that diverged in the usual number of epochs are
    left out, and counted.
    """
    if not ctx.queue.trials(row.id, with_runs=False):
        structure = fingerprint(ctx.spec.space.structure(configuration))
        ctx.queue.add_trials(row, [NewTrial(0, "squeeze", configuration, frozenset(), structure, ())])
    seeds = seeds_for(ctx, row, "squeeze", ctx.spec.recipe.proof_seeds)
    asked = [(0, requests(ctx, configuration, seeds))]
    more = [(0, requests(ctx, configuration, seeds, epochs=LONGER * ctx.spec.budget.epochs))]
    queue_extra(ctx, row, asked, "squeeze")
    in_time = seconds_left(ctx) != 0.0 or bool(extra_runs(ctx, row, "longer", [0]))
    if in_time:
        queue_extra(ctx, row, more, "longer")  # they train beside the others
    trained = _grouped(ctx, train_extra(ctx, row, asked, "squeeze")[0])
    usual = trained.sound
    if not usual.runs:
        raise Fault(
            f"the chosen configuration diverged with all {len(seeds)} fresh seeds: lower the upper end of "
            "learning_rate in the search space, and begin anew with --fresh"
        )
    diverged = len(seeds) - len(usual.runs)
    if not in_time:
        return usual, None, diverged
    longer = _grouped(ctx, train_extra(ctx, row, more, "longer")[0])
    pairs = [pair for pair in zip(trained.runs, longer.runs, strict=True) if pair[0] in usual.runs]
    longer = Repeated(tuple(run for _, run in pairs))
    return usual, None if longer.diverged else longer, diverged


def _grouped(ctx: Context, runs: Sequence[RunRow]) -> Repeated:
    for run in runs:
        if run.state == "failed":
            raise failure(run)
    return Repeated(tuple(map(tuple, by_seed(ctx, runs))))


def _seeds(ctx: Context, configuration: Configuration, repeated: Repeated, name: str) -> list[Candidate]:
    return [candidate(ctx, f"{name} {k + 1}", configuration, runs) for k, runs in enumerate(repeated.runs)]


def _final(ctx: Context, seeds: Sequence[Candidate], library: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """The members of the final model, and why these, in words.

    The plain mean of the chosen configuration's seeds leaves next to nothing to choose by validation rows. An
    ensemble picked on those rows looks better by luck. So picking is first judged on rows that it has not seen: it must
    lead there by more than the deviation of the difference.
    """
    y, most = ctx.validation_targets, ctx.spec.recipe.ensemble
    if most == 1:
        return [max(seeds, key=lambda c: ctx.metric.sign * ctx.metric(y, c.predictions))], "the best seed, as asked"
    plain, everything = list(seeds[:most]), [*seeds, *library]
    predictions = [c.predictions for c in everything]
    lead = lead_on_unseen(predictions, together(plain), y, ctx.metric, most, derive(ctx.spec.seed, "halves"))
    picked = [everything[i] for i in choose(predictions, y, ctx.metric, most)]
    seed = derive(ctx.spec.seed, "ensemble")
    needed = difference_over_rows(ctx.metric, y, [together(picked)], [together(plain)], seed=seed)
    told = f"picking from {len(everything)} leads by {signed(lead, 2)} on rows it has not seen"
    return (picked, told) if lead > needed else (plain, f"the mean of all seeds; {told}, which is no gain")


def _close(ctx: Context, row: StageRow, usual: Repeated, bar: Bar) -> None:
    trial = by_number(ctx.queue.trials(row.id))[0]
    if trial.state != "running":
        return
    runs = [r for seed in usual.runs for r in seed]
    diagnosis = read(Seen.of(ctx.queue, runs), runs, bar.scale)
    value = float(np.mean(usual.metrics))
    end = closed(trial, runs, value=value, diagnosis=diagnosis)
    ctx.queue.close_trials(row, [end])
