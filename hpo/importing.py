"""The user's own modules, which may lie beside a study file."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable(folder: str | Path, *, first: bool = True) -> Iterator[None]:
    """Modules in the folder can be imported within; `sys.path` is as before afterwards.

    first: they hide installed ones of the same name. Not so where a whole study runs inside, whose folder may hold any
    names.
    """
    before, entry = list(sys.path), str(Path(folder).resolve())
    if first:
        sys.path.insert(0, entry)
    elif entry not in before:
        sys.path.append(entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
