"""What only other processes show: JAX without TensorFlow, one core or two, which GPU a worker sees."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpo.training.devices import gpu_names, visible_gpu

SCRIPT = """
import hashlib, json, sys
import numpy as np
from training_support import *
from hpo.training.skeleton import check_skeleton
from hpo.training.layers import hashed_bits
from hpo.training import backend
space = space_of()
busy = configured(space, dropout=0.3, input_noise=0.2, l2=0.01, l1=0.001, batch_normalization="after",
                  schedule="cosine", optimizer="adamw", early_stopping=4, units=24)
session = session_for(busy, slots=2)
first = trained(session, busy, epochs=4)
trained(session, {**busy, "learning_rate": 0.2, "optimizer": "nesterov"}, seed=2)
session.put(0, RunRequest(busy, 1, 0, 4)); session.put(1, RunRequest(busy, 3, 0, 4))
session.advance(2)
snapshot = session.snapshot(0)
session.free(0); session.restore(0, RunRequest(busy, 1, 0, 4), snapshot)
session.advance(2)
wild = trained(session_for(configured(space), facts=NUMBERS), configured(space, optimizer="sgd", learning_rate=1e4))
images = configured(space_of("cnn"), filters=2)
picture = trained(session_for(images, facts=IMAGES, model="cnn"), images)
checks = check_skeleton(space, busy, CLASSES, classes_fold(rows=200), 0)
digest = hashlib.sha256(b"".join(numbers_of(first))).hexdigest()
print(json.dumps({
    "same": numbers_of(first) == numbers_of(session.result(0)), "wild": wild.outcome, "digest": digest,
    "loss": first.validation_loss, "start": float(first.curve.training_loss[0]), "picture": picture.validation_loss,
    "checks": [c.status for c in checks], "bits": backend.host(hashed_bits((4,), 9, 8, 7)).tolist(),
    "tensorflow": "tensorflow" in sys.modules, "device": first.device,
}))
"""


def elsewhere(**environment):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent.parent)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_tensorflow():
    return elsewhere(KERAS_BACKEND="tensorflow")


@pytest.mark.slow
def test_jax_trains_and_never_imports_tensorflow(on_tensorflow):
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    seen = elsewhere(KERAS_BACKEND="jax")
    assert seen["tensorflow"] is False
    assert on_tensorflow["tensorflow"] is True
    assert seen["same"]
    assert on_tensorflow["same"]
    assert seen["wild"] == "diverged"
    assert seen["loss"] < 1.1
    assert seen["picture"] < 1.5
    assert set(seen["checks"]) == {"passed"} == set(on_tensorflow["checks"])
    assert seen["bits"] == on_tensorflow["bits"]


@pytest.mark.slow
def test_one_core_or_two_and_another_process_give_the_same_bits(on_tensorflow):
    one = elsewhere(KERAS_BACKEND="tensorflow", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    assert one["digest"] == on_tensorflow["digest"]


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
