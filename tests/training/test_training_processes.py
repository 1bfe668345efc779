"""What only other processes show: JAX without TensorFlow, one core or two, which GPU a worker sees."""

import hashlib
from importlib.util import find_spec

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


def digest(result):
    return hashlib.sha256(b"".join(numbers_of(result))).hexdigest()


def bits():
    return backend.host(hashed_bits((40,), 9, 8, 7)).tolist()


@pytest.fixture
def seen(beside, request):
    """What the process of this test's name found."""
    if "jax" in request.node.name and find_spec("jax") is None:
        pytest.skip("jax is not installed")
    return beside.result(request.node.name)


@pytest.mark.slow
def test_jax_trains_and_never_imports_tensorflow(seen):
    assert seen["backend"] == "jax"
    assert seen["tensorflow"] is False
    assert seen["same"]
    assert seen["wild"] == "diverged"
    assert seen["loss"] < 1.3
    assert seen["picture"] < 1.5
    assert set(seen["checks"]) == {"passed"}
    assert seen["bits"] == bits()


@pytest.mark.slow
def test_one_core_in_another_process_gives_the_same_bits(seen):
    sessions = {engine: session_for(BUSY, engine=engine, space=SPACE) for engine in ("fit", "compiled")}
    assert seen == {engine: digest(trained(session, BUSY)) for engine, session in sessions.items()}


@pytest.mark.slow
def test_the_laws_of_a_cohort_hold_under_jax(seen):
    code, output, errors = seen
    print(output.splitlines()[-1])
    assert code == 0, output[-5000:] + errors[-2000:]


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
