"""What `hpo inspect` leaves for `hpo report`: the picture, where the study is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError, Problem

if TYPE_CHECKING:
    from hpo.studyfile.spec import StudySpec


@dataclass(frozen=True)
class Place:
    """A recorded study, and where its artifacts lie."""

    study: str
    storage: str
    artifacts: str | None

    def keep(self, name: str, picture: bytes) -> None:
        """Keep the picture `name`, an SVG, in place of an earlier one. Raises Fault where it cannot be written."""
        from hpo.records.artifacts import ArtifactStore, default_store, put_only
        from hpo.records.database import connect
        from hpo.records.studies import Studies
        from hpo.reports.inspection_view import kind_of

        with connect(self.storage, create=False) as database:
            store = ArtifactStore(self.artifacts or default_store(database))
            store.prepare()
            study_id = Studies(database).get(self.study).id
            put_only(database, store, study_id, kind_of(name), f"{self.study}/inspect-{name}.svg", picture)


def spec_of(study: str, storage: str, *, allow_code: bool) -> "StudySpec":
    """The study of a file or a bundled name; else the recorded one of that name, which has what `hpo run` overrode.

    Raises InputError, that of the file, where there is neither; also where the recorded one names code that nobody
    allowed. A study file's own code is the user's.
    """
    from hpo.commands.run import load

    try:
        return load(study, {})
    except InputError:
        if Path(study).exists() or (found := _recorded(study, storage)) is None:
            raise
    from hpo.studyfile.code import refuse_code
    from hpo.studyfile.spec import from_plain

    spec = from_plain(dict(found))
    refuse_code(spec, allowed=allow_code)
    return spec


def place(spec: "StudySpec", storage: str, artifacts: str | None, *, asked: bool) -> Place | None:
    """Where to keep pictures of a study: where it is recorded with this data and this space.

    Otherwise None, or InputError where that database was `asked` for by name. Makes no database.
    """
    from hpo.records.plain import plain_json
    from hpo.studyfile.spec import to_plain

    plain = _recorded(spec.name, storage, quiet=not asked)
    if plain is None:
        return None
    own = to_plain(spec)
    if any(plain_json(own[part]) != plain_json(plain[part]) for part in ("data", "space") if part in plain):
        if not asked:
            return None
        raise InputError(
            Problem("command line", "--storage", f"a database where {spec.name!r} has this data and this space",
                    "one where they are others", "Leave the option out, or begin the study anew with --fresh.")
        )  # fmt: skip
    return Place(spec.name, storage, artifacts)


def _recorded(study: str, storage: str, *, quiet: bool = True) -> "Mapping[str, object] | None":
    """The study file's values as recorded; where there is no such study None, or InputError unless `quiet`."""
    from hpo.records.database import connect
    from hpo.records.studies import Studies

    try:
        with connect(storage, create=False) as database:
            return Studies(database).get(study).spec
    except InputError:
        if quiet:
            return None
        raise
