"""Connecting: what users get wrong, what is created, and what is left behind."""

import contextlib
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from records_support import differences, optuna_storage

from hpo.errors import Fault, InputError
from hpo.records import migrate, schema, versions
from hpo.records.database import Database, connect, now
from hpo.records.studies import Studies
from hpo.records.urls import label, normalise, passwords
from hpo.records.workers import Workers


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oracle://x/y", "got oracle://"),
        ("sqllite:///x.db", "Did you mean sqlite://"),
        ("hpo.db", "Write sqlite:///hpo.db"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?uri=true", "in a file"),
        ("postgresql://user@host", "the name of a database"),
        ("sqlite:////nowhere/at/all/hpo.db", "Make the folder first"),
        ("sqlite:////proc/hpo.db", "a folder that can be written"),
        ("sqlite:////tmp", "got a folder"),
        ("postgresql://u:secret@127.0.0.1:1/x?password=secret", "lets us in"),
        ("mariadb://u:secret@127.0.0.1:1/x", "lets us in"),
    ],
)
def test_a_wrong_url_says_what_to_do(url: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_urls_get_our_drivers_and_labels_hide_secrets() -> None:
    assert normalise("postgres://u:p@h/d").drivername == "postgresql+psycopg"
    assert normalise("mariadb://u:p@h/d").drivername == "mysql+pymysql"
    assert label(normalise("mysql://u:pass@h:1/d?ssl_key=k")) == "mysql://u:***@h:1/d"
    assert passwords(normalise("mysql://u:p%40w@h/d?ssl_key_password=k&charset=c")) == ("p@w", "k")


@pytest.mark.parametrize("url", [
    "postgresql://u:begins@secret@h/d", "postgresql://u:begins@secret:w@h/d", "sqlite://u:secret@h/d", "u:secret@h/d",
    "postgresql://u:secret@h:port/d", "postgresql://u:secret@h",
])  # fmt: skip
def test_a_wrong_url_is_not_shown_with_its_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(url)
    assert not [p for p in caught.value.problems if "secret" in f"{p.where} {p.expected} {p.got} {p.remedy}"]


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r'pip install "hpo\[postgres\]"'):
        connect("postgresql://u@127.0.0.1/x")


def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    for content in (b"id,price\n1,2\n", b"SQLite format 3\0 and then rubbish" * 99):
        (tmp_path / "x.db").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.db"):
            connect(f"sqlite:///{tmp_path}/x.db")
        assert (tmp_path / "x.db").read_bytes() == content
        assert names(tmp_path) == ["x.db"]


def test_connecting_twice_leaves_the_first_connection_its_locks(tmp_path: Path) -> None:
    """Else another process that leaves takes itself for the last, and deletes the journal under our hands."""
    url = f"sqlite:///{tmp_path}/x.db"
    code = (
        "from hpo.records.database import connect\nfrom hpo.records.studies import Studies\n"
        f"with connect({url!r}) as db:\n    Studies(db).open('theirs', {{}}, 'f', 0)\n"
    )
    with connect(url) as db:
        Studies(db).open("ours", {}, "f", 0)
        connect(url).close()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert (tmp_path / "x.db-wal").exists()
        Studies(db).open("ours too", {}, "f", 0)
        with connect(url) as other:
            assert len(Studies(other).all()) == 3


def test_an_empty_file_becomes_a_database_and_readers_make_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(InputError, match="no such file"):
        connect(url, create=False)
    assert names(tmp_path) == []
    (tmp_path / "x.db").touch()
    with pytest.raises(InputError, match="without them"):
        connect(url, create=False)
    connect(url).close()
    connect(url, create=False).close()


def test_a_failed_creation_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "migrations"
    shutil.copytree(versions.bundled("alembic"), broken)
    with (broken / "versions" / "0001_first.py").open("a") as file:
        file.write("\n\nfirst = upgrade\n\n\ndef upgrade():\n    first()\n    op.execute('CREATE nonsense')\n")
    monkeypatch.setattr(versions, "bundled", lambda folder: broken)
    with pytest.raises(Fault, match="syntax error"):
        connect(f"sqlite:///{tmp_path}/hpo.db")
    assert names(tmp_path) == ["migrations"]


