"""Trains runs of ours as a worker of `hpo run` does, in lanes, and counts what is lost on the way."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hpo.records.rows import LeasedRun
from hpo.run.lanes import Lanes
from hpo.run.trainer import Trainer
from hpo.training.session import Session
from hpo.values import Configuration, RunResult, fingerprint

from .book import Book


@dataclass
class Stretch:
    """What the advances of one session took, and how full it was."""

    slots: int
    times: list[float] = field(default_factory=list)
    offered: int = 0
    """Epochs that its slots could have trained."""
    used: int = 0

    @property
    def compiling(self) -> float:
        """The first advance beyond a typical one; all of it where there was no other."""
        if len(self.times) < 2:
            return sum(self.times)
        return max(0.0, self.times[0] - statistics.median(self.times[1:]))


class _Timed:
    """A session whose advances are timed."""

    def __init__(self, session: Session, stretch: Stretch) -> None:
        self._session, self._stretch = session, stretch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def advance(self, epochs: int) -> None:
        began = time.perf_counter()
        self._session.advance(epochs)
        self._stretch.times.append(time.perf_counter() - began)
        self._stretch.offered += self._stretch.slots * epochs

    def result(self, slot: int) -> RunResult:
        result = self._session.result(slot)
        self._stretch.used += len(result.curve)
        return result


class Crew:
    """Runs the trials of a book."""

    def __init__(
        self, book: Book, *, sizing: Callable[[Configuration, int], int],
        opening: Callable[[Configuration, int], Session], trials: int, cohort: int, lanes: int,
    ) -> None:  # fmt: skip
        """`sizing`: slots for so many runs of a structure. `opening`: a session of them."""
        self._book, self._sizing, self._opening, self._trials, self._cohort = book, sizing, opening, trials, cohort
        self._lanes = lanes
        self._waiting: dict[str, list[LeasedRun]] = {}
        self._slots: dict[str, int] = {}
        self.stretches: list[Stretch] = []
        self.results: list[tuple[Configuration, RunResult]] = []

    def work(self) -> None:
        """Until every trial is closed."""
        lanes = Lanes(Trainer(self._key, self._open) for _ in range(self._lanes))
        lanes.take(self._lease)
        while not lanes.idle:
            finished = []
            for ended in lanes.advance(begin=True):
                if ended.result is None:
                    raise ended.error or RuntimeError("a run ended without a result")
                finished.append((ended.run, ended.result))
            self.results += [(run.request.configuration, result) for run, result in finished]
            if finished:
                self._book.hand_in(finished)
            lanes.take(self._lease)
        lanes.close()

    def empty_share(self) -> float:
        """The part of the sessions' time that slots stood empty, compilation apart."""
        lost = whole = 0.0
        for s in self.stretches:
            seconds = sum(s.times) - s.compiling
            lost += seconds * (1 - s.used / s.offered) if s.offered else 0.0
            whole += seconds
        return lost / whole if whole else 0.0

    def _lease(self) -> list[LeasedRun]:
        """The runs of the structure that most wait for; new proposals where none of a whole batch is left."""
        wanted = min(self._cohort, self._trials - self._book.asked)
        if not self._waiting and wanted > 0:
            for run in self._book.ask(wanted):
                self._waiting.setdefault(self._key(run), []).append(run)
        if not self._waiting:
            return []
        key = max(self._waiting, key=lambda k: len(self._waiting[k]))
        group = self._waiting.pop(key)
        slots = self._slots.setdefault(key, self._sizing(group[0].request.configuration, len(group)))
        return [replace(run, slots=slots) for run in group]

    def _key(self, run: LeasedRun) -> str:
        return fingerprint(self._book.space.structure(run.request.configuration))

    def _open(self, run: LeasedRun, slots: int) -> Session:
        stretch = Stretch(slots)
        session = self._opening(run.request.configuration, slots)
        self.stretches.append(stretch)
        return _Timed(session, stretch)
