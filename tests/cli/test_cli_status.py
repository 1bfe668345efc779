"""status: what is listed, how far a study is, and how long it is watched."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.commands import status as command
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.reports import standing


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/hpo.db"


@pytest.fixture
def running(url: str) -> Iterator[Database]:
    """A database with the running study `wine`, which this process leads."""
    with connect(url) as db:
        study = Studies(db).open("wine", {"name": "wine"}, "f", 0)
        Studies(db).set_state(study.id, "running")
        Studies(db).begin_stage(study.id, "tune", 1, 4, "f", "validation metric", "maximize", 9, None, None)
        workers = Workers(db)
        workers.lead(study.id, workers.register(study.id, "leader"), 60)
        yield db


def test_studies_are_listed(study_url: str) -> None:
    listed = call("status", "--storage", study_url)
    assert listed.output.splitlines()[1].split()[:4] == ["digits", "finished", "multiclass", "accuracy"]


def test_a_finished_study_shows_stages_and_runs(study_url: str) -> None:
    lines = call("status", "digits", "--storage", study_url).output.splitlines()
    assert lines[:2] == ["study digits: finished, 0 workers at work", ""]
    runs = lines[lines.index("runs") + 1 :]
    assert runs[0].split() == ["stage", "done", "diverged"]
    assert any(line.split()[0] == "tune" and line.split()[-1] == "1" for line in runs if line)


def test_early_stopping_does_not_look_like_a_mishap(url: str, running: Database) -> None:
    now = command.status(url, "wine")
    stage = replace(now.stages[0], runs={"stopped": 1, "done": 2})
    _, runs, _ = standing.tables(replace(now, stages=(stage,)))
    assert (runs.columns, runs.rows) == (("stage", "done", "stopped early"), (("tune", "2", "1"),))


def test_stages_stand_as_in_results(study_url: str) -> None:
    def stages(words: tuple[str, ...]) -> list[str]:
        lines = call(*words, "--storage", study_url).output.splitlines()
        start = lines.index("stages of digits")
        return lines[start : lines.index("", start)]

    assert stages(("status", "digits")) == stages(("results", "digits"))


def test_a_running_study_names_its_stage_its_leader_and_its_workers(url: str, running: Database) -> None:
    told = call("status", "wine", "--storage", url).output
    assert "study wine: running, 1 worker at work" in told
    assert "stage tune: 0/9 trials, 0 runs in training, 0 queued" in told
    assert "last 60 s: 0 trials ended" in told
    assert f"-{os.getpid()}-" in told
    assert ", lease ends in " in told
    assert any(line.split()[1:3] == ["leader", "leading"] for line in told.splitlines())


def test_watching_ends_with_the_study(url: str, running: Database) -> None:
    looks = command.watch(url, "wine", 0.01)
    assert [next(looks).state for _ in range(3)] == ["running"] * 3
    Studies(running).set_state(1, "finished")
    assert [now.state for now in looks] == ["finished"]
    watched = call("status", "wine", "--watch", "--storage", url)
    assert watched.exit_code == 0
    (line,) = watched.output.splitlines()
    assert "wine: finished" in line


@pytest.mark.parametrize("server", ["embedded_postgresql", "mariadb"])
def test_watching_outlives_lost_connections(server: str, fresh_url: Callable[[str], str]) -> None:
    url = fresh_url(server)
    ours = {
        "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                      "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "mysql": "SELECT concat('KILL ', id) FROM information_schema.processlist "
                 "WHERE db = database() AND id <> connection_id()",
    }  # fmt: skip
    with connect(url) as db:
        study = Studies(db).open("wine", {"name": "wine"}, "f", 0)
        Studies(db).set_state(study.id, "running")
        looks = command.watch(url, "wine", 0.0)
        for _ in range(3):
            assert next(looks).state == "running"
            with db.write() as connection:
                ended = connection.exec_driver_sql(ours[db.dialect]).scalars().all()
                assert len(ended) == 1
                if db.dialect == "mysql":
                    connection.exec_driver_sql(ended[0])
        Studies(db).set_state(study.id, "finished")
        assert [now.state for now in looks] == ["finished"]


def test_ctrl_c_ends_watching_and_is_no_fault(url: str, running: Database) -> None:
    words = [sys.executable, "-m", "hpo", "status", "wine", "--watch", "--every", "0.05", "--storage", url]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    seen = [watching.stdout.readline() for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=30)
    assert (watching.returncode, errors) == (0, "")
    assert all("wine: running; tune 0/9 trials" in line for line in seen)
    assert Studies(running).get("wine").state == "running"


def test_a_terminal_is_redrawn_and_keeps_the_last_look(
    url: str, running: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from rich.console import Console

    from hpo.cli.operating import _redraw

    screen = Console(file=io.StringIO(), force_terminal=True, width=120, height=40, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: screen)
    looks = command.watch(url, "wine", 0.0)
    first = next(looks)
    Studies(running).set_state(1, "finished")
    _redraw(iter([first, *looks]))
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("study wine: running") < shown.index("study wine: finished")
    assert "\x1b[2K" in shown, "the first look was wiped away"


@pytest.mark.parametrize(
    "words", [("--watch",), ("wine", "--watch", "--every", "0"), ("wine", "--watch", "--every", "-1")]
)
def test_bad_words_are_refused(url: str, running: Database, words: tuple[str, ...]) -> None:
    result = call("status", *words, "--storage", url)
    assert result.exit_code == 2
    assert "--watch" in result.stderr or "--every" in result.stderr


def test_silence_is_measured_by_the_lease_of_workers() -> None:
    from hpo.run.worker import LEASE_SECONDS

    assert command.LEASE_SECONDS == LEASE_SECONDS
