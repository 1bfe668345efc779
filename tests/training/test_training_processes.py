"""What only other processes show: JAX without TensorFlow, one core or two, which GPU a worker sees."""

import hashlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from training_support import configured, numbers_of, session_for, space_with, trained

from hpo.training import backend
from hpo.training.devices import gpu_names, visible_gpu
from hpo.training.layers import hashed_bits

SPACE = space_with("dropout", "input_noise", "l1", "l2")
BUSY = configured(
    SPACE, dropout=0.3, input_noise=0.2, l2=0.01, l1=0.001, batch_normalization="after", schedule="cosine",
    optimizer="adamw", early_stopping=4, units=24,
)  # fmt: skip

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


def digest(result):
    return hashlib.sha256(b"".join(numbers_of(result))).hexdigest()


def bits():
    return backend.host(hashed_bits((40,), 9, 8, 7)).tolist()


def elsewhere(script, before="", **environment):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent.parent)])
    done = subprocess.run(
        [sys.executable, "-c", before + COMMON + script], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_jax_trains_and_never_imports_tensorflow():
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    seen = elsewhere(EVERYTHING, KERAS_BACKEND="jax")
    assert seen["backend"] == "jax"
    assert seen["tensorflow"] is False
    assert seen["same"]
    assert seen["wild"] == "diverged"
    assert seen["loss"] < 1.3
    assert seen["picture"] < 1.5
    assert set(seen["checks"]) == {"passed"}
    assert seen["bits"] == bits()


@pytest.mark.slow
def test_one_core_in_another_process_gives_the_same_bits():
    seen = elsewhere(ONE_RUN, ONE_CORE, TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    assert seen == {e: digest(trained(session_for(BUSY, engine=e, space=SPACE), BUSY)) for e in ("fit", "compiled")}


@pytest.mark.slow
def test_the_laws_of_a_cohort_hold_under_jax():
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    here = Path(__file__).parent
    # In this order: the last test of the last file looks for TensorFlow.
    files = [str(here / name) for name in ("test_training_laws_step.py", "test_training_laws.py")]
    done = subprocess.run(
        [sys.executable, "-c", LAWS, str(here.parent.parent), *files], capture_output=True, text=True, check=False,
        env={"HPO_LAWS": "few", **os.environ, "PYTHONPATH": str(here.parent.parent), "KERAS_BACKEND": "jax"},
    )  # fmt: skip
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_workers_share_gpus_round_robin(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-abc")
    assert gpu_names() == ("3", "GPU-abc")
    assert [visible_gpu(i) for i in range(3)] == ["3", "GPU-abc", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert visible_gpu(4) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_names() == ()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpu(0) is None or len(gpu_names()) > 1
