"""A baseline fitted by a process of its own while this one loads Keras and trains.

Boosting by a thread beside it, the interpreter's lock held them both up: 20.6 s for letter's baseline stage, 23.8 one
after the other, 17.9 by a process.
"""

import pickle
import subprocess
import sys

from hpo.errors import Fault
from hpo.training.baselines import BaselineKind, Predictor, fit
from hpo.values import Array, TaskFacts


def fit_beside(kind: BaselineKind, facts: TaskFacts, x: Array, y: Array, seed: int) -> Predictor:
    """What `fit` gives, from another process; to be called by a thread. Raises Fault where that process fails."""
    asked = pickle.dumps((kind, facts, x, y, seed))
    done = subprocess.run([sys.executable, "-m", __name__], input=asked, capture_output=True, check=False)
    if done.returncode:
        raise Fault(f"fitting {kind} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    found: Predictor = pickle.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(fit(*pickle.load(sys.stdin.buffer))))
