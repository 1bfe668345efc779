"""From finished runs to a trial's scores and diagnosis."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from hpo.recipe.diagnosis import Scale, diagnose, of_cut_curve
from hpo.recipe.judging import Tried
from hpo.records.queue import Queue
from hpo.records.rows import ClosedState, ClosedTrial, RunRow, TrialRow
from hpo.values import Array, Curve, Diagnosis, LayerHealth


@dataclass(frozen=True)
class Seen:
    """What was recorded of runs besides their results, by run."""

    curves: Mapping[int, Curve]
    health: Mapping[int, tuple[LayerHealth, ...]]

    @classmethod
    def of(cls, queue: Queue, runs: Iterable[RunRow]) -> "Seen":
        """Read together: a query a run would cost more than all else that a trial's end takes."""
        ids = [r.id for r in runs]
        return cls(queue.curves(ids), queue.health(ids))


def mean(values: Sequence[float]) -> float:
    """Plain mean; NaN as soon as one value is, for a trial that diverged on one fold has diverged."""
    if len(values) == 1:  # of most trials, and hundreds of times a step
        return float(values[0])
    return float(np.mean(values)) if values else nan


def read(seen: Seen, runs: Sequence[RunRow], scale: Scale) -> Diagnosis:
    """The diagnosis of a trial from its runs: scores averaged over folds, curve and layers of the worst one."""
    diverged = [i for i, r in enumerate(runs) if r.state == "diverged"]
    worst = diverged[0] if diverged else max(range(len(runs)), key=lambda i: runs[i].validation_loss)
    found = diagnose(
        seen.curves[runs[worst].id],
        seen.health.get(runs[worst].id, ()),
        diverged=bool(diverged),
        training_loss=mean([r.training_loss for r in runs]),
        validation_loss=mean([r.validation_loss for r in runs]),
        scale=scale,
    )
    dropped = any(r.state == "dropped" for r in runs)
    return of_cut_curve(found, runs[worst].epochs_trained, runs[worst].epochs) if dropped else found


def closed(
    trial: TrialRow, runs: Sequence[RunRow], *, value: float | None, diagnosis: Diagnosis | None,
    state: ClosedState = "complete", attrs: Mapping[str, str] | None = None,
    study_attrs: Mapping[str, str] | None = None, rungs: Mapping[int, float] | None = None,
) -> ClosedTrial:  # fmt: skip
    """The trial's end, with its scores averaged over folds."""
    parameters = next((r.parameters for r in runs if r.parameters is not None), None)
    return ClosedTrial(
        trial.number,
        state,
        value,
        mean([r.training_loss for r in runs]),
        mean([r.validation_loss for r in runs]),
        mean([r.training_metric for r in runs]),
        mean([r.validation_metric for r in runs]),
        parameters,
        diagnosis,
        sum(r.seconds for r in runs),
        attrs or {},
        study_attrs or {},
        rungs or {},
    )


def at_rungs(columns: Sequence[Array], steps: Sequence[int]) -> dict[int, float]:
    """The objective at the rungs, whether runs are compared there or not: what the dashboard draws of a trial.

    columns: the objective after each epoch, (epochs trained,), one a fold. An epoch that a fold did not reach, or where
    the mean over folds is not finite, is left out.
    """
    reached = min((len(column) for column in columns), default=0)
    means = {step: mean([float(column[step - 1]) for column in columns]) for step in steps if 0 < step <= reached}
    return {step: value for step, value in means.items() if isfinite(value)}


def tried(trial: TrialRow) -> Tried:
    """A closed trial as the recipe sees it."""
    rung = 0
    if trial.state == "pruned" and trial.rungs and isfinite(trial.rungs[max(trial.rungs)]):
        rung = max(trial.rungs)
    value = trial.value if trial.state == "complete" and trial.value is not None and isfinite(trial.value) else None
    return Tried(
        trial.number,
        trial.configuration,
        value,
        trial.training_loss,
        trial.validation_loss,
        trial.training_metric,
        trial.validation_metric,
        trial.parameters or 0,
        trial.diagnosis.name if trial.diagnosis else "",
        trial.origin,
        trial.diagnosis.evidence.get("pace", 0.0) if trial.diagnosis else 0.0,
        rung,
        trial.rungs[rung] if rung else 0.0,
    )
