"""The trials of a searching stage as its leader knows them."""

from collections.abc import Callable, Iterable, Sequence

from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, NewTrial, TrialRow
from hpo.records.trial_reading import as_closed


class Tally:
    """Trials in memory: read whole once, and from then on only those that were running, or are new.

    Nobody but the leader, who holds this, adds or closes trials, so that nothing else can have changed.
    """

    def __init__(self, queue: Queue, stage_id: int, cost: Callable[[TrialRow], float | None]) -> None:
        """`cost`: what a closed trial cost, less is better; None where it has no value."""
        self._queue, self._stage_id, self._cost = queue, stage_id, cost
        self.rows: dict[int, TrialRow] = {}
        """All trials, in the order of their numbers."""
        self.running: dict[int, TrialRow] = {}
        """Those that were not closed when last read, in the order of their numbers."""
        self.failed: list[TrialRow] = []
        self.costs: list[float | None] = []
        """Of the closed trials, in the order of their numbers."""
        self.new = 0
        """Trials that were not carried."""
        self.closed = 0
        """Those of them that have ended."""
        self.any_value = False
        self.best: float | None = None
        """The least cost; None before the first."""
        self._costs: dict[int, float | None] = {}
        self._take(queue.trials(stage_id))

    def read(self) -> None:
        """Read how what was running stands."""
        for trial in self._queue.progress(list(self.running.values())):
            self.rows[trial.number] = self.running[trial.number] = trial

    def add(self, new: Sequence[NewTrial]) -> None:
        """Take trials that were added to the records."""
        running = [n for n in new if n.closed is None]
        if len(running) < len(new):
            numbers = [n.number for n in new if n.closed is not None]
            self._take(self._queue.trials(self._stage_id, numbers=numbers))
        self._take(self._queue.added(self._stage_id, running))

    def close(self, ends: Iterable[ClosedTrial]) -> None:
        """Take trials as they were closed in the records."""
        self._take([as_closed(self.rows[end.number], end) for end in ends])

    @property
    def next_number(self) -> int:
        return next(reversed(self.rows), -1) + 1

    def _take(self, trials: Iterable[TrialRow]) -> None:
        for trial in trials:
            carried = trial.origin == "carried"
            self.new += trial.number not in self.rows and not carried
            self.rows[trial.number] = trial
            if trial.state == "running":
                self.running[trial.number] = trial
                continue
            self.running.pop(trial.number, None)
            self.closed += not carried
            self.any_value |= trial.state == "complete"
            if trial.state == "failed":
                self.failed.append(trial)
            cost = self._costs[trial.number] = self._cost(trial)
            if cost is not None:
                self.best = cost if self.best is None else min(cost, self.best)
        self.costs = [self._costs[number] for number in sorted(self._costs)]
