"""Processes that train are replaced when they have grown too large.

TensorFlow never frees a compiled program, and every structure compiles one: only the end of a process gives the memory
back. What a process holds besides is in the records, so another goes on where it stopped, with the same numbers.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

RENEWAL = 75
"""Exit code of a local worker that wants to be replaced; sysexits.h calls it a temporary failure: try again."""
POOLED = "HPO_WORKER_MEMORY"
"""In the environment of local workers: MiB that each may grow to. Who started them replaces them."""
PARENT = "HPO_PARENT"
"""In the environment of a process that goes with the one that started it: the number of that one."""
MEBIBYTE = 2**20
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def resident_memory() -> int:
    """Bytes of this process that lie in memory; where the system does not say, the most there ever were, or 0."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return 0


def machine_memory() -> int | None:
    """Bytes that this machine has, or this container may use; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(Path(limit).read_text()))
    return min(found, default=None)


def bound(stated: int | None, processes: int) -> int | None:
    """MiB that each of so many processes may grow to: as stated, else its part of half the machine; None: unknown."""
    if stated is not None:
        return stated
    total = machine_memory()
    return None if total is None else max(1, total // 2 // processes // MEBIBYTE)


class Allowance:
    """How much memory this process may use. Once passed it stays passed, whatever is freed."""

    def __init__(self, mebibytes: int | None, since: int = 0) -> None:
        """`since`: bytes that are not counted; None: any memory is allowed."""
        self._bytes, self._since, self._passed = mebibytes, since, False

    def passed(self) -> bool:
        """Whether this process has ever been seen beyond its bound."""
        if self._bytes is not None and not self._passed:
            self._passed = resident_memory() - self._since > self._bytes * MEBIBYTE
        return self._passed


def is_pooled() -> bool:
    """Whether another process started this local worker, watches it, and ends it."""
    return POOLED in os.environ


def orphaned() -> bool:
    """Whether the process that this one goes with has ended: perhaps before this one could look for the first time."""
    stated = os.environ.get(PARENT)
    return os.name == "posix" and stated is not None and stated != str(os.getppid())


def pooled() -> int | None:
    """MiB that the process which started this local worker allows it; None for a worker that joined by itself."""
    stated = os.environ.get(POOLED, "")
    return int(stated) if stated.isdigit() else None


def replace_process() -> NoReturn:
    """End this process so that another takes its place, by whoever started it or by itself with the same command."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pooled() is not None:
        sys.exit(RENEWAL)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
