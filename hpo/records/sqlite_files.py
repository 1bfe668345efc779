"""SQLite's files: their places looked at before SQLite touches them, and made whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

from sqlalchemy.engine import URL

from hpo.errors import InputError, Problem
from hpo.records import urls, versions
from hpo.records.connection import Database


def prepare(url: URL, *, create: bool) -> None:
    """See that the file can serve; raises InputError otherwise. One that is missing is made whole where `create`."""
    path, label = Path(url.database or ""), urls.label(url)
    if path.is_dir():
        raise InputError(Problem(label, "", "a file", "a folder", f"Name a file in it: sqlite:///{path}/hpo.db"))
    if not path.exists():
        if not create:
            remedy = "Check the path, or begin a study there with `hpo run`."
            raise InputError(Problem(label, "", "a database that exists", "no such file", remedy))
        if not path.parent.is_dir():
            raise InputError(
                Problem(
                    label, "", "a file in a folder that exists", f"no folder {path.parent}", "Make the folder first."
                )
            )
        _make(url, path, label)
        return
    # The file is not opened here to look at it: by POSIX's rules, closing it would take this process's locks on it from
    # SQLite's own connections, and the next process to leave would delete their journal.
    if not os.access(path, os.R_OK):
        raise InputError(Problem(label, "", "a file that can be read", "no right to read", "Check the file's rights."))
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        # Even readers of a database in WAL mode write beside it.
        remedy = "Give yourself the right to write to the file and its folder, or work on a copy."
        raise InputError(Problem(label, "", "a database that can be written", "no right to write", remedy))


def _make(url: URL, path: Path, label: str) -> None:
    """A complete database under another name first, then under its own: no one ever sees a half-made file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.touch(exist_ok=False)
    except OSError as error:
        problem = Problem(
            label,
            "",
            "a folder that can be written",
            error.strerror or "a failure",
            f"Check the rights of {path.parent}.",
        )
        raise InputError(problem) from None
    try:
        with Database(url.set(database=str(draft))) as db:
            versions.run(db, "upgrade", "head")
        # A link, not a rename: where another process was faster, its database stays.
        with contextlib.suppress(FileExistsError):
            _appear(draft, path)
    finally:
        for name in (draft.name, f"{draft.name}-wal", f"{draft.name}-shm", f"{draft.name}-journal"):
            draft.with_name(name).unlink(missing_ok=True)


def _appear(draft: Path, path: Path) -> None:
    """Give the draft its name; raises FileExistsError where the name is taken."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the moment between look and rename is the price
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)
