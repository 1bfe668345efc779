"""Runs what only other processes show, one after another, beside the tests of this one: there is a core to spare."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

COMMON = """
import json, sys
from test_training_processes import BUSY, SPACE, backend, bits, digest
from training_support import *
from hpo.training.skeleton import check_skeleton
"""

ONE_CORE = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
"""

ONE_RUN = """
sessions = {engine: session_for(BUSY, engine=engine, space=SPACE) for engine in ("fit", "compiled")}
print(json.dumps({engine: digest(trained(session, BUSY)) for engine, session in sessions.items()}))
"""

LAWS = """
import sys
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", sys.argv[1], *sys.argv[2:]]))
"""

EVERYTHING = """
session = session_for(BUSY, slots=2, space=SPACE)
first = trained(session, BUSY)
trained(session, {**BUSY, "learning_rate": 0.2, "optimizer": "nesterov"}, seed=2)
request = RunRequest(BUSY, 1, 0, 3)
session.put(0, request)
session.put(1, RunRequest(BUSY, 3, 0, 3))
session.advance(2)
snapshot = session.snapshot(0)
session.free(0)
session.restore(0, request, snapshot)
session.advance(2)
plain = configured(SPACE, optimizer="sgd", learning_rate=1e4)
wild = trained(session_for(plain, facts=NUMBERS), plain)
images = configured(space_of("cnn"), filters=2)
picture = trained(session_for(images, facts=IMAGES, model="cnn"), images)
checks = check_skeleton(SPACE, BUSY, CLASSES, classes_fold(rows=200), 0)
print(json.dumps({
    "same": digest(first) == digest(session.result(0)), "wild": wild.outcome, "loss": first.validation_loss,
    "picture": picture.validation_loss, "checks": [c.status for c in checks], "bits": bits(),
    "tensorflow": "tensorflow" in sys.modules, "backend": backend.keras.backend.backend(),
}))
"""


class Beside:
    """Processes started in turn by a thread; whoever asks for one waits until it has ended."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._running: subprocess.Popen[str] | None = None
        self._ended: dict[str, Future[Any]] = {}
        self._over = False

    def start(self, name: str) -> None:
        """Queue a process by the name of its test."""
        self._ended[name] = self._pool.submit(PROCESSES[name], self._run)

    def result(self, name: str) -> Any:
        """What the process found; raises what went wrong with it."""
        return self._ended[name].result()

    def stop(self) -> None:
        """Let nothing outlive the tests."""
        self._over = True
        if self._running is not None:
            self._running.kill()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, arguments: list[str], **environment: str) -> tuple[int, str, str]:
        """(exit code, output, errors) of Python with these arguments."""
        self._running = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        if self._over:
            self._running.kill()
        output, errors = self._running.communicate()
        return self._running.returncode, output, errors


Run = Callable[..., tuple[int, str, str]]


def _script(run: Run, script: str, before: str = "", **environment: str) -> Any:
    code, output, errors = run(
        ["-c", before + COMMON + script], PYTHONPATH=os.pathsep.join([str(HERE), str(ROOT)]), **environment
    )
    assert code == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def _laws(run: Run) -> Any:
    # In this order: the last test of the last file looks for TensorFlow.
    files = [str(HERE / name) for name in ("test_training_laws_step.py", "test_training_laws.py")]
    laws = os.environ.get("HPO_LAWS", "few")
    return run(["-c", LAWS, str(ROOT), *files], HPO_LAWS=laws, PYTHONPATH=str(ROOT), KERAS_BACKEND="jax")


PROCESSES: dict[str, Callable[[Run], Any]] = {
    "test_the_laws_of_a_cohort_hold_under_jax": _laws,
    "test_jax_trains_and_never_imports_tensorflow": lambda run: _script(run, EVERYTHING, KERAS_BACKEND="jax"),
    "test_one_core_in_another_process_gives_the_same_bits": lambda run: _script(
        run, ONE_RUN, ONE_CORE, TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1"
    ),
}
if find_spec("jax") is None:
    PROCESSES = {name: process for name, process in PROCESSES.items() if "jax" not in name}
