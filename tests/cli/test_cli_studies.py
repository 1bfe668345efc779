"""init, check, run: the plan without training, and bad input that leaves nothing behind."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.commands import check as checking
from hpo.commands.run import load


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


def table(rows: int = 80) -> str:
    lines = [f"{i * 7919 % 1000 / 100},{'ab'[i % 2]},{i * 31 % 17},{'no' if i * 7919 % 1000 < 500 else 'yes'}"
             for i in range(rows)]  # fmt: skip
    return "\n".join(["size,colour,weight,bought", *lines]) + "\n"


def test_check_prints_plan_data_and_estimate_and_makes_nothing() -> None:
    result = call("check", "digits", "--trials", "30", "--epochs", "4")
    assert result.exit_code == 0, result.stderr
    for expected in (
        "study digits: sklearn:digits, accuracy, mlp", "1,797 rows", "checks of the data", "same row in two splits",
        "Does the skeleton work, and what must be beaten?", "  overfit: ", "budget: 30 trials, at most 4 epochs a run.",
        "Estimated time on one worker: about ",
    ):  # fmt: skip
        assert expected in result.output
    assert not list(Path().iterdir())


def test_check_without_data_loads_none() -> None:
    result = call("check", "letter", "--no-data", "--data-dir", "nowhere")
    assert result.exit_code == 0, result.stderr
    assert "checks of the data" not in result.output
    assert "cannot be estimated without the data" in result.output


def test_check_names_a_missing_data_folder() -> None:
    result = call("check", "letter", "--data-dir", "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_the_estimate_grows_with_trials_and_epochs_and_is_bounded_by_seconds() -> None:
    def seconds(**budget: float) -> float:
        spec = load("digits", {f"budget.{key}": value for key, value in budget.items()})
        found = checking.check(spec).seconds
        assert found is not None
        return found

    small, more, longer = seconds(trials=20, epochs=5), seconds(trials=60, epochs=5), seconds(trials=20, epochs=50)
    assert small < more
    assert small < longer
    assert seconds(trials=60, epochs=50, seconds=30.0) == 30.0


def test_init_writes_a_study_that_check_accepts() -> None:
    Path("shop").mkdir()
    Path("shop/sales.csv").write_text(table())
    done = call("init", "shop/sales.csv", "--target", "bought", "--output", "shop/study.toml")
    assert done.exit_code == 0, done.stderr
    assert "80 rows" in done.output
    checked = call("check", "shop/study.toml")
    assert checked.exit_code == 0, checked.stderr
    assert "study sales: sales.csv, accuracy, mlp" in checked.output


def test_init_does_not_overwrite_unless_told() -> None:
    Path("sales.csv").write_text(table())
    Path("study.toml").write_text("mine")
    refused = call("init", "sales.csv", "--target", "bought")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert Path("study.toml").read_text() == "mine"
    assert call("init", "sales.csv", "--target", "bought", "--force").exit_code == 0
    assert Path("study.toml").read_text() != "mine"


BAD = (
    ("run nothing", "nothing"),
    ("run digits --trials 0", "budget.trials"),
    ("run digits --seconds -5", "budget.seconds"),
    ("run digits --epochs 0", "budget.epochs"),
    ("run digits --workers -1", "--workers"),
    ("run digits --trials many", "--trials"),
    ("run digits --storage oracle://x", "oracle"),
    ("run digits --storage sqlite:////proc/none/hpo.db", "none"),
    ("run letter --data-dir nowhere", "nowhere"),
    ("run broken.toml", "broken.toml"),
    ("check", "STUDY"),
    ("check broken.toml", "broken.toml"),
    ("init nothing.csv --target x", "nothing.csv"),
    ("init sales.csv --target bougth", "bought"),
    ("init sales.csv --target bought --output none/study.toml", "none"),
    ("init sales.csv --target bought --output /proc/study.toml", "--output"),
    ("run digits --export sales.csv", "--export"),
    ("run digits --export /proc/none/bundle", "--export"),
    ("init empty.csv --target x", "empty.csv"),
)


@pytest.mark.parametrize(("line", "named"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_ends_with_two_and_leaves_nothing(line: str, named: str) -> None:
    files = {"broken.toml": "name = \n", "sales.csv": table(), "empty.csv": ""}
    for name, content in files.items():
        Path(name).write_text(content)
    result = call(*line.split())
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert "Traceback" not in result.output
    assert sorted(p.name for p in Path().iterdir()) == sorted(files)


def test_init_names_what_was_typed_as_there_is_no_study_file_yet() -> None:
    Path("sales.csv").write_text(table())
    assert "command line: FILE: expected" in call("init", "nothing.csv", "--target", "bought").stderr
    assert "command line: --target: expected" in call("init", "sales.csv", "--target", "bougth").stderr
