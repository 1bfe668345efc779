"""`hpo status`: how far a study is."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpo.records.standing import Standing

LEASE_SECONDS = 30.0
"""Of a worker (`hpo.run.worker`, which takes two seconds to load): one not seen for longer is silent."""


def status(storage: str, study: str) -> "Standing":
    """Where a study stands now. Raises InputError for an unknown name."""
    from hpo.records.database import connect
    from hpo.records.standing import standing

    with connect(storage, create=False) as db:
        return standing(db, study, lease=LEASE_SECONDS)


def watch(storage: str, study: str, every: float, tell: Callable[[str], None] | None = None) -> "Iterator[Standing]":
    """Where a study stands, now and after every so many seconds, until it has ended.

    With `tell`, a server that does not answer any more is waited for, and `tell` hears of it.
    """
    from hpo.records.database import connect
    from hpo.records.standing import standing

    with connect(storage, create=False) as db:
        db.tell = tell
        while True:
            yield (now := standing(db, study, lease=LEASE_SECONDS))
            if now.over:
                return
            time.sleep(every)
