"""Worker processes whose training sleeps, on the real worker's path: leases, rungs, commits, artifacts.

    python benchmarks/scale/workers.py STUDY --storage URL [--processes 8] [--milliseconds 50] [--artifacts DIR]

Processes are forked from one that has imported everything and holds no connection, so that 64 of them start in seconds;
each ends with the study (or with this process). Their numbers are printed, one a line, so that a test may kill some;
`Crew` does the same from Python and, with `renew`, puts a new process in the place of one that died.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import counting
from simulated import install

from hpo.run import joining
from hpo.run.events import Event, Note
from hpo.run.succession import Succession

COUNTS_FOLDER = "HPO_SCALE_COUNTS"
"""Environment variable: where each worker writes at its end what it asked of the database."""


def train(
    study: str, storage: str, milliseconds: float, artifacts: str | None = None, compile_seconds: float = 0.0,
    heir: Sequence[str] = (),
) -> None:  # fmt: skip
    """What one process does: `hpo worker STUDY` without Keras, until the study ends or SIGTERM comes.

    `heir`: the command of a leader to start where the study has none, in place of `hpo resume`.
    """
    joining.Succession = partial(_Succession, heir=heir)  # type: ignore[assignment, misc]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    install(milliseconds, compile_seconds)
    if folder := os.environ.get(COUNTS_FOLDER):
        counting.install(folder)
    while joining.work(study, storage=storage, artifacts=artifacts, listener=_tell):
        pass
    if folder:
        counting.write(folder)


def _tell(event: Event) -> None:
    """What a user would hear, apart from the ends of runs."""
    if isinstance(event, Note) and not event.text.startswith("trial "):
        print(f"worker {os.getpid()}: {event.text}", file=sys.stderr, flush=True)


def leader(study: str, storage: str, trials: int, slots: int) -> list[str]:
    """The command of a leader that leaves the training to workers."""
    script = str(Path(__file__).resolve().parent / "leader.py")
    numbers = ["--trials", str(trials), "--workers", "0", "--slots", str(slots)]
    return [sys.executable, script, study, "--storage", storage, *numbers]


class _Succession(Succession):
    def __init__(self, *given: Any, heir: Sequence[str], **more: Any) -> None:
        super().__init__(*given, **more)
        self._command = list(heir)

    def look(self) -> None:
        if self._command:
            super().look()


class Crew:
    """So many such processes, ended with the `with` block. `pids` are theirs."""

    def __init__(
        self, study: str, storage: str, count: int, milliseconds: float, artifacts: str | None = None, *,
        compile_seconds: float = 0.0, renew: bool = False, heir: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._given = (study, storage, milliseconds, artifacts, compile_seconds, tuple(heir))
        self._count, self._renew = count, renew
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        self._processes = [self._start() for _ in range(self._count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.pid is not None]

    def check(self) -> int:
        """How many live; the dead are replaced where that was asked for."""
        alive = [process.is_alive() for process in self._processes]
        if self._renew:
            self._processes = [p if on else self._start() for p, on in zip(self._processes, alive, strict=True)]
        return sum(alive)

    def _start(self) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["workers"])
        process = context.Process(target=train, args=self._given, daemon=True)
        process.start()
        return process


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--milliseconds", type=float, default=50.0, help="a run takes so long, beside its cohort")
    parser.add_argument("--compile", type=float, default=0.0, help="seconds that a structure takes to open")
    parser.add_argument("--artifacts")
    parser.add_argument("--trials", type=int, help="of the study: find a leader where it has none, with --slots")
    parser.add_argument("--slots", type=int, default=32)
    given = parser.parse_args()
    heir = [] if given.trials is None else leader(given.study, given.storage, given.trials, given.slots)
    with Crew(
        given.study, given.storage, given.processes, given.milliseconds, given.artifacts,
        compile_seconds=given.compile, heir=heir,
    ) as crew:  # fmt: skip
        print(*crew.pids, sep="\n", flush=True)
        while crew.check():
            time.sleep(0.2)


if __name__ == "__main__":
    main()
