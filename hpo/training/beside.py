"""Baselines fitted by a process of its own while this one loads Keras and trains.

By a thread instead, the interpreter's lock held both up. The baseline stage of letter: 23.8 s one after the other, 20.6
with a thread, 17.9 with a process.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence

from hpo.errors import Fault
from hpo.training.baselines import BaselineKind, Predictor, fit
from hpo.values import Array, TaskFacts

Asked = tuple[BaselineKind, TaskFacts, Array, Array, int, float]
"""Arguments of `fit`."""


def fit_beside(asked: Sequence[Asked], threads: int) -> list[Predictor]:
    """What `fit` gives for each, from another process of so many threads. Raises Fault where that process fails."""
    bound = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    words = [sys.executable, "-m", __name__]
    done = subprocess.run(
        words, input=pickle.dumps(asked), capture_output=True, check=False, env={**os.environ, **bound}
    )
    if done.returncode:
        raise Fault(f"fitting baselines failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    found: list[Predictor] = pickle.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps([fit(*arguments) for arguments in pickle.load(sys.stdin.buffer)]))
