"""Where a source lies: relative paths, the data folder, URLs, compressed files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from hpo.data.problems import nearest, refuse, setting
from hpo.errors import InputError, Problem

DATA_DIR = "data-dir:"
"""Prefix of sources that lie in the data folder."""

_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}
FORMS = {
    **dict.fromkeys((".csv", ".txt", ".data"), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    ".npz": "npz",
}
"""Ending of a file's name -> how it is read."""


@dataclass(frozen=True)
class Place:
    """What a source is relative to."""

    base: str
    data_dir: str | None
    allow_code: bool = True
    """Whether `module:function` may be called."""


@dataclass(frozen=True)
class Location:
    """A file or URL, resolved."""

    shown: str
    """As the user named it."""
    address: str
    form: str
    """`csv`, `tsv`, `parquet` or `npz`."""
    compression: str | None


def locate(source: str, place: Place, key: str) -> Location:
    """The file that a source names. Raises InputError where the data folder or the file's form is unknown."""
    address = _address(source, place, key)
    suffixes = [s.lower() for s in Path(urlsplit(address).path if "://" in address else address).suffixes]
    compression = _COMPRESSED.get(suffixes[-1]) if suffixes else None
    last = suffixes[-2 if compression else -1 :][:1] if suffixes else []
    form = FORMS.get(last[0]) if last else None
    if form is None:
        remedy = "Rename the file, convert it, or name a Python function that returns arrays."
        expected = "a file ending in " + ", ".join(sorted(FORMS)) + " (also with .gz, .bz2 or .xz)"
        raise InputError(setting(key, expected, f'"{source}"', remedy))
    return Location(source, address, form, compression)


def fetch(location: Location, key: str) -> bytes:
    """All bytes of a file, decompressed. Raises InputError where it cannot be read."""
    where, shown = location.shown, f'"{location.shown}"'
    try:
        with fsspec.open(location.address, "rb", compression=location.compression) as file:
            content: bytes = file.read()
    except FileNotFoundError:
        raise InputError(setting(key, "a file that exists", shown, _beside(location.address))) from None
    except ImportError as error:
        remedy = f"Install it ({error}); for http and https: pip install 'hpo[http]'."
        raise InputError(setting(key, "a source whose reader is installed", shown, remedy)) from error
    except (OSError, EOFError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        remedy = "Check that it is a file, whole, and yours to read."
        raise refuse(where, key, "a file that can be read", reason or "nothing", remedy) from error
    except ValueError as error:
        raise InputError(setting(key, "a path or a URL that fsspec knows", f"{shown} ({error})", "Mend it.")) from error
    return content


def _address(source: str, place: Place, key: str) -> str:
    if source.startswith(DATA_DIR):
        return str(_data_folder(source, place, key) / source.removeprefix(DATA_DIR))
    if "://" in source:
        return source
    return str(Path(place.base).expanduser() / Path(source).expanduser())


def _data_folder(source: str, place: Place, key: str) -> Path:
    named = place.data_dir or os.environ.get("HPO_DATA_DIR")
    remedy = "Name it with --data-dir FOLDER or the environment variable HPO_DATA_DIR."
    if not named:
        expected = f'a data folder that holds "{source.removeprefix(DATA_DIR)}"'
        raise InputError(setting(key, expected, "none named", remedy))
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise InputError(Problem("data folder", "", "a folder that exists", f'"{named}"', remedy))
    return folder


def _beside(address: str) -> str:
    """A remedy that names a file of nearly the same name in the same folder, where there is one."""
    path = Path(address)
    names: Sequence[str] = []
    if "://" not in address and path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    return nearest(path.name, names) + f'Looked for it at "{address}".'
