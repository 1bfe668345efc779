"""Databases of older versions: each is upgraded to the newest, keeps its rows, and goes down and up again."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from records_support import differences, optuna_storage

import hpo
from hpo.commands import db as command
from hpo.errors import InputError
from hpo.records import migrate, schema, versions
from hpo.records.connection import Database
from hpo.records.database import connect
from hpo.records.urls import normalise
from hpo.search.optuna_schema import head
from hpo.search.optuna_study import create_optuna_study

OLD = Path(__file__).with_name("old")
STAMPS = (schema.VERSION_TABLE, versions.OPTUNA_TABLE, "version_info")
Rows = dict[str, list[dict[str, Any]]]


def test_every_version_has_its_old_database() -> None:
    missing = set(versions.known()) - {path.stem for path in OLD.glob("*.sql")}
    assert not missing, f"python tests/records/old/make.py {min(missing, default='')}"


def from_dump(revision: str, file: Path) -> str:
    """The URL of a SQLite file that holds an old database."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((OLD / f"{revision}.sql").read_text())
    return f"sqlite:///{file}"


def rows_of(url: str) -> Rows:
    """All rows but those that tell versions, by table, in the order of the first columns."""
    with Database(normalise(url)) as db, db.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection, resolve_fks=False)
        kept = [t for t in tables.tables.values() if t.name not in STAMPS]
        return {
            t.name: [dict(row._mapping) for row in connection.execute(sa.select(t).order_by(*list(t.c)[:3]))]
            for t in kept
        }


def into(url: str, revision: str, rows: Rows) -> None:
    """An old database on any server: the tables as that version and Optuna make them, with those rows."""
    migrate.upgrade(url, revision)
    with optuna_storage(url):
        pass
    with Database(normalise(url)) as db, db.write() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if rows.get(table.name):
                connection.execute(sa.insert(table), rows[table.name])


def missing(rows: Rows, among: Rows) -> Rows:
    """Rows that are not among others, which may have more columns."""
    lost: Rows = defaultdict(list)
    for table, old in rows.items():
        for row in old:
            if not any(row.items() <= new.items() for new in among[table]):
                lost[table].append(row)
    return dict(lost)


def sized(rows: Rows) -> dict[str, int]:
    return {table: len(found) for table, found in rows.items()}


@pytest.mark.parametrize("revision", versions.known())
def test_an_old_database_keeps_its_rows(revision: str, kind: str, any_url: str, tmp_path: Path) -> None:
    url = from_dump(revision, tmp_path / "old.db")
    before = rows_of(url)
    assert {table for table in before if not before[table]} == {"trial_heartbeats"}
    if kind != "sqlite":
        into(any_url, revision, before)
        url, sizes = any_url, sized(before)
        before = rows_of(url)  # MariaDB rounds Optuna's times and numbers
        assert sized(before) == sizes
    assert migrate.current(url) == revision
    ours, optunas = command.upgrade(url)
    assert (ours.current, optunas.current) == (versions.head(), head())
    after = rows_of(url)
    assert missing(before, after) == {}
    with connect(url, create=False) as db:
        assert differences(db) == []
    with optuna_storage(url) as storage:
        study = optuna.load_study(study_name="kept/tune", storage=storage)
        assert [t.value for t in study.trials] == [0.75, 0.875]
        assert set(study.best_params) == {"learning_rate", "activation"}
    assert len(hpo.open(url).trials("name 1")) == 1
    migrate.downgrade(url, revision)
    assert missing(before, rows_of(url)) == {}
    assert sized(rows_of(url)) == sized(before)
    command.upgrade(url)
    assert missing(before, rows_of(url)) == {}


def test_optuna_s_older_tables_are_told_refused_and_upgraded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = from_dump("0001", tmp_path / "old.db")
    assert [v.sentence for v in command.current(url)] == [
        f"hpo: 0001; the newest is {versions.head()}: run `hpo db upgrade`",
        f"Optuna: v3.0.0.d; the newest is {head()}: run `hpo db upgrade`",
    ]
    with pytest.raises(InputError, match="hpo db upgrade"):
        create_optuna_study(url, "new", "maximize")
    command.upgrade(url)
    create_optuna_study(url, "new", "maximize")
    told = command.downgrade(url, "0001")
    assert [v.current for v in told] == ["0001", head()]
    assert capfd.readouterr() == ("", "")


def test_a_newer_optuna_s_tables_are_left_alone(tmp_path: Path) -> None:
    url = from_dump(versions.head(), tmp_path / "old.db")
    with Database(normalise(url)) as db, db.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    with pytest.raises(InputError, match=r"version v9\.0\.0\.a, made by a newer Optuna"):
        command.upgrade(url)
    assert command.current(url)[1].current == "v9.0.0.a"


def test_a_database_without_optuna_s_tables_gets_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    ours, optunas = command.upgrade(url)
    assert ours.sentence == f"hpo: {versions.head()} (the newest)"
    assert optunas.sentence == f"Optuna: no tables yet; the newest version is {head()}"
