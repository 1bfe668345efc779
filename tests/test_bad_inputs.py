"""Bad inputs through the command line: exit code 2, key and remedy named, no traceback, nothing left behind."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli.main import main

STUDY = """name = "mine"
space = "space.toml"
[data]
source = "rows.csv"
target = "answer"
[objective]
metric = "accuracy"
[budget]
trials = 6
epochs = 2
"""
SPACE = """model = "mlp"
[architecture]
units = { int = [8, 32], log = true }
[optimizer]
name = { choice = ["adam", "momentum"] }
learning_rate = { float = [1e-3, 1e-1], log = true }
momentum = { float = [0.5, 0.9], when = { name = ["momentum"] } }
"""
ROWS = "size,colour,answer\n" + "".join(
    f"{i % 17}.5,{'red' if i % 3 else 'blue'},{'yes' if i % 2 else 'no'}\n" for i in range(90)
)

# file to change, text to replace, text to put there, words that the message must hold
FILES = [
    ("study.toml", 'name = "mine"', 'name = "mine', ["study.toml", "line 1"]),
    ("study.toml", "trials = 6", "trails = 6", ["budget.trails", "trials"]),
    ("study.toml", "[budget]", "[bugdet]", ["bugdet", "budget"]),
    ("study.toml", "trials = 6", "trials = 0", ["budget.trials", "0"]),
    ("study.toml", "trials = 6", "trials = 6.5", ["budget.trials", "6.5"]),
    ("study.toml", "trials = 6", 'trials = "six"', ["budget.trials", "six"]),
    ("study.toml", "epochs = 2", "epochs = -1", ["budget.epochs", "-1"]),
    ("study.toml", "epochs = 2", "epochs = 2\nseconds = -5", ["budget.seconds", "-5"]),
    ("study.toml", 'metric = "accuracy"', 'metric = "acuracy"', ["objective.metric", "accuracy"]),
    ("study.toml", 'metric = "accuracy"', 'metric = "rmse"', ["metric", "rmse"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\ntask = "regression"', ["objective.metric", "accuracy"]),
    ("study.toml", 'target = "answer"', 'target = "answr"', ["answr", "answer"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\nfolds = 200', ["folds", "200"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\nfolds = 0', ["data.folds", "0"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\nvalid = 0.7\ntest = 0.6', ["data.test", "0.7 and 0.6"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\nscale = "log"', ["data.scale", "standard"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\ntest_source = "none.csv"', ["none.csv"]),
    ("study.toml", 'target = "answer"', 'target = "answer"\ndrop = ["weight"]', ["drop", "weight"]),
    ("study.toml", 'source = "rows.csv"', 'source = "row.csv"', ["data.source", "row.csv"]),
    ("study.toml", 'source = "rows.csv"', 'source = "sklearn:digit"', ["sklearn:digit", "digits"]),
    ("study.toml", 'source = "rows.csv"', 'source = "data-dir:rows.csv"', ["--data-dir"]),
    ("study.toml", 'source = "rows.csv"', 'source = "nowhere:rows"', ["nowhere"]),
    ("study.toml", 'space = "space.toml"', 'space = "spice.toml"', ["space", "spice.toml"]),
    ("study.toml", "[budget]", '[search]\nsampler = "tbe"\n[budget]', ["search.sampler", "tpe"]),
    ("study.toml", "[budget]", "[search]\nbatch = 0\n[budget]", ["search.batch", "0"]),
    ("study.toml", "[budget]", '[training]\nengine = "quick"\n[budget]', ["training.engine", "fit"]),
    ("study.toml", "[budget]", "[recipe]\nseeds = 2\n[budget]", ["recipe.seeds", "2"]),
    ("study.toml", "[budget]", "[recipe]\nlevel = 1.5\n[budget]", ["recipe.level", "1.5"]),
    ("study.toml", 'name = "mine"', 'name = "mine/yours"', ["name", "mine/yours"]),
    ("study.toml", 'name = "mine"', 'name = "mine"\nseed = -1', ["seed", "-1"]),
    ("space.toml", 'model = "mlp"', 'model = "mpl"', ["model", "mlp"]),
    ("space.toml", "[1e-3, 1e-1]", "[1e-1, 1e-3]", ["learning_rate"]),
    ("space.toml", "[1e-3, 1e-1]", "[0.0, 1e-1]", ["learning_rate"]),
    ("space.toml", "[1e-3, 1e-1]", "[1e-3]", ["learning_rate"]),
    ("space.toml", "float = [1e-3", "flaot = [1e-3", ["learning_rate", "float"]),
    ("space.toml", "int = [8, 32]", "int = [8.5, 32]", ["units", "8.5"]),
    ("space.toml", "int = [8, 32], log = true", "int = [8, 32], default = 64", ["units", "64"]),
    ("space.toml", "units =", "unit =", ["unit", "units"]),
    ("space.toml", 'when = { name = ["momentum"] }', 'when = { nmae = ["momentum"] }', ["momentum", "nmae"]),
    ("space.toml", 'when = { name = ["momentum"] }', 'when = { name = ["adagrad"] }', ["momentum", "adagrad"]),
    ("space.toml", '"momentum"] }\n', '"momentum"], when = { momentum = [0.5] } }\n', ["momentum"]),
    ("space.toml", '["adam", "momentum"]', "[]", ["optimizer"]),
    ("space.toml", "float = [0.5, 0.9]", "float = [0.5, 1.5]", ["momentum", "1.5"]),
    ("rows.csv", ROWS, "", ["rows.csv"]),
    ("rows.csv", ROWS, "size,colour,answer\n", ["rows.csv"]),
    ("rows.csv", ROWS, "size,colour,answer\n1,red,yes\n2,blue,no\n", ["rows"]),
    ("rows.csv", ",yes\n", ",no\n", ["answer"]),
    ("rows.csv", "0.5,blue,no", "0.5,blue,", ["answer", "missing"]),
    ("rows.csv", "16.5,red,yes", "wide,red,yes", ["size", "wide"]),
]  # fmt: skip

OPTIONS = [
    (["--storage", "sqlite:////proc/none/hpo.db"], ["hpo.db"]),
    (["--storage", "sqlite:///missing/folder/hpo.db"], ["missing/folder"]),
    (["--storage", "oracle://host/hpo"], ["oracle"]),
    (["--storage", "sqlite:///rows.csv"], ["rows.csv"]),
    (["--storage", "postgresql://127.0.0.1:1/hpo"], ["127.0.0.1"]),
    (["--trials", "0"], ["trials", "0"]),
    (["--seconds", "-1"], ["seconds", "-1"]),
    (["--epochs", "x"], ["epochs"]),
    (["--workers", "-1"], ["workers"]),
    (["--artifacts", "/proc/none"], ["/proc/none"]),
    (["--data-folder", "."], ["--data-dir"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("study.toml", STUDY), ("space.toml", SPACE), ("rows.csv", ROWS)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("HPO_STORAGE", "HPO_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refused(folder: Path, arguments: list[str], words: list[str]) -> str:
    before = sorted(p.name for p in folder.iterdir())
    ran = CliRunner().invoke(main, arguments)
    said = ran.stderr
    assert ran.exit_code == 2, (ran.output, ran.exception)
    assert "Traceback" not in said
    for word in words:
        assert word in said, said
    assert sorted(p.name for p in folder.iterdir()) == before, "something was left behind"
    return said


@pytest.mark.parametrize(("file", "old", "new", "words"), FILES, ids=lambda v: v[:30] if isinstance(v, str) else "")
def test_bad_files(folder: Path, file: str, old: str, new: str, words: list[str]) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    said = refused(folder, ["run", "study.toml"], words)
    assert "expected" in said
    assert "got" in said


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=lambda v: " ".join(v)[:40])
def test_bad_options(folder: Path, options: list[str], words: list[str]) -> None:
    refused(folder, ["run", "study.toml", *options], words)


@pytest.mark.parametrize("arguments", [["results"], ["report"], ["export", "--to", "x"], ["status"], ["worker"]])
def test_a_study_that_is_not_there(folder: Path, arguments: list[str]) -> None:
    refused(folder, [arguments[0], "mine", *arguments[1:]], ["hpo.db"])


def test_all_problems_of_both_files_are_told_at_once(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY.replace("trials = 6", "trials = 0").replace("epochs = 2", "epochs = 0"))
    (folder / "space.toml").write_text(SPACE.replace("[1e-3, 1e-1]", "[1e-1, 1e-3]"))
    refused(folder, ["run", "study.toml"], ["budget.trials", "budget.epochs", "learning_rate"])


def test_a_database_of_a_newer_version_is_left_alone(folder: Path) -> None:
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    with contextlib.closing(sqlite3.connect(folder / "hpo.db")) as connection, connection:
        connection.execute("UPDATE hpo_alembic_version SET version_num = '9999'")
    said = refused(folder, ["run", "study.toml"], ["hpo.db", "newer"])
    assert "9999" in said


def test_a_driver_that_is_missing_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    refused(folder, ["run", "study.toml", "--storage", "postgresql://127.0.0.1/hpo"], ["driver", "hpo[postgres]"])
