"""The one opening of the test set: everything is frozen by hash first, then scored together."""

from collections.abc import Mapping, Sequence

import numpy as np

from hpo.recipe.noise import difference_over_rows, interval
from hpo.recipe.squeezing import TestScore
from hpo.records.openings import Openings
from hpo.records.rows import Score
from hpo.run.baseline import SMALL_NETWORK, predictors
from hpo.run.context import Context
from hpo.run.library import Candidate, members, small_network
from hpo.seeds import derive
from hpo.training.baselines import KINDS
from hpo.training.export import predict_members
from hpo.values import Array, fingerprint

FINAL = "final"


def open_test(
    ctx: Context, final: Sequence[Candidate]
) -> tuple[list[TestScore], int, Mapping[str, tuple[float, float]]]:
    """Scores of all models, which look at this data it was, and the final model's lead over each baseline.

    The hash is recorded before a test row is read; a resumed study may look again for the same hash only.
    """
    small = small_network(ctx)
    frozen: dict[str, list[str]] = {
        FINAL: [r.artifact.sha256 for c in final for r in c.runs if r.artifact],
        SMALL_NETWORK: [r.artifact.sha256 for r in small.runs if r.artifact],
        **{kind: [p.fingerprint for p in predictors(ctx, kind)] for kind in KINDS},
    }
    openings = Openings(ctx.database, leader=ctx.worker_id)
    opening = openings.open(ctx.study.id, ctx.dataset.test_fingerprint, fingerprint(frozen))
    test = ctx.dataset.open_test()
    predicted: dict[str, Array] = {
        kind: np.mean([p.predict(test.x) for p in predictors(ctx, kind)], axis=0) for kind in KINDS
    }
    folds = dict(enumerate(ctx.folds))
    for name, chosen in ((SMALL_NETWORK, [small]), (FINAL, final)):
        predicted[name] = predict_members(ctx.spec.space, members(ctx, chosen), ctx.dataset.facts, folds, test.x)
    seed = derive(ctx.spec.seed, "opening")
    scores = [
        TestScore(name, ctx.metric(test.y, p), *interval(ctx.metric, test.y, p, seed=seed))
        for name, p in predicted.items()
    ]
    rows = [Score(s.model, ctx.metric.name, s.value, s.low, s.high, len(test.y)) for s in scores]
    openings.record(opening.id, rows)
    lead = {
        s.model: (
            ctx.metric.sign * (scores[-1].value - s.value),
            difference_over_rows(ctx.metric, test.y, [predicted[FINAL]], [predicted[s.model]], seed=seed),
        )
        for s in scores[:-1]
    }
    return scores, opening.look, lead
