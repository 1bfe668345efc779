"""rm: what goes, what stays, and when it is refused."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.records import schema
from hpo.records.artifacts import ArtifactStore
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.records.workers import Workers


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Two studies, each with an Optuna study, a trial and an artifact in the default store."""
    import optuna

    url = f"sqlite:///{tmp_path}/hpo.db"
    with connect(url) as db:
        for name in ("wine", "beer"):
            store, studies = ArtifactStore(str(tmp_path / "hpo-artifacts")), Studies(db)
            study = studies.open(name, {"name": name}, "f", 0)
            optuna.create_study(study_name=f"{name}/tune", storage=url)
            stage = studies.begin_stage(study.id, "tune", 1, 4, "f", "m", "maximize", 9, None, f"{name}/tune")
            moment = {"started_at": study.created_at}
            values = {"stage_id": stage.id, "number": 0, "state": "running", "origin": "sampler", "structure": "s"}
            db.transact(lambda c, v=values, m=moment: c.execute(sa.insert(schema.trial).values(**v, **m)))  # type: ignore[misc]
            studies.record_artifact(study.id, "bundle", store.put(f"{name}/bundle.zip", bytes(3 * 2**20)))
    return url


def left(tmp_path: Path, url: str) -> tuple[list[str], list[str], int, list[str]]:
    """(studies, Optuna studies, trials, artifacts)."""
    with connect(url) as db, db.read() as connection:
        optuna = connection.exec_driver_sql("SELECT study_name FROM studies").scalars().all()
        trials = connection.execute(sa.select(sa.func.count()).select_from(schema.trial)).scalar_one()
        files = [p.parent.name for p in (tmp_path / "hpo-artifacts").rglob("*.zip")]
        return [s.name for s in Studies(db).all()], list(optuna), trials, sorted(files)


WHOLE = (["wine", "beer"], ["wine/tune", "beer/tune"], 2, ["beer", "wine"])
ONE = (["beer"], ["beer/tune"], 1, ["beer"])


def test_a_study_goes_with_all_it_has_and_others_stay(tmp_path: Path, url: str) -> None:
    result = call("rm", "wine", "--yes", "--storage", url)
    assert result.exit_code == 0, result.stderr
    store = tmp_path / "hpo-artifacts"
    first, last = result.output.splitlines()
    assert first == f"study wine: 1 trial, 0 runs, 1 artifact (3.0 MiB) in {store}"
    assert last == "study wine: removed"
    assert [p.name for p in store.iterdir()] == ["beer"], "no empty folder is left"
    assert left(tmp_path, url) == ONE


def test_without_a_terminal_it_is_refused_unless_told(tmp_path: Path, url: str) -> None:
    result = call("rm", "wine", "--storage", url)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert left(tmp_path, url) == WHOLE


@pytest.mark.parametrize(("answer", "code", "then"), [("n", 3, WHOLE), ("", 3, WHOLE), ("y", 0, ONE)])
def test_on_a_terminal_it_asks(
    tmp_path: Path, url: str, answer: str, code: int, then: tuple[list[str], list[str], int, list[str]]
) -> None:
    ours, theirs = pty.openpty()
    try:
        words = [sys.executable, "-m", "hpo", "rm", "wine", "--storage", url]
        asked = subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.write(ours, f"{answer}\n".encode())
        said, errors = asked.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == code, errors
    assert "Remove all of that?" in said
    assert ("nothing was removed" in errors) == (code == 3)
    assert left(tmp_path, url) == then


def test_a_study_that_runs_is_refused_with_the_remedy(tmp_path: Path, url: str) -> None:
    with connect(url) as db:
        leader = led(db)
        result = call("rm", "wine", "--yes", "--storage", url)
        assert result.exit_code == 2
        assert "hpo stop wine" in result.stderr
        assert leader in result.stderr
        assert left(tmp_path, url) == WHOLE
        Workers(db).gone(leader)
    assert call("rm", "wine", "--yes", "--storage", url).exit_code == 0


def led(db: Database) -> str:
    study_id, workers = Studies(db).get("wine").id, Workers(db)
    leader = workers.register(study_id, "leader")
    assert workers.lead(study_id, leader, 60)
    return leader


def test_files_of_others_among_its_artifacts_stay(tmp_path: Path, url: str) -> None:
    notes = tmp_path / "hpo-artifacts" / "wine" / "deep" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    (notes.parent / "empty").mkdir()
    assert call("rm", "wine", "--yes", "--storage", url).exit_code == 0
    assert notes.read_text() == "mine"
    assert [p.name for p in notes.parent.iterdir()] == ["notes.txt"]


def test_the_password_of_a_store_is_not_shown(url: str) -> None:
    result = call("rm", "wine", "--storage", url, "--artifacts", "ftp://me:secret@127.0.0.1:1/store")
    assert result.exit_code == 2
    assert "me:***@127.0.0.1:1/store" in result.output
    assert "secret" not in result.output


def test_an_unknown_study_is_refused(tmp_path: Path, url: str) -> None:
    result = call("rm", "vine", "--yes", "--storage", url)
    assert result.exit_code == 2
    assert "wine" in result.stderr
    assert left(tmp_path, url) == WHOLE
