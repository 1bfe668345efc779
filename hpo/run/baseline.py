"""The first two stages: what the data is, what must be beaten, and whether the skeleton works."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from hpo.data.checks import checks as data_checks
from hpo.errors import Fault
from hpo.recipe.flow import Done, Next
from hpo.recipe.judging import Bar, Baseline
from hpo.recipe.noise import measured_noise, row_losses
from hpo.recipe.verdicts import on_baseline, on_data
from hpo.records.artifacts import unpack
from hpo.records.rows import ClosedTrial, NewTrial, Origin, RunRow, StageRow
from hpo.run.closing import Seen, closed, mean, read
from hpo.run.context import Context
from hpo.run.lanes import cores_here
from hpo.run.waiting import by_number, failure, requests, seeds_for, train_extra
from hpo.seeds import derive
from hpo.space import Fixed, SearchSpace, known
from hpo.training.baselines import KINDS, BaselineKind, Predictor, fit, share_for
from hpo.training.beside import Asked, fit_beside
from hpo.values import Array, Verdict, fingerprint

SMALL_NETWORK: Origin = "small_network"


def data_stage(ctx: Context, step: Next, done: Sequence[Done]) -> tuple[StageRow, Verdict]:
    """Checks the data; trains nothing."""
    row = ctx.begin(step, done)
    if row.verdict is not None:
        return row, row.verdict
    checks = data_checks(ctx.dataset)
    told = ctx.dataset.description
    rows = {"training": told.train_rows, "validation": told.valid_rows, "test": told.test_rows}
    verdict = on_data(ctx.dataset.facts, metric=ctx.metric.name, scale=ctx.spec.data.scale, rows=rows, checks=checks)
    ctx.studies.end_stage(row.id, verdict, checks)
    return row, verdict


def small_network_space(ctx: Context) -> SearchSpace:
    """The catalogue's default network, whatever the study searches; a batch size that the user fixed is kept."""
    space = ctx.spec.space
    defaults = {name: entry.default for name, entry in known(space.model).items()}
    base: dict[str, Any] = {**space.default(), **defaults}
    batch = space["batch_size"].range if "batch_size" in space else None
    if isinstance(batch, Fixed):
        base["batch_size"] = batch.value
    return space.fixed_at(base, space.names)


def baseline_stage(ctx: Context, step: Next, done: Sequence[Done]) -> tuple[StageRow, Verdict]:
    """Prior, linear model, boosted trees and the small network over several seeds; the skeleton's checks."""
    space = small_network_space(ctx)
    row = ctx.begin(step, done, space=space)
    if row.verdict is not None:
        return row, row.verdict
    configuration = space.default()
    trials = by_number(ctx.queue.trials(row.id))
    if len(KINDS) not in trials:
        structure = fingerprint(space.structure(configuration))
        ctx.queue.add_trials(row, [NewTrial(len(KINDS), SMALL_NETWORK, configuration, frozenset(), structure, ())])
    missing = {number: kind for number, kind in enumerate(KINDS) if number not in trials}
    asked = requests(ctx, configuration, seeds_for(ctx, row, "noise", ctx.spec.recipe.seeds))
    with _fitted_beside(ctx, missing) as fitted:
        runs = train_extra(ctx, row, [(len(KINDS), asked)], "noise")[len(KINDS)]
        _refuse_useless(ctx, runs)
        from hpo.training.skeleton import check_skeleton  # loads Keras: only when something trains

        seed = derive(ctx.spec.seed, "skeleton")
        checks = check_skeleton(space, configuration, ctx.dataset.facts, ctx.folds[0], seed)
    ctx.queue.add_trials(
        row, [fitted.get(number) or _baseline_trial(ctx, number, kind) for number, kind in missing.items()]
    )
    bar = _bar(ctx, row, runs)
    _close_network(ctx, row, runs, bar)
    notes = {kind: predictors(ctx, kind)[0].note for kind in KINDS}
    verdict = on_baseline(bar, checks, {kind: note for kind, note in notes.items() if note})
    ctx.studies.end_stage(row.id, verdict, checks)
    return row, verdict


@contextmanager
def _fitted_beside(ctx: Context, missing: Mapping[int, BaselineKind]) -> Iterator[Mapping[int, NewTrial]]:
    """Baselines by number that are fitted meanwhile, on the other cores: boosting takes as long as all else here.

    Where that fails they are missing. A daemonic thread waits for them, so that Ctrl-C need not.
    """
    fitted: dict[int, NewTrial] = {}

    def work() -> None:
        with suppress(Exception):
            asked = [each for kind in missing.values() for each in _asked(ctx, kind)]
            found = iter(fit_beside(asked, max(1, cores_here() - 1)))
            ctx.predictors |= {kind: [next(found) for _ in range(ctx.dataset.folds)] for kind in missing.values()}
            fitted.update({number: _baseline_trial(ctx, number, kind) for number, kind in missing.items()})

    thread = threading.Thread(target=work, name="hpo-baseline", daemon=True)
    if beside := bool(missing) and cores_here() > 1:
        thread.start()
    yield fitted
    if beside:
        thread.join()


