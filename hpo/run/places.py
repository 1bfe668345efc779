"""Where things lie when the user does not say."""

from pathlib import Path

from hpo.records.database import Database


def artifact_url(database: Database) -> str:
    """Beside an SQLite file, `<name>-artifacts`; for a server, `hpo-artifacts` in the working folder."""
    path = database.path
    return str(path.with_name(f"{path.stem}-artifacts")) if path is not None else str(Path("hpo-artifacts").absolute())
