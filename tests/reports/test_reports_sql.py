"""docs/sql.md: every statement runs as it is and says what the records say."""

import re
import sqlite3
from pathlib import Path

import pytest
from finished_study import CHOSEN, EPOCHS, SCORES, TRIALS, write_finished_study

import hpo

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "sql.md").read_text()
STATEMENTS = dict(re.findall(r"^## (.+?)\n.*?```sql\n(.*?)```", TEXT, flags=re.S | re.M))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "hpo.db"
    write_finished_study(f"sqlite:///{path}")
    return path


def ask(file: Path, title: str) -> list[dict[str, object]]:
    connection = sqlite3.connect(file)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(STATEMENTS[title])]
    finally:
        connection.close()


def test_there_are_five_plain_selects() -> None:
    assert len(STATEMENTS) == 5 == TEXT.count("```sql")
    assert all(statement.startswith("SELECT") for statement in STATEMENTS.values())


@pytest.mark.parametrize("title", STATEMENTS)
def test_every_statement_runs_and_finds_something(file: Path, title: str) -> None:
    assert ask(file, title)


def test_best_trials_are_those_of_the_results(file: Path) -> None:
    rows = ask(file, "The best trial of each stage")
    with hpo.open(f"sqlite:///{file}") as results:
        stages = results.stages("digits").dropna(subset="best_trial")
    assert [(r["stage"], r["best_trial"], r["value"]) for r in rows] == list(
        zip(stages["name"], stages["best_trial"], stages["best_value"], strict=True)
    )
    assert {r["chosen_trial"] for r in rows} == {CHOSEN}


def test_the_curve_of_a_trial_is_whole(file: Path) -> None:
    rows = ask(file, "The learning curve of a trial")
    assert [r["epoch"] for r in rows] == list(range(1, EPOCHS + 1))


def test_the_gap_falls_with_dropout(file: Path) -> None:
    rows = ask(file, "The gap by dropout")
    assert sum(int(str(r["trials"])) for r in rows) == 2 * (TRIALS - 1)
    assert float(str(rows[-1]["mean_gap"])) < float(str(rows[0]["mean_gap"]))


def test_the_diagnoses_are_counted(file: Path) -> None:
    rows = ask(file, "What the loss curves said")
    assert sum(int(str(r["trials"])) for r in rows) == 1 + 3 * TRIALS
    assert [r["trials"] for r in rows if r["diagnosis"] == "diverged"] == [1, 1, 1]


def test_the_scores_are_all_there(file: Path) -> None:
    rows = ask(file, "The models on the test set, over all studies")
    assert {(r["model"], r["value"], r["rows"]) for r in rows} == {(s.model, s.value, s.rows) for s in SCORES}
