"""`hpo init`: looks at a table and writes a study file."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.errors import InputError, Problem


@dataclass(frozen=True)
class Initialised:
    """What `init` wrote and what it saw."""

    path: Path
    seen: tuple[str, ...]


def init(source: str, *, target: str | None, output: str, name: str | None = None, force: bool = False) -> Initialised:
    """Writes a commented study file for the table at `source`, ready to run.

    Raises InputError where the table or the target is not to be used, and where `output` exists without `force`.
    """
    from hpo.data import describe_file
    from hpo.studyfile.starter import study_text

    path = Path(output)
    if path.exists() and not force:
        raise InputError(Problem(output, "", "a file that does not exist yet", "an existing one",
                                 "Name another with --output, or overwrite it with --force."))  # fmt: skip
    if not path.parent.is_dir():
        raise InputError(Problem(output, "", "an existing folder", f"no folder {path.parent}", "Make it first."))
    try:
        data, seen = describe_file(source, target)
    except InputError as error:
        raise InputError([_as_asked(problem) for problem in error.problems]) from error
    data = replace(data, source=_from_folder(data.source, path.parent))
    try:
        path.write_text(study_text(name or _study_name(source), data, seen), encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(output, "", "a file that can be written", str(error.strerror),
                                 "Name another with --output.")) from error  # fmt: skip
    return Initialised(path, tuple(seen))


def _as_asked(problem: Problem) -> Problem:
    """There is no study file yet: its keys are called as the command line calls them."""
    words = {"data.source": "FILE", "data.target": "--target"}
    return replace(problem, where="command line", key=words[problem.key]) if problem.key in words else problem


def _from_folder(source: str, folder: Path) -> str:
    """A local relative path as the study file's folder sees it; anything else unchanged."""
    if not Path(source).exists() or Path(source).is_absolute():
        return source
    return Path(os.path.relpath(source, folder)).as_posix()


def _study_name(source: str) -> str:
    stem = re.split(r"[/\\:]", source)[-1].split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-") or "study"
