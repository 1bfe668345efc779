"""Counts what this process asks of its database: transactions, statements, rows sent, by verb of the queue.

`install` before anything connects; what was counted is in `COUNTS`, and `write` puts it into a folder, one file a
process.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

COUNTS: Counter[str] = Counter()
_BEGAN: list[float] = []
VERBS = ("lease", "commit", "rungs", "add_trials", "close_trials", "progress", "trials", "curves", "health", "slots",
         "reclaim", "renew", "get")  # fmt: skip
"""Methods of `Queue` and `Studies` under which a statement is counted; the rest goes as `other`."""


def install(folder: str | None = None) -> None:
    """Count from now on."""
    event.listen(Engine, "before_cursor_execute", _statement)
    event.listen(Engine, "begin", _begin)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)


def write(folder: str) -> None:
    """With the processor seconds that were spent since the first lease: starting a process is not counted."""
    COUNTS["processor"] = time.process_time() - (_BEGAN or [time.process_time()])[0]  # type: ignore[assignment]
    (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(COUNTS))


def read(folder: str) -> Counter[str]:
    """What all processes wrote, added up."""
    found: Counter[str] = Counter()
    for file in Path(folder).glob("*.json"):
        found.update(json.loads(file.read_text()))
    return found


def total(counts: Counter[str], what: str) -> int:
    """Over all verbs."""
    return sum(n for key, n in counts.items() if key.startswith(what))


def _verb() -> str:
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.endswith(("records/queue.py", "records/studies.py")):
            name: str = frame.f_code.co_name
            if name in VERBS:
                return name
        frame = frame.f_back
    return "other"


def _begin(connection: Any) -> None:
    COUNTS[f"transactions {_verb()}"] += 1


def _statement(connection: Any, cursor: Any, statement: str, given: Any, context: Any, many: bool) -> None:
    verb = _verb()
    if verb == "lease" and not _BEGAN:
        _BEGAN.append(time.process_time())
    COUNTS[f"statements {verb}"] += 1
    if many:
        COUNTS[f"rows {verb}"] += len(given)
