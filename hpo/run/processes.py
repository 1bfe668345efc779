"""Local worker processes: started, watched, replaced when they die or have grown too large, ended with the study."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from hpo.errors import Fault
from hpo.run.renewal import PARENT, POOLED, RENEWAL
from hpo.studyfile.code import code_of
from hpo.studyfile.spec import StudySpec
from hpo.training.devices import GPU_MEMORY, gpu_share, visible_gpu

RESTARTS = 3
"""How often a worker that dies early is replaced before the study gives up: something kills them all."""
EARLY_SECONDS = 300.0
"""A death after so long is an accident, of which a study of many days may have any number."""
LEAVE_SECONDS = 3.0
"""For workers to see that their study has ended, and to leave by themselves."""
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class _Started:
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]
    at: float
    """By `time.monotonic`."""


class Pool:
    """So many processes of `hpo worker`, on the GPUs in turns; those that share one share its memory.

    The URLs of database and artifacts travel in the environment, so that no password shows.
    """

    def __init__(
        self, spec: StudySpec, storage: str, count: int, *, data_dir: str | None, artifacts: str, memory: int | None,
        divide: bool = True,
    ) -> None:  # fmt: skip
        """`memory`: MiB that each may grow to. `divide`: share the cores among them, else as many threads as here."""
        self._command = [sys.executable, "-m", "hpo", "worker", spec.name]
        if code_of(spec):  # of this process's own study file
            self._command.append("--allow-code")
        if data_dir is not None:
            self._command += ["--data-dir", data_dir]
        self._environment = {
            **os.environ, "HPO_STORAGE": storage, "HPO_ARTIFACTS": artifacts, POOLED: str(memory or ""),
            PARENT: str(os.getpid()),
        }  # fmt: skip
        if divide:
            threads = str(max(1, (os.cpu_count() or 1) // count))
            self._environment |= {
                "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": threads,
            }  # fmt: skip
        if (share := gpu_share(count)) is not None:
            self._environment.setdefault(GPU_MEMORY, f"{share:.4g}")
        self.size, self._restarts = count, 0
        self.renewals = 0
        """Workers replaced because they had grown too large."""
        self._workers: list[_Started] = []

    def __enter__(self) -> Self:
        self._workers = [self._start(i) for i in range(self.size)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._wait(LEAVE_SECONDS)
        for worker in self._workers:
            worker.process.terminate()
        self._wait(GRACE_SECONDS)
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()
            worker.log.close()

    def _wait(self, seconds: float) -> None:
        """Until all have ended, or so long."""
        end = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            for worker in self._workers:
                worker.process.wait(max(0.0, end - time.monotonic()))

    def check(self) -> None:
        """Replace workers that died or left to be renewed. Raises Fault with the last words where they keep dying."""
        for i, worker in enumerate(self._workers):
            code = worker.process.poll()
            if code is None:
                continue
            if code == RENEWAL:
                self.renewals += 1
            elif time.monotonic() - worker.at < EARLY_SECONDS:
                self._restarts += 1
                if self._restarts > RESTARTS * self.size:
                    raise Fault(f"workers keep dying (exit code {code}): {_last_words(worker.log)}")
            worker.log.close()
            self._workers[i] = self._start(i)

    def _start(self, index: int) -> _Started:
        log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        gpu = visible_gpu(index)
        environment = self._environment if gpu is None else {**self._environment, "CUDA_VISIBLE_DEVICES": gpu}
        process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return _Started(process, log, time.monotonic())


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