def test_other_versions_are_refused_with_the_remedy(any_url: str) -> None:
    connect(any_url).close()
    for version, says in (("9999", "made by a newer hpo"), (None, "")):
        engine = Database(normalise(any_url))
        with engine, engine.write() as connection:
            connection.exec_driver_sql(f"DELETE FROM {schema.VERSION_TABLE}")
            if version:
                connection.exec_driver_sql(f"INSERT INTO {schema.VERSION_TABLE} VALUES ('{version}')")
        if version:
            with pytest.raises(InputError, match=says):
                connect(any_url)
            with pytest.raises(InputError, match=says):
                migrate.upgrade(any_url)
        else:  # killed between the tables and the version, on a database without transactional CREATE TABLE
            connect(any_url).close()
    assert migrate.current(any_url) == migrate.head()


def test_a_database_that_may_not_be_written_is_the_users_to_mend(fresh_url: Callable[[str], str]) -> None:
    url = normalise(fresh_url("embedded_postgresql"))
    role = f"reader_{secrets.token_hex(4)}"
    with Database(url) as owner, owner.write() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(InputError, match="permission denied"):
        connect(url.set(username=role).render_as_string(hide_password=False))


def test_an_older_version_asks_for_an_upgrade_which_keeps_what_it_holds(any_url: str) -> None:
    with connect(any_url) as db:
        study = Studies(db).open("kept", {}, "f", 0)
        worker = Workers(db).register(study.id)
        Workers(db).note_memory(worker, 2**40, renewed=2)
    migrate.downgrade(any_url, "0001")
    with pytest.raises(InputError, match="hpo db upgrade"):
        connect(any_url)
    migrate.upgrade(any_url)
    with connect(any_url) as db, db.read() as connection:
        row = connection.execute(sa.select(schema.worker)).one()
        assert (row.id, row.renewals, row.memory) == (worker, 0, None)
        assert Studies(db).get("kept").id == study.id


def test_a_migration_may_be_repeated_after_a_kill(any_url: str) -> None:
    """MariaDB commits each step of a migration by itself, and the version only at its end."""
    connect(any_url).close()
    with Database(normalise(any_url)) as db, db.write() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0001'")
        connection.exec_driver_sql("DROP INDEX ix_hpo_trial_stage_id_state" + " ON hpo_trial" * (db.dialect == "mysql"))
    migrate.upgrade(any_url)
    assert migrate.current(any_url) == migrate.head()
    with connect(any_url) as db, db.read() as connection:
        indexes = {i["name"] for i in sa.inspect(connection).get_indexes("hpo_trial")}
        assert "ix_hpo_trial_stage_id_state" in indexes


def test_models_equal_the_schema_and_versions_go_down_and_up(any_url: str) -> None:
    with connect(any_url) as db:
        Studies(db).open("kept?", {}, "f", 0)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE theirs (x INTEGER)")
            connection.commit()
            assert differences(db) == []
            names = set(sa.inspect(connection).get_table_names())
            assert names == {t.name for t in schema.metadata.sorted_tables} | {schema.VERSION_TABLE, "theirs"}
    with pytest.raises(InputError, match="revision"):
        migrate.downgrade(any_url, "nonsense")
    migrate.downgrade(any_url, "base")
    assert migrate.current(any_url) is None
    migrate.upgrade(any_url)
    with connect(any_url, create=False) as db:
        assert Studies(db).all() == []
        with db.read() as connection:
            assert "theirs" in sa.inspect(connection).get_table_names()


