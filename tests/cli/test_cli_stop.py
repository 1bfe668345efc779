"""stop: what it says, and what it waits for."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.records.workers import Workers


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/hpo.db"


@pytest.fixture
def running(url: str) -> Iterator[Database]:
    """A database with the running study `wine`, which nobody leads."""
    with connect(url) as db:
        study = Studies(db).open("wine", {"name": "wine"}, "f", 0)
        Studies(db).set_state(study.id, "running")
        yield db


def lead(db: Database) -> str:
    workers = Workers(db)
    leader = workers.register(1, "leader")
    assert workers.lead(1, leader, 60)
    return leader


def test_a_study_that_is_led_is_asked(url: str, running: Database) -> None:
    lead(running)
    result = call("stop", "wine", "--storage", url)
    assert result.exit_code == 0, result.stderr
    assert result.output == "study wine: stopping; the runs in training end first\n"
    assert Studies(running).get("wine").state == "stopping"
    assert "wine: stopping" in call("status", "wine", "--storage", url).output


def test_one_that_nobody_leads_is_stopped_at_once_and_then_is_so_already(url: str, running: Database) -> None:
    assert call("stop", "wine", "--storage", url).output == "study wine: stopped, nobody was leading it\n"
    assert call("stop", "wine", "--wait", "--storage", url).output == "study wine: stopped already\n"


def test_a_finished_study_is_left_so(url: str, study_url: str) -> None:
    assert call("stop", "digits", "--storage", study_url).output == "study digits: finished already\n"


@pytest.mark.parametrize("dies", [False, True])
def test_waiting_ends_when_the_study_has_or_its_leader_died(url: str, running: Database, dies: bool) -> None:
    leader = lead(running)
    words = [sys.executable, "-m", "hpo", "stop", "wine", "--wait", "--storage", url]
    waiting = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    assert "stopping" in waiting.stdout.readline()
    assert waiting.poll() is None
    if dies:
        Workers(running).gone(leader)
    else:
        Studies(running, leader=leader).set_state(1, "stopped")
    said, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, said) == (0, "study wine: stopped\n")
    assert Studies(running).get("wine").state == "stopped"


def test_an_unknown_study_is_refused(study_url: str) -> None:
    result = call("stop", "digitz", "--storage", study_url)
    assert result.exit_code == 2
    assert "digits" in result.stderr
