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
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from hpo.errors import Fault
from hpo.records.rows import LeasedRun
from hpo.training.curves import Scores
from hpo.training.session import OutOfMemory, Session
from hpo.values import Outcome, RunResult


class _TrainingFailed(Exception):
    """Building or training a network raised `error`: it may be anything."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _telling(work: Callable[[], None]) -> None:
    """Do the work; whatever it raises is told apart from a fault, which concerns no run."""
    try:
        work()
    except Fault:
        raise
    except Exception as error:
        raise _TrainingFailed(error) from error


def ahead(slots: int) -> int:
    """Runs that wait for the slots of a cohort in training, while others follow."""
    return slots // 2


@dataclass(frozen=True, eq=False)
class Ended:
    """A run that has its result, or that raised: anything may, the framework or the user's model."""

    run: LeasedRun
    result: RunResult | None
    error: Exception | None = None


@dataclass(frozen=True)
class AtRung:
    """A run in training that has come to a rung."""

    run: LeasedRun
    epoch: int
    scores: Scores


@dataclass
class Step:
    """What came of one step."""

    ended: list[Ended] = field(default_factory=list)
    at_rungs: list[AtRung] = field(default_factory=list)
    epochs: int = 0
    """Trained in it."""


class Trainer:
    """Trains runs of one structure and one number of slots at a time.

    `structure` tells sessions apart; `open_` opens one for a run's structure with so many slots; `rungs` are the epochs
    at which a run is compared, rising, none for most.
    """

    def __init__(
        self, structure: Callable[[LeasedRun], Hashable], open_: Callable[[LeasedRun, int], Session],
        rungs: Callable[[LeasedRun], Sequence[int]] = lambda run: (),
    ) -> None:  # fmt: skip
        self._structure, self._open, self._rungs = structure, open_, rungs
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
    def in_training(self) -> list[LeasedRun]:
        """Runs that have begun and not ended, by slot."""
        return [self._training[slot] for slot in sorted(self._training)]

    @property
    def first(self) -> LeasedRun | None:
        """A run of the session that the next step takes; None of an idle trainer."""
        return None if self.idle else self._first()

    def is_open_for(self, run: LeasedRun) -> bool:
        """Whether the session that is open takes this run."""
        return self._session is not None and self._session[0][0] == self._structure(run)

    @property
    def room(self) -> int:
        """Runs to lease besides those that it has, so that a slot that comes free is filled at once.

        0 for an idle trainer, which takes any lease, and while half of those that are to wait still do: each look at
        the queue takes a lock that all workers share.
        """
        if self.idle:
            return 0
        found = self.slots + ahead(self.slots) - len(self._training) - len(self._waiting)
        return found if found > ahead(self.slots) // 2 else 0

    @property
    def slots(self) -> int:
        """Of the session that the next step takes; not to be asked of an idle trainer."""
        first = self._first()
        return min(first.slots, self._room.get(self._structure(first), first.slots))

    def add(self, runs: Iterable[LeasedRun]) -> None:
        """Let runs wait for a slot: of one stage, structure and number of slots, while any wait or train."""
        self._waiting.extend(runs)

    def drop(self) -> None:
        """Forget the runs that wait."""
        self._waiting.clear()

    def close(self) -> None:
        """Forget all runs and give the session's models up."""
        self._waiting.clear()
        self._training.clear()
        self._close_session()

    def advance(self, *, begin: bool = True) -> Step:
        """Fill free slots (unless told to `begin` no more), train, and give what has ended or come to a rung.

        By one epoch where there are several slots, so that each is refilled as soon as its run ends; else up to the
        run's next rung or its end. At least one run must wait or be in training. Raises Fault as it comes: it concerns
        no run.
        """
        step = Step()
        self._suspects = self._alike()
        self._guarded(step, lambda: self._train(begin, step))
        return step

    def give_up(self, runs: Collection[LeasedRun]) -> list[Ended]:
        """End runs in training where they stand, each with the result so far; those that wait or ended are let be."""
        step, ids = Step(), {run.id for run in runs}

        def work() -> None:
            if self._session is not None:
                for slot in [slot for slot, run in sorted(self._training.items()) if run.id in ids]:
                    self._end(self._session[1], slot, step, Outcome.DROPPED)

        self._guarded(step, work)
        return step.ended

    def _guarded(self, step: Step, work: Callable[[], None]) -> None:
        """Do some work on the session, and go on without the runs that an error is laid to."""
        if self.idle:
            return
        structure, slots = self._structure(self._first()), self.slots
        try:
            _telling(work)
        except _TrainingFailed as failed:
            if isinstance(failed.error, OutOfMemory) and slots > 1:
                self._room[structure] = slots // 2
                self._begin_anew(set())
            else:
                self._set_apart(failed.error, step.ended)

    def _train(self, begin: bool, step: Step) -> None:
        """One step of the session; what has ended goes to `step`, also where a later run raises."""
        session = self._opened(self._structure(self._first()), self.slots)
        if begin:
            self._fill(session)
        self._suspects = list(self._training.values())
        step.epochs = 1 if session.slots > 1 else self._to_the_next_rung(session)
        session.advance(step.epochs)
        for slot, run in sorted(self._training.items()):
            if session.finished(slot):
                self._end(session, slot, step)
            elif rungs := self._rungs(run):
                epoch, scores = session.latest(slot)
                if epoch in rungs:
                    step.at_rungs.append(AtRung(run, epoch, scores))

    def _to_the_next_rung(self, session: Session) -> int:
        """Epochs that the one run in training goes on for."""
        ((slot, run),) = self._training.items()
        trained, _ = session.latest(slot)
        return next((rung for rung in self._rungs(run) if rung > trained), run.request.epochs) - trained

    def _end(self, session: Session, slot: int, step: Step, outcome: Outcome | None = None) -> None:
        self._suspects = [self._training[slot]]
        result = session.result(slot)
        step.ended.append(Ended(self._training[slot], replace(result, outcome=outcome or result.outcome)))
        del self._training[slot]
        self._suspects = []
        session.free(slot)

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
