"""Which GPU each worker sees and how much of it, by what would be set: no GPU is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.run.processes import Pool
from hpo.studyfile.spacefile import load_space
from hpo.studyfile.spec import DataSpec, StudySpec
from hpo.training.devices import GPU_MEMORY, gpu_share, growing, memory_limit, visible_gpu

SETTINGS = (
    "TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION", GPU_MEMORY,
)  # fmt: skip
WINE = StudySpec(
    "wine", load_space({"model": "mlp", "architecture": {"units": {"int": [4, 64]}}}), DataSpec("sklearn:wine")
)
GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("gpus", "workers", "share"),
    [("0,1", 8, 0.225), ("0,1", 3, 0.45), ("0,1", 2, None), ("0", 4, 0.225), ("0", 1, None), ("", 8, None)],
)
def test_workers_that_share_a_gpu_share_its_memory(
    monkeypatch: pytest.MonkeyPatch, gpus: str, workers: int, share: float | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert gpu_share(workers) == share
    pool = Pool(WINE, "sqlite://", workers, data_dir=None, artifacts="a", memory=None)
    assert pool._environment.get(GPU_MEMORY) == (None if share is None else f"{share:g}")
    if gpus == "0,1":
        assert [visible_gpu(i) for i in range(4)] == ["0", "1", "0", "1"]


def test_frameworks_take_memory_as_needed_up_to_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert growing() == GROWTH
    monkeypatch.setenv(GPU_MEMORY, "0.225")
    assert growing() == GROWTH | {"XLA_CLIENT_MEM_FRACTION": "0.225"}


def test_what_a_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv(GPU_MEMORY, "0.1")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.3")
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    assert growing() == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    pool = Pool(WINE, "sqlite://", 4, data_dir=None, artifacts="a", memory=None)
    assert pool._environment[GPU_MEMORY] == "0.1"


@pytest.mark.parametrize(("says", "limit"), [("echo 81920; echo 40960", 10240), ("exit 9", None), ("echo no", None)])
def test_tensorflow_s_limit_is_the_share_of_the_smallest_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, limit: int | None
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{says}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert memory_limit() is None
    monkeypatch.setenv(GPU_MEMORY, "0.25")
    assert memory_limit() == limit


@pytest.mark.parametrize("share", ["a quarter", "0", "25", "nan"])
def test_what_is_no_share_is_said_so(monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    monkeypatch.setenv(GPU_MEMORY, share)
    with pytest.raises(InputError, match="HPO_GPU_MEMORY: expected a share above 0, up to 1"):
        memory_limit()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_backend_says_so_before_the_framework_comes(backend: str) -> None:
    code = (
        "import os; from hpo.training.backend import prepare; print(prepare());"
        f"print(*[os.environ[n] for n in {SETTINGS[:3]}])"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, GPU_MEMORY: "0.25", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["cpu", "true", "false", "0.25"], done.stderr
