"""docs/sql.md: every statement runs as it is and says what the records say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_study import CHOSEN, EPOCHS, SCORES, TRIALS, write_finished_study

import hpo
from hpo.records.database import connect

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "sql.md").read_text()
STATEMENTS = dict(re.findall(r"^## (.+?)\n.*?```sql\n(.*?)```", TEXT, flags=re.S | re.M))


@pytest.fixture(scope="module")
def url(kind: str, fresh_url: Callable[[str], str]) -> str:
    """The finished study in a database of each kind in turn."""
    url = fresh_url(kind)
    write_finished_study(url)
    return url


def ask(url: str, title: str) -> list[dict[str, Any]]:
    with connect(url, create=False) as db, db.read() as connection:
        return [dict(row) for row in connection.exec_driver_sql(STATEMENTS[title]).mappings()]


def test_there_are_five_plain_selects() -> None:
    assert len(STATEMENTS) == 5 == TEXT.count("```sql")
    assert all(statement.startswith("SELECT") for statement in STATEMENTS.values())


@pytest.mark.parametrize("title", STATEMENTS)
def test_every_statement_runs_and_finds_something(url: str, title: str) -> None:
    assert ask(url, title)


def test_best_trials_are_those_of_the_results(url: str) -> None:
    rows = ask(url, "The best trial of each stage")
    with hpo.open(url) as results:
        stages = results.stages("digits").dropna(subset="best_trial")
    assert [(r["stage"], r["best_trial"], r["value"]) for r in rows] == list(
        zip(stages["name"], stages["best_trial"], stages["best_value"], strict=True)
    )
    assert {r["chosen_trial"] for r in rows} == {CHOSEN}


def test_the_curve_of_a_trial_is_whole(url: str) -> None:
    rows = ask(url, "The learning curve of a trial")
    assert [r["epoch"] for r in rows] == list(range(1, EPOCHS + 1))


def test_the_gap_falls_with_dropout(url: str) -> None:
    rows = ask(url, "The gap by dropout")
    assert sum(r["trials"] for r in rows) == 2 * (TRIALS - 1)
    assert rows[-1]["mean_gap"] < rows[0]["mean_gap"]


def test_the_diagnoses_are_counted(url: str) -> None:
    rows = ask(url, "What the loss curves said")
    assert sum(r["trials"] for r in rows) == 1 + 3 * TRIALS
    assert [r["trials"] for r in rows if r["diagnosis"] == "diverged"] == [1, 1, 1]


def test_the_scores_are_all_there(url: str) -> None:
    rows = ask(url, "The models on the test set, over all studies")
    assert {(r["model"], r["value"], r["rows"]) for r in rows} == {(s.model, s.value, s.rows) for s in SCORES}