def test_a_drafted_migration_leaves_the_tables_of_others_alone(
    any_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(versions.bundled("alembic"), tmp_path / "migrations")
    monkeypatch.setattr(versions, "bundled", lambda folder: tmp_path / "migrations")
    connect(any_url).close()
    with optuna_storage(any_url):
        pass
    text = migrate.draft(any_url, "nothing new").read_text()
    assert 'revision = "0005"' in text.replace("'", '"')
    assert text.count("    pass") == 2, text
    migrate.upgrade(any_url)
    assert migrate.current(any_url) == "0005"
    migrate.downgrade(any_url, "0003")
    assert migrate.current(any_url) == "0003"
    with optuna_storage(any_url) as storage:
        assert storage.get_all_studies() == []


def test_a_single_line_of_versions() -> None:
    heads = versions._script().get_heads()
    assert heads == [migrate.head()]


def test_several_processes_create_one_database(any_url: str) -> None:
    faults: list[BaseException] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        try:
            with connect(any_url) as db:
                Studies(db).open(f"s{number}", {}, "f", 0)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with connect(any_url) as db:
        assert {s.name for s in Studies(db).all()} == {"s0", "s1", "s2", "s3"}


def test_sqlite_gets_its_rules(sqlite_url: str) -> None:
    with connect(sqlite_url) as db, db.read() as connection:
        rules = {
            r: connection.exec_driver_sql(f"PRAGMA {r}").scalar()
            for r in ("journal_mode", "foreign_keys", "synchronous")
        }
        assert rules == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1}


def test_the_database_s_clock_is_naive_utc(db: Database) -> None:
    with db.read() as connection:
        moment = now(connection)
        assert moment.tzinfo is None
        assert abs(moment.timestamp() - time.mktime(time.gmtime())) < 60


def test_a_read_sees_one_moment(db: Database) -> None:
    with db.read() as connection:
        count = sa.select(sa.func.count()).select_from(schema.study)
        before = connection.execute(count).scalar_one()
        Studies(db).open("begun meanwhile", {}, "f", 0)
        assert connection.execute(count).scalar() == before
        connection.rollback()
        assert connection.execute(count).scalar() == before + 1


def test_a_write_waits_for_another_one_and_is_given_up_in_the_end(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.records.connection.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("hpo.records.retries.ATTEMPTS", 3)
    with connect(sqlite_url) as db, connect(sqlite_url) as other:
        with other.write(), pytest.raises(Fault, match=r"hpo\.db: the database failed: database is locked"):
            db.transact(lambda c: None)
        db.transact(lambda c: None)


def test_a_write_that_reads_first_waits_for_its_turn(db: Database) -> None:
    """SQLite would refuse one of two such writers, not let it wait, if they did not ask for the write lock at once."""
    row, study = Studies(db).open("counted", {}, "f", 0), schema.study
    same = study.c.id == row.id

    def work() -> None:
        for _ in range(10):
            with db.write() as connection:
                lock = sa.select(study.c.seed).where(same).with_for_update()
                seed = connection.execute(lock).scalar_one()
                time.sleep(0.002)  # lets the others in, where nothing keeps them out
                connection.execute(sa.update(study).where(same).values(seed=seed + 1))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Studies(db).get("counted").seed == 30


def test_alembic_says_nothing(tmp_path: Path) -> None:
    code = (
        "import logging, sys; logging.basicConfig(level=logging.INFO, stream=sys.stderr)\n"
        "from hpo.records.database import connect\n"
        f"connect('sqlite:///{tmp_path}/x.db').close()\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_killed_while_it_makes_the_file_leaves_none_of_that_name(tmp_path: Path) -> None:
    """The process ends itself, as `kill -9` would, when the migrations have run half way."""
    code = (
        "import os, sys, sqlalchemy as sa\n"
        "from hpo.records.database import connect\n"
        "def end(connection, cursor, statement, *_):\n"
        "    if 'EXISTS hpo_run ' in statement:\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "sa.event.listen(sa.engine.Engine, 'before_cursor_execute', end)\n"
        f"connect('sqlite:///{tmp_path}/x.db')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "x.db").exists()
    with connect(f"sqlite:///{tmp_path}/x.db") as db:
        assert Studies(db).all() == []
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
