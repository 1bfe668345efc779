"""Cohorts of several structures in training side by side, each in a thread of its own.

A structure's program takes seconds to compile, on one core: meanwhile another lane trains on the next. What a run
gives does not depend on the lanes, only the order in which runs end does. Runs in one slot (Keras's own loop, a model
of the user's) take turns: building such a model may draw from generators that belong to the process.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext

from hpo.records.rows import LeasedRun
from hpo.run.trainer import Ended, Trainer
from hpo.training.devices import gpu_names

MOST = 4
"""Lanes: more would hold more memory than a stage has structures open at a time."""


def lanes_here() -> int:
    """As many as this process has cores, within bounds; one where there is a GPU, which a cohort fills by itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if gpu_names() else min(MOST, cores)


class Lanes:
    """Some trainers, of which each takes a lease of its own."""

    def __init__(self, trainers: Iterable[Trainer]) -> None:
        self._trainers = list(trainers)
        self._pool = ThreadPoolExecutor(len(self._trainers), "hpo-lane")
        self._busy: dict[Future[list[Ended]], Trainer] = {}
        self._turn = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether there is no run, waiting, in training, or ended and not yet given by `advance`."""
        return not self._busy and all(trainer.idle for trainer in self._trainers)

    @property
    def training(self) -> bool:
        """Whether a run has begun and not been given by `advance`."""
        return bool(self._busy) or any(trainer.training for trainer in self._trainers)

    def take(self, lease: Callable[[], list[LeasedRun]]) -> None:
        """Give each trainer that has nothing to do the runs of a lease, until one comes back empty."""
        for trainer in self._resting():
            if trainer.idle:
                runs = lease()
                if not runs:
                    return
                trainer.add(runs)

    def drop(self) -> None:
        """Forget the runs that wait."""
        for trainer in self._trainers:
            trainer.drop()

    def advance(self, *, begin: bool) -> list[Ended]:
        """What has ended in the lane that comes back first; see `Trainer.advance`. Not all may be idle."""
        if len(self._trainers) == 1:
            return self._trainers[0].advance(begin=begin)
        for trainer in self._resting():
            if trainer.training or (begin and not trainer.idle):
                self._busy[self._pool.submit(self._advance, trainer, begin)] = trainer
        first = next(iter(wait(self._busy, return_when=FIRST_COMPLETED).done))
        del self._busy[first]
        return first.result()

    def close(self) -> None:
        """Wait for the lanes, then forget all runs and give the sessions' models up."""
        wait(self._busy)
        self._busy.clear()
        for trainer in self._trainers:
            trainer.close()
        self._pool.shutdown()

    def _advance(self, trainer: Trainer, begin: bool) -> list[Ended]:
        with self._turn if trainer.slots == 1 else nullcontext():
            return trainer.advance(begin=begin)

    def _resting(self) -> list[Trainer]:
        """Trainers that no thread is in."""
        busy = list(self._busy.values())
        return [trainer for trainer in self._trainers if trainer not in busy]
