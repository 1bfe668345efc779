"""A study outlives its leader: a worker that finds it without one starts a leader beside itself.

It is a process of its own: whoever leads must answer at once, and a worker is busy for as long as an epoch takes. The
worker first claims the lead, so that of many workers only one starts a process. That process goes with its worker; the
next one then takes its turn.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from hpo.records.workers import Workers
from hpo.run.leading import HEIR_OF, LEAD_SECONDS
from hpo.run.processes import EARLY_SECONDS
from hpo.run.renewal import PARENT

LOOK_SECONDS = 1.0
"""Between two looks for a leader."""
MOST_FAILURES = 3
"""Leaders of this worker that ended early, and before the study did; then it leaves leading to others."""
GRACE_SECONDS = 10.0


class Succession:
    """A worker's readiness to have the study led. `command`: what follows `python -m hpo` to lead it."""

    def __init__(
        self, workers: Workers, study_id: int, worker_id: str, *, command: list[str], storage: str,
        artifacts: str, tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._workers, self._study_id, self._worker_id, self._tell = workers, study_id, worker_id, tell
        self._command = [sys.executable, "-m", "hpo", *command]
        self._environment = {
            **os.environ, "HPO_STORAGE": storage, "HPO_ARTIFACTS": artifacts, HEIR_OF: worker_id,
            PARENT: str(os.getpid()),
        }  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self._failures, self._last_words = 0, "it said nothing"
        self._next = self._started = 0.0

    def look(self) -> None:
        """Start a leader where there is none, or where the one started here has ended."""
        if time.monotonic() < self._next or self._failures >= MOST_FAILURES:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            self._failures += time.monotonic() - self._started < EARLY_SECONDS
            if self._failures == MOST_FAILURES:
                self._tell(f"Leaders started here keep ending ({self._last_words}): leading is left to other workers.")
        elif self._workers.leaderless(self._study_id) and self._workers.lead(
            self._study_id, self._worker_id, LEAD_SECONDS
        ):
            self._tell("The study has no leader: one starts here.")
            self._process, self._started = self._start(), time.monotonic()

    def keep(self) -> None:
        """Renew the claim, from any thread, until the leader started here has taken the lead over.

        It loads the data first, for however long that takes; others would claim the lead, and refuse it, meanwhile.
        """
        process = self._process
        if process is not None and process.poll() is None:
            self._workers.keep_lead(self._study_id, self._worker_id, LEAD_SECONDS)

    def close(self) -> None:
        """End the leader started here; it leaves the study to the next."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> "subprocess.Popen[str]":
        # A session of its own: Ctrl-C in this terminal is meant for the worker, not for the study.
        process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(process,), name="hpo-leader-output", daemon=True).start()
        return process

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in filter(str.strip, lines):
                    self._last_words = line.strip()
                    self._tell(line.rstrip())
