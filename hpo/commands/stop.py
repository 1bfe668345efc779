"""`hpo stop`: asks a study to end."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpo.records.rows import StudyState

EVERY_SECONDS = 0.5


def stop(storage: str, study: str) -> "tuple[StudyState, StudyState]":
    """(the study's state before, and now): see `hpo.records.stopping`. Raises InputError for an unknown name."""
    from hpo.records import stopping
    from hpo.records.database import connect
    from hpo.records.studies import Studies

    with connect(storage, create=False) as db:
        return Studies(db).get(study).state, stopping.stop(db, study)


def wait(storage: str, study: str, tell: Callable[[str], None] | None = None) -> "StudyState":
    """The state that a stopping study comes to, once it has; `stopped` too where its leader dies meanwhile.

    With `tell`, a server that does not answer any more is waited for, and `tell` hears of it.
    """
    from hpo.records import stopping
    from hpo.records.database import connect

    with connect(storage, create=False) as db:
        db.tell = tell
        # Only while it is stopping: one that was taken up again meanwhile is not asked a second time.
        while (state := stopping.stop(db, study, of=("stopping",))) == "stopping":
            time.sleep(EVERY_SECONDS)
        return state
