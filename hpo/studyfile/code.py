"""Python code that a study names: whoever reads the study back from a database decides whether to trust it.

A database may be written by others, and names do not say what they run. So nothing of a recorded study is imported
unless whoever starts the process allows it.
"""

from contextlib import AbstractContextManager, nullcontext

from hpo.errors import InputError, Problem
from hpo.importing import importable
from hpo.studyfile.reading import is_code
from hpo.studyfile.sections import study_name
from hpo.studyfile.spec import StudySpec


def code_of(spec: StudySpec) -> dict[str, str]:
    """The code that a study runs, by the key that names it; empty for most studies.

    A model with a colon is imported before anything else is asked of it. A `reference:` file system, which fsspec knows
    in URLs of data, renders templates out of the file that it reads.
    """
    found = {"space.model": spec.space.model} if ":" in spec.space.model else {}
    sources = {"data.source": spec.data.source, "data.test_source": spec.data.test_source or ""}
    return found | {key: source for key, source in sources.items() if is_code(source) or "reference:" in source}


def refuse_code(spec: StudySpec, *, allowed: bool) -> None:
    """Raises InputError, naming the code, where a study read from a database runs some that nobody `allowed`.

    Also where its name is none that a study file can give: it names folders and files, and could lead out of them.
    """
    if spec.name != study_name(spec.name):
        got, remedy = repr(spec.name), "Somebody has changed the database: begin anew from the study file."
        raise InputError(Problem("database", "name", "a study's name, without slashes", got, remedy))
    remedy = "Give --allow-code if you trust whoever can write to that database: it runs with your rights."
    found = {} if allowed else code_of(spec)
    if found:
        raise InputError(
            Problem(f"study {spec.name!r}", key, "nothing that runs code of the study's own", name, remedy)
            for key, name in found.items()
        )


def code_folder(spec: StudySpec) -> AbstractContextManager[None]:
    """Modules beside the study file can be imported within, where the study names code.

    Else nothing changes: the folder may be another machine's, where it holds anything.
    """
    return importable(spec.base, first=False) if code_of(spec) else nullcontext()
