"""The interface between whoever has runs to train and the engine that trains them.

A session serves one structure on one data set. It has a fixed number of slots; each holds at most one run.

- *Ownership.* `put` hands a run over; until `free`, its state belongs to the session.
- *Ordering.* Slots are independent: what one does changes no number of another, bit for bit.
- *Divergence.* A run whose loss becomes NaN or infinite ends as `diverged`; that is a result, never an error.
- *Structure.* Every run of a session has the same `SearchSpace.structure`; `put` raises `ValueError` otherwise.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from hpo.training.curves import Scores
from hpo.values import RunRequest, RunResult


class OutOfMemory(Exception):
    """The device has no room for so many slots: open a session with fewer, and put the runs in again."""


class Session(Protocol):
    """A cohort in training."""

    @property
    def slots(self) -> int:
        """How many runs can be in training at once."""

    def put(self, slot: int, request: RunRequest) -> None:
        """Begin a run in a free slot. Raises ValueError where the slot is taken."""

    def advance(self, epochs: int) -> None:
        """Train every occupied, unfinished slot by up to so many epochs: its own end may come sooner."""

    def finished(self, slot: int) -> bool:
        """Whether the slot's run has ended: done, stopped or diverged."""

    def latest(self, slot: int) -> tuple[int, Scores]:
        """Epochs trained so far, and the scores after the last of them (NaN before the first): costs nothing."""

    def result(self, slot: int) -> RunResult:
        """The run so far, final once `finished`. Raises ValueError on an empty slot."""

    def free(self, slot: int) -> None:
        """Empty a slot."""

    def snapshot(self, slot: int) -> Mapping[str, Any]:
        """All that is needed to go on later, bit for bit: arrays and plain values."""

    def restore(self, slot: int, request: RunRequest, snapshot: Mapping[str, Any]) -> None:
        """Put a run into a free slot at the point where `snapshot` was taken."""

    def close(self) -> None:
        """Give up models and memory."""
