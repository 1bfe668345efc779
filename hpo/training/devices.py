"""Which GPU a worker process may see. Knows no framework: it must be decided before one is imported."""

import os
from pathlib import Path

_NVIDIA = Path("/proc/driver/nvidia/gpus")


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
