"""Workers on a Ray cluster: placed where there is room, begun anew where their machine dies, ended with the study.

Each is an actor that keeps one `hpo worker` process beside itself, as a pool of one does on this machine: a process of
its own can be renewed, and Ray's own process never loads a framework. Actors that find no room wait for it, which is
what a cluster's autoscaler goes by. The database's URL travels among an actor's arguments, which Ray shows nobody.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpo.errors import Fault, InputError, Problem
from hpo.records import urls
from hpo.run.processes import GRACE_SECONDS, Pool
from hpo.run.renewal import bound
from hpo.studyfile.spec import StudySpec
from hpo.training.devices import GPU_MEMORY, SHARED

IDLE_SECONDS = 0.5
KNOCK_SECONDS = 10.0
ROOM_SECONDS = 60.0
"""After so long the user hears of workers that still wait for room."""
_CARRIED = ("HPO_", "KERAS_", "TF_", "XLA_", "JAX_")
"""What these begin is the same for all who train; the rest of the environment is each machine's own."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Ray is not to tell its makers of clusters that it starts, nor the terminal all that its machines go through."""
_HERE = (None, "", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Placement:
    """So many workers, and what each asks of the Ray cluster that this process is connected to."""

    workers: int
    cpus: float = 1.0
    gpus: float = 0.0
    """At most 1: a worker trains on one GPU."""


@contextmanager
def cluster(address: str, place: Placement, storage: str) -> Iterator[Placement]:
    """Connected to a Ray cluster: `auto`, `local` for one that lives as long as this block, HOST:PORT or ray://HOST:PORT.

    Raises InputError where Ray is not installed, nobody answers, or the cluster's machines cannot reach the database.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        remedy = 'pip install "hpo[ray]"'
        raise InputError(Problem("command line", "--on ray", "Ray", "none installed", remedy)) from None
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        remedy = (
            "Start one with `ray start --head`, or say --address local for one on this machine. "
            "One that asks for a token needs RAY_AUTH_MODE=token here too."
        )
        problem = Problem(
            "command line", "--address", "a Ray cluster that answers", f"{address} ({_line(error)})", remedy
        )
        raise InputError(problem) from None
    try:
        _refuse_unreachable(storage)
        yield place
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _refuse_unreachable(storage: str) -> None:
    """Raise InputError where the database is on this machine alone, and the cluster is not."""
    import ray

    url, here = urls.normalise(storage), ray.util.get_node_ip_address()
    elsewhere = sorted({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]} - {here})
    if elsewhere and (url.get_backend_name() == "sqlite" or url.host in _HERE):
        raise InputError(
            Problem(urls.label(url), "", f"a database server that {elsewhere[0]} can reach, for workers there",
                    "one on this machine", "Name a PostgreSQL or MariaDB server by its address, or use --on local.")
        )  # fmt: skip


class RayPool:
    """So many workers on the cluster that this process is connected to. Like `Pool`, but `memory` is as stated or None.

    `tell` hears where workers wait for room.
    """

    def __init__(
        self, spec: StudySpec, storage: str, place: Placement, *, data_dir: str | None, artifacts: str,
        memory: int | None, tell: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        carried = {name: value for name, value in os.environ.items() if name.startswith(_CARRIED)}
        self._given = (spec, storage, data_dir, artifacts, memory, place, carried, str(Path.cwd()))
        self._place, self._tell = place, tell
        self._late = time.monotonic() + ROOM_SECONDS
        self._actors: list[Any] = []
        self._kept: list[Any] = []

    def __enter__(self) -> Self:
        import ray

        worker = ray.remote(PlacedWorker).options(
            num_cpus=self._place.cpus, num_gpus=self._place.gpus, max_restarts=-1, max_task_retries=-1
        )
        self._actors = [worker.remote(*self._given) for _ in range(self._place.workers)]
        self._kept = [actor.keep.remote() for actor in self._actors]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        import ray

        with suppress(ray.exceptions.RayError):  # a cluster that is lost has lost its workers too
            for kept in self._kept:
                ray.cancel(kept)
            ray.wait(self._kept, num_returns=len(self._kept), timeout=GRACE_SECONDS)
            for actor in self._actors:
                ray.kill(actor)

    def check(self) -> None:
        """Raises Fault with the last words of a worker that keeps dying; of dead machines Ray takes care."""
        import ray

        ended, _ = ray.wait(self._kept, num_returns=len(self._kept), timeout=0)
        try:
            ray.get(ended)
        except ray.exceptions.RayError as error:
            raise Fault(_line(getattr(error, "cause", None) or error)) from None
        if time.monotonic() > self._late:
            self._late = float("inf")
            asked = [actor.__ray_ready__.remote() for actor in self._actors]
            placed = len(ray.wait(asked, num_returns=len(asked), timeout=1)[0])
            if placed < len(asked):
                self._tell(
                    f"Ray has placed {placed} of {len(asked)} workers; `ray status` says what the others wait for."
                )


class PlacedWorker:
    """The actor: one `hpo worker` process on whichever machine Ray has chosen."""

    def __init__(
        self, spec: StudySpec, storage: str, data_dir: str | None, artifacts: str, memory: int | None,
        place: Placement, carried: Mapping[str, str], folder: str,
    ) -> None:  # fmt: skip
        """`memory`: MiB as stated, else its part of half of this machine. `folder`: what relative paths begin at."""
        with suppress(OSError):
            os.chdir(folder)
        threads = str(max(1, int(place.cpus)))
        os.environ.update(carried)
        os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": threads}
        if not place.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray is about to leave it alone where none was asked for
        if 0 < place.gpus < 1:
            os.environ.setdefault(GPU_MEMORY, f"{place.gpus * SHARED:.4g}")
        self._pool = Pool(
            spec, storage, 1, data_dir=data_dir, artifacts=artifacts, memory=bound(memory, _room(place)), divide=False
        )

    async def keep(self) -> None:
        """Keep the process until this task is cancelled. Raises Fault where it keeps dying."""
        with self._pool as pool:
            while True:
                pool.check()
                await asyncio.sleep(IDLE_SECONDS)


def _room(place: Placement) -> int:
    """How many such workers the machine of this actor has room for."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    has = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
    asked = {"CPU": place.cpus, "GPU": place.gpus}
    return max(1, int(min(has.get(name, 0) / part for name, part in asked.items() if part)))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
