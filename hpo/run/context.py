"""What every stage of a running study needs at hand."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from hpo.data.dataset import Dataset
from hpo.metrics import METRICS, Metric
from hpo.recipe.flow import Done, Next
from hpo.recipe.stages import BY_NAME
from hpo.records.artifacts import ArtifactStore
from hpo.records.database import Database
from hpo.records.queue import Queue
from hpo.records.rows import StageRow, StudyRow
from hpo.records.studies import Studies
from hpo.run.events import Listener, StageStarted
from hpo.run.lanes import lanes_here
from hpo.space import SearchSpace
from hpo.space.plain import space_to_plain
from hpo.studyfile.spec import StudySpec
from hpo.training.baselines import Predictor
from hpo.values import Array, Configuration, Fold, fingerprint


@dataclass(eq=False)
class Context:
    """A study while it runs: its declaration, its data, its records, and whoever listens."""

    spec: StudySpec
    dataset: Dataset
    database: Database
    studies: Studies
    queue: Queue
    store: ArtifactStore
    study: StudyRow
    worker_id: str
    listener: Listener
    storage: str
    work: Callable[[], None]
    """Does, or waits for, some of the queued runs."""
    bundle: str
    """Folder for the exported network."""
    led_seconds: Callable[[datetime | None], float]
    """Wall-clock seconds in which the study was led so far, by this process or one before it; or since a moment."""
    workers: int = 1
    """Processes of this command that train: 1 is this very process; 0: only workers that join from elsewhere."""
    joined: int = 0
    """Workers at work that this command did not start, when last looked at."""
    elsewhere: tuple[Configuration, ...] = ()
    """What other studies ended with, to begin stages with."""
    deadline: float = math.inf
    """By `time.monotonic`: when no more runs of a search are begun."""
    started: float = field(default_factory=time.monotonic)
    slots: dict[str, int] = field(default_factory=dict)
    """What structures were given in this study, more than one, as far as this process has asked."""
    predictors: dict[str, list[Predictor]] = field(default_factory=dict)
    """Fitted baselines by name, one a fold."""

    @property
    def alone(self) -> bool:
        """Whether nobody but this process trains."""
        return self.workers == 1 and self.joined == 0

    @property
    def trainers(self) -> int:
        """Processes that train."""
        return max(1, self.workers + self.joined)

    @property
    def own_cohorts(self) -> int:
        """So many train side by side here: a lane each in this process, or one a worker."""
        return lanes_here() if self.workers == 1 else max(1, self.workers)

    @property
    def cohorts(self) -> int:
        """The same with those of workers that have joined."""
        return max(1, (self.own_cohorts if self.workers else 0) + self.joined)

    @property
    def metric(self) -> Metric:
        return METRICS[self.dataset.metric]

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        return tuple(self.dataset.fold(i) for i in range(self.dataset.folds))

    @cached_property
    def validation_targets(self) -> Array:
        """Targets of the validation rows in their own unit, fold after fold, (rows,)."""
        return np.concatenate([self.dataset.target_valid(i) for i in range(self.dataset.folds)])

    @property
    def target_scale(self) -> float:
        """Deviation of the training targets: what makes a squared error comparable to the networks' loss."""
        return self.folds[0].target_scale

    def begin(
        self, step: Next, done: Sequence[Done], *, space: SearchSpace | None = None, planned: int | None = 0,
        optuna_study: str | None = None,
    ) -> StageRow:  # fmt: skip
        """Begin a stage, or find it begun; its fingerprint stands for all that its result depends on."""
        stage = BY_NAME[step.stage]
        plain = None if space is None else space_to_plain(space)
        inputs = {
            "data": self.dataset.fingerprint,
            "space": plain,
            "spec": self.study.fingerprint,
            "planned": planned,
            "version": stage.version,
            "before": [[d.stage, d.attempt, d.verdict.decision, dict(d.verdict.hands_on)] for d in done],
        }
        searches = stage.objective == "training loss" or stage.objective == "validation metric"
        direction = "minimize" if stage.objective == "training loss" else self.metric.direction
        row = self.studies.begin_stage(
            self.study.id,
            step.stage,
            step.attempt,
            len(done),
            fingerprint(inputs),
            stage.objective,
            direction if searches else None,
            planned or 0,
            None if plain is None else json.dumps(plain),
            optuna_study,
        )
        if row.verdict is None:
            self.listener(StageStarted(step.stage, step.attempt, stage.question, planned or 0))
        return row


def optuna_name(study: str, stage: str, attempt: int) -> str:
    """`digits/tune`, and `digits/tune.2` for a second attempt."""
    return f"{study}/{stage}" if attempt == 1 else f"{study}/{stage}.{attempt}"
