"""resume: what it refuses, and what it leaves alone. That it goes on is tested with what runs studies."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.studyfile import load_study
from hpo.studyfile.spec import from_plain, identity, to_plain
from hpo.values import fingerprint


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_a_finished_study_says_so_and_is_left_alone(study_url: str) -> None:
    result = call("resume", "digits", "--storage", study_url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output.startswith("study digits is finished already\nnext: hpo report digits --storage sqlite:")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(("study", "named"), [("digitz", "digits"), ("", "digits")])
def test_an_unknown_study_is_refused(study_url: str, study: str, named: str) -> None:
    result = call("resume", study, "--storage", study_url)
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize("url", ["sqlite:///none.db", "oracle://x/y"])
def test_a_bad_database_is_refused_and_none_is_made(url: str) -> None:
    result = call("resume", "digits", "--storage", url)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert not list(Path().iterdir())


def recorded(url: str, **overrides: object) -> None:
    spec = load_study("wine", overrides=overrides)
    with connect(url) as db:
        Studies(db).open(spec.name, to_plain(spec), fingerprint(identity(spec)), spec.seed)


def test_code_of_a_recorded_study_is_not_imported_unless_allowed() -> None:
    url = "sqlite:///hpo.db"
    recorded(url, **{"data.source": "rows:make"})
    Path("rows.py").write_text("raise SystemExit('imported')")
    refused = call("resume", "wine", "--storage", url)
    assert refused.exit_code == 2
    assert "data.source" in refused.stderr
    assert "--allow-code" in refused.stderr


def test_a_folder_that_cannot_be_written_is_refused_first() -> None:
    url = "sqlite:///hpo.db"
    recorded(url)
    Path("taken").write_text("")
    result = call("resume", "wine", "--storage", url, "--export", "taken")
    assert result.exit_code == 2
    assert "--export" in result.stderr


@pytest.mark.parametrize("name", sorted(path.stem for path in (Path(__file__).parents[2] / "studies").glob("*.toml")))
def test_a_recorded_study_is_the_one_that_was_begun(name: str) -> None:
    spec = load_study(name, overrides={"budget.seconds": 7.5})
    with connect("sqlite:///hpo.db") as db:
        row = Studies(db).open(spec.name, to_plain(spec), fingerprint(identity(spec)), spec.seed)
    again = from_plain(dict(row.spec))
    assert again == spec
    assert fingerprint(identity(again)) == row.fingerprint
