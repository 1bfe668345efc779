"""Leases kept alive from a thread of their own.

A lease says that its holder is alive, and whoever holds one is busy for as long as an epoch, a boosted tree or an
export takes: no bound can be put on that, so nothing that trains can be trusted to come back in time to renew.
"""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hpo.errors import HpoError

JOIN_SECONDS = 30.0


class Keeper:
    """Calls `renew` every so many seconds until the `with` block ends, or `renew` says that there is nothing to keep.

    `renew` runs in the keeper's thread and must never take back a lease that lapsed and went to another. Where it
    fails (the database does not answer, the study was removed) it is asked again at the next turn: what lapses
    meanwhile is noticed by whoever writes under the lease.
    """

    def __init__(self, renew: Callable[[], bool], every: float) -> None:
        self._renew, self._every = renew, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hpo-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _keep(self) -> None:
        while not self._ended.wait(self._every):
            with contextlib.suppress(HpoError):
                if not self._renew():
                    return
