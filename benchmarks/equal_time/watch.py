"""A contender's process: its clock, the best it has found so far, and what it hands over when its time is up."""

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.outcome import versions


class TimeUp(BaseException):
    """The contender's time is over. Not an Exception: searches keep those for failed trials."""


@dataclass(frozen=True)
class Found:
    """What a contender reached."""

    metric: str
    curve: list[tuple[float, float]]
    """(seconds from the start of its process, best validation score so far)"""
    validation: float | None
    """None: nothing was trained in time."""
    test: float | None
    """None: the contender came to no final model in time."""
    trials: int
    taken: float
    """Wall seconds of the search; of ours, of the whole command."""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class Watch:
    """Wakes the main thread when time is up; keeps the best."""

    def __init__(self, began: float, seconds: float, seed: int) -> None:
        self._began, self.seed = began, seed
        self.metric: Any = None
        """Known once the data is read."""
        self.curve: list[tuple[float, float]] = []
        self.best: tuple[float, Any] | None = None
        """Score, and whatever the model can be made of again."""
        self.trials = 0
        signal.signal(signal.SIGALRM, self._ring)
        # Again and again: an exception raised within a destructor or a callback of C code is lost.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds - self.elapsed()), 0.5)

    def elapsed(self) -> float:
        return time.time() - self._began

    def offer(self, score: float, model: Callable[[], Any]) -> None:
        """A model that was validated just now; `model` is called where it is the best so far."""
        if score == score and (self.best is None or self.metric.better(score, self.best[0])):
            self.best = score, model()
            self.curve.append((round(self.elapsed(), 2), score))

    def run(self, search: Callable[[], Any]) -> float:
        """Search until time is up; how long that was. A search that ends by itself ends earlier."""
        try:
            search()
        except TimeUp:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return self.elapsed()

    def _ring(self, number: int, frame: Any) -> None:
        raise TimeUp


def options(description: str | None) -> argparse.Namespace:
    """What a contender's process is asked."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--set", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--began", type=float, required=True, help="time.time() when the process was started")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


def compete(
    given: argparse.Namespace, search: Callable[[Any, Watch, Path], None], predict: Callable[[Any, Any], Any],
    packages: tuple[str, ...],
) -> None:  # fmt: skip
    """Run a search on a set and write what it found.

    search: (task, watch, folder) until stopped. predict: (task, what was kept of the best model) to its answers to the
    test rows, in the target's own unit.
    """
    watch = Watch(given.began, given.seconds, given.seed)
    opened: list[Any] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def timed() -> None:
            from .task import open_task

            task = open_task(given.set, given.seed, given.data_dir, Path(folder))
            watch.metric = task.metric
            opened.append(task)
            search(task, watch, Path(folder))

        taken = watch.run(timed)
        if watch.best is None:
            raise SystemExit("nothing was validated in time")
        task, (validation, kept) = opened[0], watch.best
        test = task.metric(task.test()[2], predict(task, kept))
        found = Found(task.metric.name, watch.curve, validation, test, watch.trials, taken, versions(*packages))
        given.output.write_text(json.dumps(asdict(found)))
