"""The values that go into the records and come out of them: frozen, never a row object of the database.

Numbers that are not finite cannot stand in every database. A trial's value keeps what it was (NaN or an infinity); any
other score that was not finite, or is not known yet, reads back as NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hpo.values import Check, Configuration, Diagnosis, RunRequest, RunResult, Verdict

StudyState = Literal["running", "stopping", "finished", "stopped", "failed"]
StageState = Literal["running", "done", "stopped", "failed"]
TrialState = Literal["running", "complete", "pruned", "failed"]
ClosedState = Literal["complete", "pruned", "failed"]
RunState = Literal["queued", "running", "done", "stopped", "dropped", "diverged", "failed"]
Origin = Literal[
    "sampler", "default", "handed_on", "portfolio", "warm_start", "remedy", "carried", "baseline", "small_network",
    "contender", "squeeze",
]  # fmt: skip
Purpose = Literal["search", "noise", "proof", "squeeze", "longer"]

FINISHED_RUN: tuple[RunState, ...] = ("done", "stopped", "dropped", "diverged", "failed")
"""The states of a run that nobody will change again."""


@dataclass(frozen=True)
class ArtifactRef:
    """Where an artifact lies and what it must contain."""

    uri: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class NewRun:
    """One training to queue."""

    request: RunRequest
    purpose: Purpose = "search"
    slots: int = 1
    """Slots of the cohort that it is to train in; a lease holds runs of one number of slots."""
    judged: bool = False
    """Whether it may give up its slot: at a rung, or when the time is up."""


@dataclass(frozen=True)
class OptunaParam:
    """One searched hyperparameter as Optuna's tables hold it."""

    name: str
    internal: float
    """The distribution's internal representation: a choice's position, the number itself otherwise."""
    distribution: str
    """`optuna.distributions.distribution_to_json`."""


@dataclass(frozen=True)
class ClosedTrial:
    """How a trial ended."""

    number: int
    state: ClosedState
    value: float | None
    """The stage's objective; None where there is none (failed, or pruned without one)."""
    training_loss: float
    validation_loss: float
    training_metric: float
    validation_metric: float
    parameters: int | None
    diagnosis: Diagnosis | None = None
    seconds: float = 0.0
    optuna_attrs: Mapping[str, str] = field(default_factory=dict)
    """System attributes of the Optuna trial: key to JSON text."""
    study_attrs: Mapping[str, str] = field(default_factory=dict)
    """System attributes of the Optuna study: key to JSON text."""
    rungs: Mapping[int, float] = field(default_factory=dict)
    """Values of the stage's objective on the way, by epoch: Optuna's intermediate values. May be NaN or infinite."""


@dataclass(frozen=True)
class NewTrial:
    """One configuration to try, with the runs it takes."""

    number: int
    origin: Origin
    configuration: Configuration
    """Complete: fixed and inactive hyperparameters too."""
    varied: frozenset[str]
    """The hyperparameters that a search chose."""
    structure: str
    """Hash of what decides the compiled program; a lease holds runs of one structure."""
    runs: tuple[NewRun, ...]
    optuna: tuple[OptunaParam, ...] = ()
    optuna_attrs: Mapping[str, str] = field(default_factory=dict)
    closed: ClosedTrial | None = None
    """For a trial that is finished already (carried over from an earlier attempt)."""


@dataclass(frozen=True)
class LeasedRun:
    """A run that one worker, and no other, has to train."""

    id: int
    trial_id: int
    stage_id: int
    trial_number: int
    request: RunRequest
    purpose: Purpose
    tries: int
    """How often it was leased, this time included."""
    slots: int = 1
    """Slots of the session that it is to train in."""
    structure: str = ""
    judged: bool = False
    """Whether it may give up its slot: at a rung, or when the time is up."""


ALL_FOLDS = -1
"""In place of a fold: the mean over all, of a trial that was carried over."""


@dataclass(frozen=True)
class SeenAtRung:
    """What a run had come to, as the records hold it."""

    number: int
    structure: str
    fold: int
    """Or `ALL_FOLDS`."""
    epoch: int
    value: float
    """NaN: diverged."""


@dataclass(frozen=True)
class Reached:
    """What a run had come to at a rung."""

    run: LeasedRun
    epoch: int
    value: float
    """The stage's objective there; NaN where the run has diverged."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a worker hands in. Without a result the run failed, and `error` says why."""

    id: int
    result: RunResult | None
    artifact: ArtifactRef | None = None
    error: str | None = None


@dataclass(frozen=True)
class Reclaimed:
    """Runs taken from workers that are gone."""

    requeued: tuple[int, ...]
    failed: tuple[int, ...]
    """Those tried too often."""


@dataclass(frozen=True)
class RunRow:
    """A run as the records hold it."""

    id: int
    trial_number: int
    fold: int
    seed: int
    purpose: Purpose
    state: RunState
    epochs: int
    """Epochs asked for."""
    epochs_trained: int
    best_epoch: int
    """0 while nothing is known."""
    training_loss: float
    validation_loss: float
    training_metric: float
    validation_metric: float
    parameters: int | None
    seconds: float
    engine: str | None
    engine_reason: str | None
    """Why this engine trained it."""
    slots: int | None
    """Slots of the cohort that it trained in, and before that is known, is to train in."""
    device: str | None
    worker_id: str | None
    tries: int
    artifact: ArtifactRef | None
    error: str | None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED_RUN


@dataclass(frozen=True)
class TrialRow:
    """A trial as the records hold it."""

    id: int
    number: int
    origin: Origin
    state: TrialState
    value: float | None
    configuration: Configuration
    varied: frozenset[str]
    structure: str
    training_loss: float
    validation_loss: float
    training_metric: float
    validation_metric: float
    gap: float
    parameters: int | None
    diagnosis: Diagnosis | None
    seconds: float
    optuna_attrs: Mapping[str, str]
    """System attributes of the Optuna trial: key to JSON text."""
    runs: tuple[RunRow, ...] = ()
    rungs: Mapping[int, float] = field(default_factory=dict)
    """The stage's objective at the rungs that all folds have reached, their mean, by epoch; NaN: diverged."""


@dataclass(frozen=True)
class StudyRow:
    """A study as the records hold it. Times are naive UTC."""

    id: int
    name: str
    spec: Mapping[str, Any]
    """The study file as plain values."""
    fingerprint: str
    seed: int
    state: StudyState
    task: str | None
    metric: str | None
    direction: str | None
    data_source: str | None
    data_fingerprint: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    leader_worker_id: str | None
    leader_until: datetime | None


@dataclass(frozen=True)
class StageRow:
    """One attempt at a stage. Times are naive UTC."""

    id: int
    study_id: int
    name: str
    attempt: int
    position: int
    state: StageState
    fingerprint: str
    optuna_study: str | None
    objective: str | None
    direction: str | None
    trials_planned: int
    started_at: datetime
    finished_at: datetime | None
    space: str | None
    """JSON text, as it was given."""
    verdict: Verdict | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Opening:
    """One look at the test set."""

    id: int
    study_id: int | None
    data_fingerprint: str
    frozen_hash: str
    look: int
    """1 for the first study that looked at these rows, 2 for the second."""
    opened_at: datetime
    repeated: bool
    """This study had opened it before, for the same frozen models."""


@dataclass(frozen=True)
class Score:
    """What one model scored in the opening of the test set."""

    model: str
    """`prior`, `linear`, `boosted_trees`, `small_network` or `final`."""
    metric: str
    value: float
    low: float
    high: float
    rows: int


Scores = Sequence[Score]
