"""Cohorts of several structures in training side by side, each in a thread of its own.

A structure's program takes seconds to compile, on one core: meanwhile another lane trains on the next. Runs in one slot
(Keras's own loop, a model of the user's) take turns: building such a model may draw from generators that belong to the
process.

What happens in lanes is told in an order that no clock decides: each lane has a time of its own, which grows by what
its epochs are estimated to cost, and the lane that is furthest behind is heard first. So the values that a run is
compared with at a rung, and the proposals that follow, are the same on a slow day as on a fast one. For the same reason
runs that are leased while a lane trains join it with its next step, never with the one that is under way.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import monotonic

from hpo.records.rows import LeasedRun
from hpo.run.trainer import Step, Trainer
from hpo.training.devices import gpu_names

MOST = 5
"""Lanes: more would hold more memory than a stage has structures open at a time."""
COMPILE = 1.5
"""Seconds that a program is taken to compile for: so far the other lanes may train ahead."""


def lanes_here() -> int:
    """One more than this process has cores, within bounds: in a cohort that is not refilled few slots are busy.

    One where there is a GPU, which a cohort fills by itself.
    """
    return 1 if gpu_names() else min(MOST, cores_here() + 1)


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Lane:
    trainer: Trainer
    number: int
    time: float = 0.0
    """Estimated seconds."""
    epoch: float = 1.0
    """What an epoch of its cohort is estimated to cost."""
    step: Future[Step] | None = None
    room: int = 0
    """Runs that it could still take, while a thread is in it."""
    first: LeasedRun | None = None
    """One of those that it has, while a thread is in it."""
    ask: float = 0.0
    """When to ask for more runs, where there were too few."""
    coming: list[LeasedRun] = field(default_factory=list)
    """Runs that were leased meanwhile."""

    @property
    def behind(self) -> tuple[float, int]:
        return self.time, self.number


class Lanes:
    """Some trainers, of which each takes a lease of its own.

    `cost`: estimated seconds of an epoch of a run's cohort. `pause`: where there were too few runs for a cohort in
    training, more are not asked for before so many seconds: none, where this process is the one that adds them.
    """

    def __init__(
        self, trainers: Iterable[Trainer], cost: Callable[[LeasedRun], float] = lambda run: 1.0, pause: float = 0.0
    ) -> None:
        self._lanes = [_Lane(trainer, number) for number, trainer in enumerate(trainers)]
        self._cost, self._pause = cost, pause
        self._pool = ThreadPoolExecutor(len(self._lanes), "hpo-lane")
        self._turn = threading.Lock()
        self._now = 0.0
        """The time of what was told last."""

    @property
    def idle(self) -> bool:
        """Whether there is no run, waiting, in training, or ended and not yet given by `advance`."""
        return all(lane.step is None and lane.trainer.idle for lane in self._lanes)

    @property
    def training(self) -> bool:
        """Whether a run has begun and not been given by `advance`."""
        return any(lane.step is not None or lane.trainer.training for lane in self._lanes)

    def take(self, lease: Callable[[LeasedRun | None, int], list[LeasedRun]]) -> None:
        """Fill the cohorts in training up, then give each lane that has nothing to do a lease, until one is empty.

        `lease`: runs for the session of a run, so many at most; or with None, any.
        """
        for lane in self._lanes:
            first, room = (lane.first, lane.room) if lane.step else (lane.trainer.first, lane.trainer.room)
            if first is not None and room and (not self._pause or monotonic() >= lane.ask):
                runs = lease(first, room)
                lane.ask = monotonic() + (self._pause if len(runs) < room else 0.0)
                lane.room = room - len(runs)
                (lane.coming.extend if lane.step else lane.trainer.add)(runs)
        idle = [lane for lane in self._lanes if lane.step is None and lane.trainer.idle]
        while idle:
            runs = lease(None, 0)
            if not runs:
                return
            for part in _parts(runs, min(len(idle), cores_here())):
                lane = idle.pop(0)
                lane.time = self._now + (0.0 if lane.trainer.is_open_for(runs[0]) else COMPILE)
                lane.epoch = self._cost(runs[0]) if len(self._lanes) > 1 else 1.0
                lane.trainer.add(part)

    def drop(self) -> None:
        """Forget the runs that wait. No lane may be in training."""
        for lane in self._lanes:
            lane.trainer.drop()

    def go_on(self, *, begin: bool, cohorts: bool = False) -> None:
        """Let each lane that has something to do take its next step; without `begin` no waiting run is begun.

        `cohorts`: only those of more than one slot.
        """
        for lane in self._lanes:
            if lane.step is not None or lane.trainer.idle or (cohorts and lane.trainer.slots == 1):
                continue
            if lane.trainer.training or begin:
                lane.room, lane.first = lane.trainer.room, lane.trainer.first
                lane.step = self._pool.submit(self._advance, lane.trainer, begin)

    def advance(self, patience: float | None = None) -> tuple[Trainer, Step] | None:
        """What came of the step of the lane that is furthest behind, which rests now; one must be in training.

        `patience`: seconds to wait for it; None is given where they were too few.
        """
        lane, step = min(
            ((lane, lane.step) for lane in self._lanes if lane.step is not None), key=lambda both: both[0].behind
        )
        if not wait([step], patience).done:
            return None
        lane.step = None
        try:
            found = step.result()
        finally:
            lane.trainer.add(lane.coming)
            lane.coming = []
        self._now = lane.time = lane.time + found.epochs * lane.epoch
        return lane.trainer, found

    def close(self) -> None:
        """Wait for the lanes, then forget all runs and give the sessions' models up."""
        wait([lane.step for lane in self._lanes if lane.step is not None])
        for lane in self._lanes:
            lane.step = None
            lane.coming = []
            lane.trainer.close()
        self._pool.shutdown()

    def _advance(self, trainer: Trainer, begin: bool) -> Step:
        with self._turn if trainer.slots == 1 else nullcontext():
            return trainer.advance(begin=begin)


def _parts(runs: Sequence[LeasedRun], most: int) -> list[Sequence[LeasedRun]]:
    """What each lane gets of a lease: all of a search's goes to one, for others bring structures of their own.

    Nothing follows a proof's runs: a core would stand idle, and a cohort half empty costs nearly as much as a full one.
    """
    if runs[0].purpose == "search" or runs[0].slots == 1:
        return [runs]
    return [part for part in (runs[i::most] for i in range(most)) if part]
