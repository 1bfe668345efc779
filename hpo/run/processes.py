"""Local worker processes: started, watched, replaced when they die or have grown too large, ended with the study."""

import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Self

from hpo.errors import Fault
from hpo.run.renewal import POOLED, RENEWAL
from hpo.training.devices import visible_gpu

RESTARTS = 3
"""How often a worker that dies is replaced before the study gives up: something kills them all."""
GRACE_SECONDS = 15.0


class Pool:
    """So many processes of `hpo worker`, each with a GPU of its own where there are several.

    The database's URL travels in the environment, so that no password shows.
    """

    def __init__(
        self, study: str, storage: str, count: int, *, data_dir: str | None, artifacts: str, memory: int | None,
        divide: bool = True,
    ) -> None:  # fmt: skip
        """`memory`: MiB that each may grow to. `divide`: share the cores among them, else as many threads as here."""
        self._command = [sys.executable, "-m", "hpo", "worker", study, "--artifacts", artifacts]
        if data_dir is not None:
            self._command += ["--data-dir", data_dir]
        self._environment = {**os.environ, "HPO_STORAGE": storage, POOLED: str(memory or "")}
        if divide:
            threads = str(max(1, (os.cpu_count() or 1) // count))
            self._environment |= {
                "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": threads,
            }  # fmt: skip
        self._count, self._restarts = count, 0
        self.renewals = 0
        """Workers replaced because they had grown too large."""
        self._workers: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def __enter__(self) -> Self:
        self._workers = [self._start(i) for i in range(self._count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process, _ in self._workers:
            process.terminate()
        for process, log in self._workers:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    def check(self) -> None:
        """Replace workers that died or left to be renewed. Raises Fault with the last words where they keep dying."""
        for i, (process, log) in enumerate(self._workers):
            if process.poll() is None:
                continue
            if process.returncode == RENEWAL:
                self.renewals += 1
            elif self._restarts >= RESTARTS * self._count:
                raise Fault(f"workers keep dying (exit code {process.returncode}): {_last_words(log)}")
            else:
                self._restarts += 1
            log.close()
            self._workers[i] = self._start(i)

    def _start(self, index: int) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        gpu = visible_gpu(index)
        environment = self._environment if gpu is None else {**self._environment, "CUDA_VISIBLE_DEVICES": gpu}
        process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return process, log


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
