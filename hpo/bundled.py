"""Where the files that ship with `hpo` lie: studies, search spaces and migrations."""

from pathlib import Path
from typing import Literal

from hpo.errors import Fault

Folder = Literal["studies", "search_spaces", "alembic"]


def bundled(folder: Folder) -> Path:
    """The folder of bundled files: inside the package when installed from a wheel, else at the top of the repository.

    Raises Fault where neither exists: the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_bundled" / folder, package.parent / folder):
        if place.is_dir():
            return place
    raise Fault(f"The bundled folder `{folder}` is missing from {package}. Install hpo again.")


def bundled_names(folder: Folder) -> tuple[str, ...]:
    """The names of the bundled TOML files, sorted, without their ending."""
    return tuple(sorted(path.stem for path in bundled(folder).glob("*.toml")))
