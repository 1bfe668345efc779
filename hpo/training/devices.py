"""Which GPU a worker process may see, and how much of it: decided before a framework is imported, so it knows none."""

import os
import subprocess
from math import ceil
from pathlib import Path

from hpo.errors import InputError, Problem

GPU_MEMORY = "HPO_GPU_MEMORY"
"""In the environment: the share of its GPU's memory that a process may take."""
SHARED = 0.9
"""Of a shared GPU's memory goes to its workers: a process takes some beside its arrays, and the leader may be there."""
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


def gpu_names() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` can name: what it already allows, else a number for each GPU of the driver."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1"))
    return tuple(str(i) for i in range(len(list(_NVIDIA.iterdir())))) if _NVIDIA.is_dir() else ()


def visible_gpu(worker_index: int) -> str | None:
    """The value of `CUDA_VISIBLE_DEVICES` for one of several workers, round robin; None where there is no choice."""
    names = gpu_names()
    return names[worker_index % len(names)] if len(names) > 1 else None


def gpu_share(workers: int) -> float | None:
    """The share of a GPU's memory for each of so many workers; None where each has its own, or there is none."""
    gpus = len(gpu_names())
    return SHARED / ceil(workers / gpus) if 0 < gpus < workers else None


def memory_share() -> float | None:
    """The share that this process was given; None: all it needs. Raises InputError where it is none."""
    stated = os.environ.get(GPU_MEMORY, "")
    if not stated:
        return None
    try:
        share = float(stated)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        problem = Problem("environment", GPU_MEMORY, "a share above 0, up to 1", stated, "Write 0.25 for a quarter.")
        raise InputError(problem)
    return share


def growing() -> dict[str, str]:
    """What the environment must say before a framework is imported, so that it takes memory as needed, up to the share.

    Of TensorFlow's share nothing is said here: it takes a number of MiB, by a call (`memory_limit`).
    """
    share, found = memory_share(), {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if share is not None and not any(name in os.environ for name in _FRACTIONS):  # JAX refuses both names together
        found[_FRACTIONS[0]] = f"{share:g}"
    return {name: value for name, value in found.items() if name not in os.environ}


def memory_limit() -> int | None:
    """MiB that this process may take of a GPU, of the smallest one here; None where all, or where nobody can say."""
    share = memory_share()
    if share is None:
        return None
    try:
        asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout
        return int(share * min(int(line) for line in told.split()))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
