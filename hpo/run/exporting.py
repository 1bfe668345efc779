"""The final network as a bundle: a folder for the user, and the same folder packed into the artifact store."""

import io
import zipfile
from collections.abc import Sequence

from hpo.recipe.squeezing import TestScore
from hpo.run.bundles import KIND
from hpo.run.context import Context
from hpo.run.library import Candidate, members
from hpo.training.export import export_bundle
from hpo.values import Verdict


def export_final(ctx: Context, final: Sequence[Candidate], scores: Sequence[TestScore], verdict: Verdict) -> None:
    """Write the bundle, and keep a packed copy with the records so that `hpo export` can give it out again."""
    info = export_bundle(
        ctx.bundle,
        space=ctx.spec.space,
        members=members(ctx, final),
        facts=ctx.dataset.facts,
        folds=dict(enumerate(ctx.folds)),
        preprocessing=ctx.dataset.preprocessing,
        metric=ctx.metric,
        extra={
            "study": ctx.spec.name,
            "members": [c.label for c in final],
            "test": {s.model: {"value": s.value, "low": s.low, "high": s.high} for s in scores},
            "verdict": verdict.sentence,
        },
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in info.path.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(info.path))
    ref = ctx.store.put(f"{ctx.spec.name}/bundle.zip", packed.getvalue())
    ctx.studies.record_artifact(ctx.study.id, KIND, ref)
