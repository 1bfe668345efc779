"""What a running study tells whoever listens: plain values, in the order in which things happen."""

from collections.abc import Callable
from dataclasses import dataclass

from hpo.values import Verdict


@dataclass(frozen=True)
class Joined:
    """A process is at work on the study: the one that tells."""

    worker_id: str
    """Its identity in the records."""
    kind: str
    """`leader` or `worker`."""


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, or goes on after an interruption."""

    stage: str
    attempt: int
    question: str
    trials: int
    """Trials planned; 0 for a stage that does not search."""


@dataclass(frozen=True)
class TrialFinished:
    """A trial has its value."""

    stage: str
    attempt: int
    number: int
    value: float | None
    """None: diverged or failed."""
    best: float | None
    done: int
    planned: int
    seconds_left: float | None
    """Estimate for the stage from its trials so far; None before the first."""
    diagnosis: str


@dataclass(frozen=True)
class RunsFinished:
    """Runs that belong to no proposal (seeds, proofs) have ended."""

    stage: str
    attempt: int
    purpose: str
    done: int
    planned: int


@dataclass(frozen=True)
class StageFinished:
    """A stage has its verdict."""

    stage: str
    attempt: int
    verdict: Verdict
    seconds: float
    reused: bool = False
    """The verdict stood in the database already; nothing was trained."""


@dataclass(frozen=True)
class Note:
    """Something the user should know."""

    text: str


@dataclass(frozen=True)
class StudyFinished:
    """All verdicts are given and the bundle stands."""

    name: str
    bundle: str
    seconds: float


Event = Joined | StageStarted | TrialFinished | RunsFinished | StageFinished | Note | StudyFinished
Listener = Callable[[Event], None]