def predictors(ctx: Context, kind: BaselineKind) -> list[Predictor]:
    """A baseline fitted on the training rows of each fold; fitted once a process, the same every time."""
    if kind not in ctx.predictors:
        ctx.predictors[kind] = [fit(*asked) for asked in _asked(ctx, kind)]
    return ctx.predictors[kind]


def _asked(ctx: Context, kind: BaselineKind) -> list[Asked]:
    seed, share = derive(ctx.spec.seed, "baseline", kind), share_for(ctx.spec.budget.seconds)
    folds = range(ctx.dataset.folds)
    return [(kind, ctx.dataset.facts, *ctx.dataset.encoded_train(i), seed, share) for i in folds]


def _baseline_trial(ctx: Context, number: int, kind: BaselineKind) -> NewTrial:
    """A fitted baseline as a trial that is closed from the start; scores are means over folds."""
    scores: dict[str, list[float]] = {"training_loss": [], "validation_loss": [], "training": [], "validation": []}
    for i, predictor in enumerate(predictors(ctx, kind)):
        for part, (x, y) in (("training", ctx.dataset.encoded_train(i)), ("validation", ctx.dataset.encoded_valid(i))):
            p = predictor.predict(x)
            scores[part].append(ctx.metric(y, p))
            scores[f"{part}_loss"].append(_loss(ctx, i, y, p))
    means = {name: mean(values) for name, values in scores.items()}
    end = ClosedTrial(
        number, "complete", means["validation"], means["training_loss"], means["validation_loss"], means["training"],
        means["validation"], None,
    )  # fmt: skip
    structure = fingerprint(kind)
    return NewTrial(number, "baseline", {"model": kind}, frozenset(), structure, (), closed=end)


def _loss(ctx: Context, fold: int, y: Array, p: Array) -> float:
    """Mean loss in the networks' units: log loss, or squared error over the training targets' variance."""
    return float(row_losses(ctx.dataset.facts.task, y, p, ctx.folds[fold].target_scale).mean())


def _bar(ctx: Context, row: StageRow, runs: Sequence[RunRow]) -> Bar:
    """What must be beaten, and the noise from the network's seeds; a seed's scores are means over its folds."""
    finite = _sound(ctx, runs)
    metrics = [mean([r.validation_metric for r in rs]) for rs in finite]
    losses = [mean([r.validation_loss for r in rs]) for rs in finite]
    together = [validation_predictions(ctx, rs) for rs in finite]
    noise = measured_noise(
        ctx.metric, ctx.dataset.facts.task, ctx.validation_targets, together, losses,
        target_scale=ctx.target_scale, metrics=metrics, seed=derive(ctx.spec.seed, "noise"),
    )  # fmt: skip
    trials = by_number(ctx.queue.trials(row.id))
    baselines = {
        str(kind): Baseline(trials[n].validation_metric, trials[n].validation_loss) for n, kind in enumerate(KINDS)
    }
    baselines[SMALL_NETWORK] = Baseline(mean(metrics), mean(losses))
    floor = ctx.dataset.description.conflict_floor
    return Bar(ctx.metric, noise, trials[0].training_loss, floor, baselines)


def _close_network(ctx: Context, row: StageRow, runs: Sequence[RunRow], bar: Bar) -> None:
    trial = by_number(ctx.queue.trials(row.id))[len(KINDS)]
    if trial.state != "running":
        return
    finite = [r for r in runs if r.state != "diverged"]
    diagnosis = read(Seen.of(ctx.queue, finite), finite, bar.scale)
    value = bar.baselines[SMALL_NETWORK].metric
    end = closed(trial, finite, value=value, diagnosis=diagnosis)
    ctx.queue.close_trials(row, [end])


def _refuse_useless(ctx: Context, runs: Sequence[RunRow]) -> None:
    """Noise needs at least two seeds that trained, on every fold."""
    failed = [r for r in runs if r.state == "failed"]
    if failed:
        raise failure(failed[0])
    if len(_sound(ctx, runs)) < 2:
        raise Fault(
            "the small network diverged with nearly every seed, so nothing can be measured: look at the scaling of the "
            "inputs ([data] scale) and at outliers among the targets"
        )


def by_seed(ctx: Context, runs: Sequence[RunRow]) -> list[list[RunRow]]:
    """Runs in the order of `requests`, grouped by seed: one run a fold in each group."""
    folds = ctx.dataset.folds
    return [list(runs[i : i + folds]) for i in range(0, len(runs), folds)]


def _sound(ctx: Context, runs: Sequence[RunRow]) -> list[list[RunRow]]:
    """The seeds that trained on every fold."""
    return [seed for seed in by_seed(ctx, runs) if all(r.state != "diverged" for r in seed)]


def validation_predictions(ctx: Context, runs: Sequence[RunRow]) -> Array:
    """Predictions on the validation rows, fold after fold, from the runs' artifacts, (rows, outputs)."""
    return np.concatenate([unpack(ctx.store.get(r.artifact))[1] for r in runs if r.artifact is not None])


def network_baseline(done: Sequence[Done]) -> Mapping[str, Any]:
    """What the baseline stage handed on."""
    return next(d.verdict.hands_on for d in done if d.stage == "baseline")
