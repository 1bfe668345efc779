"""From a name or path to the table in a TOML file."""

import re
import tomllib
from pathlib import Path
from typing import Any

from hpo.bundled import Folder, bundled, bundled_names
from hpo.errors import InputError, Problem
from hpo.studyfile.reading import suggestion

_LINE = re.compile(r"line (\d+)")


def find(name_or_path: str, folder: Folder, base: Path, *, where: str, key: str) -> Path:
    """The file that a user named: a path (with an ending or a separator, or an existing file) or a bundled name.

    `where` and `key` say who named it. Raises InputError where there is no such file.
    """
    path = base / Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if "/" not in name_or_path and "\\" not in name_or_path and not name_or_path.endswith(".toml"):
        shipped = bundled(folder) / f"{name_or_path}.toml"
        if shipped.is_file():
            return shipped
        names = bundled_names(folder)
        expected = f"a TOML file or the name of a bundled one ({', '.join(names)})"
        remedy = suggestion(name_or_path, names, "Use one of those names, or the path of a file.")
        raise InputError(Problem(where, key, expected, f'"{name_or_path}"', remedy))
    got = "a folder" if path.is_dir() else f"no file at {path}"
    beside = [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    remedy = suggestion(path.name, beside, "Check the path; it starts from " + str(base.resolve()) + ".")
    raise InputError(Problem(where, key, "the path of a TOML file", got, remedy))


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """The table in a TOML file. Raises InputError where it cannot be read, with the line of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        key = f"line {line[1]}" if line else "end of file"
        problem = Problem(
            where, key, "valid TOML", str(error), "Mend the file there: text needs quotes, lists brackets."
        )
    except UnicodeDecodeError as error:
        problem = Problem(
            where, "", "a text file in UTF-8", f"a byte that is none at {error.start}", "Save it as UTF-8."
        )
    except OSError as error:
        problem = Problem(where, "", "a readable file", error.strerror or str(error), "Check the path and its rights.")
    raise InputError(problem)
