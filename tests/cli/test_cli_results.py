"""results, report, export, db: what they print of a finished study, and what they refuse."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import hpo
from hpo.cli.main import main
from hpo.reports.columns import TABLES


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def results_of(study_url: str) -> "hpo.reports.frames.Results":  # type: ignore[name-defined]
    return hpo.open(study_url)


def test_results_show_stages_verdicts_scores_and_both_trials(study_url: str) -> None:
    result = call("results", "--storage", study_url)
    assert result.exit_code == 0
    for expected in (
        "stages of digits", "best_trial", "chosen", "squeeze", "To beat: small network at 0.9611.",
        "final model    accuracy  0.981 [0.964, 0.994]   360", "best and chosen trials", "learning_rate=",
    ):  # fmt: skip
        assert expected in result.output


def test_storage_by_environment(study_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE", study_url)
    assert "stages of digits" in call("results", "digits").output


@pytest.mark.parametrize("name", TABLES)
def test_csv_and_json_have_every_digit_of_every_table(study_url: str, name: str) -> None:
    with hpo.open(study_url) as found:
        frame = found.studies() if name == "studies" else getattr(found, name)("digits")
    words = ("results", "digits", "--storage", study_url, "--table", name)
    as_json = json.loads(call(*words, "--format", "json").output)
    as_csv = list(csv.DictReader(io.StringIO(call(*words, "--format", "csv").output)))
    assert len(as_json) == len(as_csv) == len(frame)
    for column in (c for c in frame.columns if str(frame[c].dtype) in ("Float64", "Int64")):
        exact = [None if v is pd.NA else v for v in frame[column]]
        assert [row[column] for row in as_json] == exact
        assert [float(row[column]) if row[column] else None for row in as_csv] == exact


def test_parquet_comes_back_as_it_was(study_url: str, tmp_path: Path) -> None:
    path = tmp_path / "trials.parquet"
    words = ("results", "digits", "--storage", study_url, "--table", "trials", "--format", "parquet")
    assert call(*words, "--output", str(path)).exit_code == 0
    with hpo.open(study_url) as found:
        pd.testing.assert_frame_equal(pd.read_parquet(path), found.trials("digits"), check_dtype=False)
    refused = call(*words)
    assert refused.exit_code == 2
    assert "--output" in refused.stderr


def test_output_to_a_file_that_cannot_be_written(study_url: str, tmp_path: Path) -> None:
    result = call("results", "digits", "--storage", study_url, "--format", "csv", "--output", f"{tmp_path}/no/x.csv")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_report_is_written(study_url: str, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    result = call("report", "digits", "--storage", study_url, "--output", str(path))
    assert result.output == f"wrote {path}\n"
    assert path.read_text().startswith("<!doctype html>")


def test_db_says_its_version(study_url: str) -> None:
    assert "(the newest)" in call("db", "current", "--storage", study_url).output


def test_db_upgrade_makes_tables_and_downgrade_takes_them_away(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    assert call("db", "upgrade", "--storage", url).exit_code == 0
    assert "(the newest)" in call("db", "current", "--storage", url).output
    assert call("db", "downgrade", "base", "--storage", url).exit_code == 0
    assert "hpo: no tables yet" in call("db", "current", "--storage", url).output


REFUSED = (
    (("results", "digitz"), "digits"),
    (("status", "digitz"), "digits"),
    (("report", "digitz"), "digits"),
    (("export", "digitz", "--to", "bundle"), "digits"),
    (("export", "digits", "--to", "bundle"), "hpo run"),
    (("worker", "digitz"), "digits"),
)


@pytest.mark.parametrize(("words", "named"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_refused_with_two_and_a_remedy(
    study_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*words, "--storage", study_url)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert named in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "verb",
    ["results", "status", "status digits", "stop digits", "resume digits", "rm digits --yes", "report digits",
     "export digits --to x", "dashboard", "db current"],
)  # fmt: skip
@pytest.mark.parametrize("url", ["sqlite:///none.db", "oracle://x/y", "no url", "sqlite:///text.db"])
def test_bad_databases_are_refused_by_every_verb_that_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("this is no database, but a text of some length\n" * 40)
    result = call(*verb.split(), "--storage", url)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert [p.name for p in tmp_path.iterdir()] == ["text.db"]


def test_lines_are_made_for_a_hundred_columns(study_url: str) -> None:
    lines = call("results", "digits", "--storage", study_url).output.splitlines()
    start = lines.index("verdicts:")
    verdicts = lines[start + 1 : lines.index("", start)]
    assert max(map(len, verdicts)) <= 100
    assert all(line.startswith("  ") for line in verdicts)


def test_the_last_column_of_a_plain_table_is_wrapped_below_itself() -> None:
    from hpo.reports.text import TextTable, plain

    table = TextTable("", ("check", "seen"), (("outliers", "one two three four five six seven"), ("rows", "few")))
    assert plain(table, 40).splitlines() == [
        "check     seen",
        "outliers  one two three four five six",
        "          seven",
        "rows      few",
    ]
