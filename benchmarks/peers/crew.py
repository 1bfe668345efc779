"""Trains runs of ours in sessions, those of one structure together, and counts what is lost on the way."""

import statistics
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hpo.records.rows import LeasedRun
from hpo.training.session import Session
from hpo.values import Configuration, RunResult, fingerprint

from .book import Book

_SESSIONS = 8
"""Kept open at once: a structure that comes back is not compiled anew."""


@dataclass
class Stretch:
    """What the advances of one session took, and how full it was."""

    session: Session
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


class Crew:
    """Runs the trials of a book through sessions."""

    def __init__(
        self, book: Book, *, sizing: Callable[[Configuration, int], int],
        opening: Callable[[Configuration, int], Session], trials: int, cohort: int, chunk: int,
    ) -> None:  # fmt: skip
        """`sizing`: slots for so many runs of a structure. `opening`: a session of them. `chunk`: epochs an advance."""
        self._book, self._sizing, self._opening = book, sizing, opening
        self._trials, self._cohort, self._chunk = trials, cohort, chunk
        self._waiting: dict[str, deque[LeasedRun]] = {}
        self._open: OrderedDict[str, Stretch] = OrderedDict()
        self.stretches: list[Stretch] = []
        self.results: list[tuple[Configuration, RunResult]] = []
        self.seconds = {"opening": 0.0, "handling": 0.0}

    def work(self) -> None:
        """Until every trial is closed."""
        while self._take(self._cohort):
            largest = max(self._waiting, key=lambda key: len(self._waiting[key]))
            self._serve(largest)
        for stretch in self._open.values():
            stretch.session.close()

    def empty_share(self) -> float:
        """The part of the sessions' time that slots stood empty, compilation apart."""
        lost = whole = 0.0
        for s in self.stretches:
            seconds = sum(s.times) - s.compiling
            lost += seconds * (1 - s.used / s.offered) if s.offered else 0.0
            whole += seconds
        return lost / whole if whole else 0.0

    def _take(self, most: int) -> int:
        """Ask for proposals unless a cohort waits already; how many runs wait then."""
        waiting = sum(map(len, self._waiting.values()))
        wanted = min(most, self._trials - self._book.asked)
        if wanted > 0 and waiting < self._cohort:
            for run in self._book.ask(wanted):
                self._waiting.setdefault(self._key(run), deque()).append(run)
            waiting += wanted
        return waiting

    def _key(self, run: LeasedRun) -> str:
        return fingerprint(self._book.space.structure(run.request.configuration))

    def _serve(self, key: str) -> None:
        """Train a group until none of it waits, refilling the slots that become free."""
        stretch = self._stretch(key)
        session = stretch.session
        running: dict[int, LeasedRun] = {}
        while self._fill(key, session, running):
            began = time.perf_counter()
            session.advance(self._chunk)
            stretch.times.append(time.perf_counter() - began)
            stretch.offered += stretch.slots * self._chunk
            done = [slot for slot in running if session.finished(slot)]
            began = time.perf_counter()
            results = {slot: session.result(slot) for slot in done}
            for slot in done:
                stretch.used += len(results[slot].curve)
                session.free(slot)
            self.seconds["handling"] += time.perf_counter() - began
            finished = [(running.pop(slot), results[slot]) for slot in done]
            self.results += [(run.request.configuration, result) for run, result in finished]
            if finished:
                self._book.hand_in(finished)

    def _fill(self, key: str, session: Session, running: dict[int, LeasedRun]) -> int:
        """Put waiting runs into free slots; how many slots are taken then."""
        free = [slot for slot in range(session.slots) if slot not in running]
        if free and not self._waiting.get(key):
            self._take(len(free))
        group = self._waiting.get(key, deque())
        began = time.perf_counter()
        for slot in free[: len(group)]:
            running[slot] = group.popleft()
            session.put(slot, running[slot].request)
        self.seconds["handling"] += time.perf_counter() - began
        if not group:
            self._waiting.pop(key, None)
        return len(running)

    def _stretch(self, key: str) -> Stretch:
        group = self._waiting[key]
        structure = group[0].request.configuration
        slots = self._sizing(structure, len(group))
        if key in self._open and self._open[key].slots == 1 < slots:
            # Opened when a single run of its structure was there: from now on they train together.
            self._open.pop(key).session.close()
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        if len(self._open) >= _SESSIONS:
            self._open.popitem(last=False)[1].session.close()
        began = time.perf_counter()
        stretch = Stretch(self._opening(structure, slots), slots)
        self.seconds["opening"] += time.perf_counter() - began
        self._open[key] = stretch
        self.stretches.append(stretch)
        return stretch
