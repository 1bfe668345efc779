"""Notes for the dashboard, and the small text tables."""

from pathlib import Path

import pandas as pd
from finished_study import CHOSEN, write_finished_study

import hpo
from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.reports.notes import notes
from hpo.reports.text import TextTable, frame_table, plain, score_table, trials_line


def test_each_searching_stage_has_a_note_with_its_verdict_and_the_scores(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    write_finished_study(url)
    with hpo.open(url) as results:
        found = notes(results)
    assert sorted(found) == ["digits/overfit", "digits/regularize", "digits/tune"]
    note = found["digits/regularize"]
    assert note.startswith("## Verdict of regularize: go on\n\n8 trials (5 healthy, 2 overfit, 1 diverged)")
    assert f"Chosen: trial {CHOSEN} (" in note
    assert "| final model | accuracy 0.981 [0.964, 0.994] |" in note
    assert note.count("\n| ") == 1 + 6 + 1 + 5, "a head and a row for each stage and each score"


def test_a_stage_under_way_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with connect(url) as db:
        studies = Studies(db)
        study = studies.open("begun", {"name": "begun"}, "f", 0)
        studies.begin_stage(study.id, "tune", 2, 0, "f", "validation metric", "maximize", 9, None, "begun/tune.2")
    with hpo.open(url) as results:
        found = notes(results)
    assert list(found) == ["begun/tune.2"]
    assert found["begun/tune.2"].startswith("## tune.2: under way\n")


def test_plain_tables_are_aligned() -> None:
    table = TextTable("t", ("name", "n"), (("a", "1"), ("longer", "200")), frozenset(("n",)))
    assert plain(table) == "t\nname      n\na         1\nlonger  200"


def test_frames_as_text() -> None:
    frame = pd.DataFrame(
        {"a": pd.Series([0.123456, None], dtype="Float64"), "b": pd.Series(["x", None], dtype="string")}
    )
    assert plain(frame_table(frame)) == "     a  b\n0.1235  x\n     -  -"


def test_unknown_models_keep_their_name() -> None:
    row = {"model": "other", "metric": "mse", "value": 1.0, "low": 0.5, "high": 1.5, "rows": 7}
    assert score_table(pd.DataFrame([row])).rows == (("other", "mse", "1.00 [0.50, 1.50]", "7"),)


def test_trials_line() -> None:
    assert trials_line(3, 12) == "3 of 12 trials"
    assert trials_line(12, 12) == "12 trials"
    assert trials_line(1, 0) == "1 trial"
    assert trials_line(None, 3) == "-"
