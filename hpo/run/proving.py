"""Contenders are trained again with fresh seeds, and held against the stage's reference in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from hpo.recipe.judging import Proved, Tried
from hpo.recipe.noise import Comparison, compare, difference_over_rows
from hpo.records.rows import RunRow, StageRow
from hpo.run.baseline import by_seed, validation_predictions
from hpo.run.closing import mean
from hpo.run.context import Context
from hpo.run.waiting import failure, requests, seeds_for, train_extra
from hpo.seeds import derive


@dataclass(frozen=True)
class Repeated:
    """A configuration's runs over several seeds, one list a seed with one run a fold."""

    runs: tuple[tuple[RunRow, ...], ...]

    @property
    def metrics(self) -> list[float]:
        """Validation metric of each seed, mean over folds; NaN where one diverged."""
        return [mean([r.validation_metric for r in seed]) for seed in self.runs]

    @property
    def diverged(self) -> bool:
        return len(self.sound.runs) < len(self.runs)

    @property
    def sound(self) -> "Repeated":
        """The seeds that trained on every fold."""
        return Repeated(tuple(seed for seed in self.runs if all(map(_trained, seed))))

    def losses(self) -> tuple[float, float]:
        """Training and validation loss, means over seeds and folds."""
        flat = [r for seed in self.runs for r in seed]
        return mean([r.training_loss for r in flat]), mean([r.validation_loss for r in flat])


def _trained(run: RunRow) -> bool:
    """A loss may overflow where the metric, worked out in double precision, does not; and a metric may be undefined."""
    return run.state != "diverged" and isfinite(run.validation_metric)


def repeat(ctx: Context, stage: StageRow, trials: Sequence[Tried], seeds: Sequence[int]) -> dict[int, Repeated]:
    """Train each trial's configuration with each seed. Raises Fault where a run failed."""
    asked = [(t.number, requests(ctx, t.configuration, seeds)) for t in trials]
    found = train_extra(ctx, stage, asked, "proof")
    for runs in found.values():
        for run in runs:
            if run.state == "failed":
                raise failure(run)
    return {number: Repeated(tuple(map(tuple, by_seed(ctx, runs)))) for number, runs in found.items()}


def held_against(ctx: Context, contender: Repeated, reference: Repeated, seed: int) -> Comparison:
    """The paired comparison of two configurations trained with the same seeds on the same rows."""
    rows = difference_over_rows(
        ctx.metric,
        ctx.validation_targets,
        [validation_predictions(ctx, s) for s in contender.runs],
        [validation_predictions(ctx, s) for s in reference.runs],
        seed=seed,
    )
    return compare(ctx.metric, contender.metrics, reference.metrics, rows=rows, level=ctx.spec.recipe.level)


def prove(ctx: Context, stage: StageRow, reference: Tried, others: Sequence[Tried]) -> list[Proved]:
    """The reference first, then the contenders that trained with every seed; one that diverged is out."""
    seeds = seeds_for(ctx, stage, "proof", ctx.spec.recipe.proof_seeds)
    repeated = repeat(ctx, stage, [reference, *others], seeds)
    proved = []
    for trial in (reference, *others):
        mine = repeated[trial.number]
        if mine.diverged and trial is not reference:
            continue
        comparison = None
        if trial is not reference and not repeated[reference.number].diverged:
            draw = derive(ctx.spec.seed, "proof", stage.name, trial.number)
            comparison = held_against(ctx, mine, repeated[reference.number], draw)
        score = mean(mine.metrics) if not mine.diverged else -ctx.metric.sign * float("inf")
        proved.append(Proved(trial, score, *mine.losses(), comparison))
    return proved
