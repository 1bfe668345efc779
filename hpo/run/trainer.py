"""Trains leased runs in a session: fills its slots, frees and refills them, and goes on when memory or a run fails.

One session is open at a time. Two things go wrong without being a run's result:

- *No room.* The device cannot hold so many slots. Half as many are tried, down to one, every run from its start; the
  structure begins with that number from then on.
- *An error.* Where one run is known to have caused it (it could not be put in, its result could not be taken) that run
  is set apart; where it came while all were trained, all those in training are. Runs set apart are trained each by
  itself, in one slot, so that only a faulty one fails; the others begin anew, among as many slots as before.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from hpo.errors import Fault
from hpo.records.rows import LeasedRun
from hpo.training.session import OutOfMemory, Session
from hpo.values import RunResult


class _TrainingFailed(Exception):
    """Building or training a network raised `error`: it may be anything."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, eq=False)
class Ended:
    """A run that has its result, or that raised: anything may, the framework or the user's model."""

    run: LeasedRun
    result: RunResult | None
    error: Exception | None = None


class Trainer:
    """Trains runs of one structure and one number of slots at a time.

    `structure` tells sessions apart; `open_` opens one for a run's structure with so many slots.
    """

    def __init__(self, structure: Callable[[LeasedRun], Hashable], open_: Callable[[LeasedRun, int], Session]) -> None:
        self._structure, self._open = structure, open_
        self._waiting = deque[LeasedRun]()
        self._training: dict[int, LeasedRun] = {}
        self._session: tuple[tuple[Hashable, int], Session] | None = None
        self._room: dict[Hashable, int] = {}
        """Slots that a structure had memory for, where it was less than planned."""
        self._suspects: list[LeasedRun] = []
        """The runs that an error would be laid to."""

    @property
    def idle(self) -> bool:
        return not self._training and not self._waiting

    @property
    def training(self) -> bool:
        """Whether a run has begun and not ended."""
        return bool(self._training)

    @property
    def slots(self) -> int:
        """Of the session that the next step takes; not to be asked of an idle trainer."""
        first = self._first()
        return min(first.slots, self._room.get(self._structure(first), first.slots))

    def add(self, runs: Iterable[LeasedRun]) -> None:
        """Let runs wait for a slot: those of one lease, once what was there before has ended."""
        self._waiting.extend(runs)

    def drop(self) -> None:
        """Forget the runs that wait."""
        self._waiting.clear()

    def close(self) -> None:
        """Forget all runs and give the session's models up."""
        self._waiting.clear()
        self._training.clear()
        self._close_session()

    def advance(self, *, begin: bool = True) -> list[Ended]:
        """Fill free slots (unless told to `begin` no more), train, and give what has ended.

        By one epoch where there are several slots, so that each is refilled as soon as its run ends; else up to the
        run's end. At least one run must wait or be in training. Raises Fault as it comes: it concerns no run.
        """
        ended: list[Ended] = []
        self._suspects = self._alike()
        structure, slots = self._structure(self._first()), self.slots
        try:
            self._train(structure, slots, begin, ended)
        except _TrainingFailed as failed:
            if isinstance(failed.error, OutOfMemory) and slots > 1:
                self._room[structure] = slots // 2
                self._begin_anew(set())
            else:
                self._set_apart(failed.error, ended)
        return ended

    def _train(self, structure: Hashable, slots: int, begin: bool, ended: list[Ended]) -> None:
        """One step of the session; what has ended goes to `ended`, also where a later run raises."""
        try:
            session = self._opened(structure, slots)
            if begin:
                self._fill(session)
            self._suspects = list(self._training.values())
            session.advance(1 if session.slots > 1 else self._suspects[0].request.epochs)
            for slot in [slot for slot in sorted(self._training) if session.finished(slot)]:
                self._suspects = [self._training[slot]]
                ended.append(Ended(self._training[slot], session.result(slot)))
                del self._training[slot]
                self._suspects = []
                session.free(slot)
        except Fault:
            raise
        except Exception as error:
            raise _TrainingFailed(error) from error

    def _first(self) -> LeasedRun:
        return next(iter(self._training.values())) if self._training else self._waiting[0]

    def _alike(self) -> list[LeasedRun]:
        """The runs that the session to open is for."""
        slots = self._first().slots
        return [run for run in (*self._training.values(), *self._waiting) if run.slots == slots]

    def _opened(self, structure: Hashable, slots: int) -> Session:
        key = (structure, slots)
        if self._session is not None and self._session[0] == key:
            return self._session[1]
        self._close_session()
        session = self._open(self._first(), slots)
        self._session = (key, session)
        return session

    def _fill(self, session: Session) -> None:
        slots = self._first().slots
        for slot in range(session.slots):
            if slot not in self._training and self._waiting and self._waiting[0].slots == slots:
                self._suspects = [self._waiting[0]]
                session.put(slot, self._waiting[0].request)
                self._training[slot] = self._waiting.popleft()

    def _set_apart(self, error: Exception, ended: list[Ended]) -> None:
        blamed = self._suspects
        self._begin_anew({run.id for run in blamed})
        if blamed and blamed[0].slots == 1:
            ended.extend(Ended(run, None, error) for run in blamed)
        else:
            self._waiting.extend(replace(run, slots=1) for run in blamed)

    def _begin_anew(self, without: set[int]) -> None:
        """Let all but some runs wait for another session, those in training first. This one may be broken."""
        with contextlib.suppress(Exception):
            self._close_session()
        runs = [*(self._training[slot] for slot in sorted(self._training)), *self._waiting]
        self._training.clear()
        self._waiting = deque(run for run in runs if run.id not in without)

    def _close_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session[1], None
            session.close()
