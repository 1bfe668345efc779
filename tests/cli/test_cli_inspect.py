"""hpo inspect: first weights, learning rates, gradients; bad input leaves nothing behind."""

import base64
import contextlib
import csv
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
from hpo.training.inspection.signals import drawable


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


SMALL = ("--layers", "4", "--width", "30", "--rows", "40")


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def one_line(result: Result) -> str:
    return " ".join(result.output.split())


def picture_size(path: str) -> tuple[int, int]:
    head = Path(path).read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def test_init_shows_a_row_for_every_initializer_and_activation() -> None:
    result = call("inspect", "init", *SMALL)
    assert result.exit_code == 0, result.stderr
    lines = result.output.splitlines()
    heads = [cell.strip() for cell in lines[1].split("  ") if cell.strip()]
    assert heads[:6] == ["initializer", "activation", "layer 1", "layer 2", "layer 4", "gradient 1/4"]
    rows = [tuple(line.split()[:2]) for line in lines[2:] if line]
    assert rows == [(i, a) for i in INITIALIZERS if drawable(i) for a in ACTIVATIONS]
    assert max(map(len, lines)) <= 120
    assert not list(Path().iterdir())


def test_init_writes_all_numbers_and_a_picture() -> None:
    words = ("--activation", "tanh", "--activation", "relu", "--initializer", "zeros", "--output", "a/b")
    result = call("inspect", "init", *SMALL, *words)
    assert result.exit_code == 0, result.stderr
    assert "wrote a/b/init.csv and a/b/init.png" in result.output
    rows = table("a/b/init.csv")
    assert [(r["activation"], r["layer"]) for r in rows] == [(a, str(n)) for a in ("relu", "tanh") for n in range(1, 5)]
    assert {(r["reading"], r["activation_deviation"], r["dead_units"]) for r in rows} == {("dies", "0.0", "1.0")}
    assert {r["saturated"] for r in rows} == {"", "0.0"}
    width, height = picture_size("a/b/init.png")
    assert width > 600
    assert height > 300


def test_a_single_layer_can_be_looked_at() -> None:
    result = call("inspect", "init", "--layers", "1", "--width", "5", "--rows", "1", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert "gradient 1/1" in result.output


def test_lr_suggests_a_range_and_writes_the_curve() -> None:
    result = call("inspect", "lr", "digits", "--steps", "150", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert "loss by learning rate" in result.output
    assert "The loss falls fastest at a rate of " in result.output
    assert "\n[optimizer]\nlearning_rate = { float = [" in result.output
    assert len(table("out/lr.csv")) == 150
    assert picture_size("out/lr.png")[0] > 800


def test_gradients_tells_every_layer_and_ends_with_zero() -> None:
    result = call("inspect", "gradients", "digits")
    assert result.exit_code == 0, result.stderr
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["dense", "dense_1", "output"]
    assert all(line.endswith("passed") for line in lines[2:5])
    assert "agrees" in lines[-1]


def test_gradients_are_drawn_and_written_weight_by_weight() -> None:
    result = call("inspect", "gradients", "digits", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert result.output.endswith("wrote out/gradients.csv and out/gradients.png\n")
    rows = table("out/gradients.csv")
    assert {(r["layer"], r["array"]) for r in rows} == {
        (layer, array) for layer in ("dense", "dense_1", "output") for array in ("kernel", "bias")
    }
    for row in rows:
        a, n = float(row["gradient"]), float(row["central_difference"])
        assert float(row["relative_error"]) == pytest.approx(abs(a - n) / max(abs(a) + abs(n), 1e-6))
    assert picture_size("out/gradients.png")[0] > 800


def test_a_wrong_gradient_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.training import backend

    right = backend.gradient

    def wrong(*args: object) -> object:
        loss, parts = right(*args)  # type: ignore[arg-type]
        return loss, [part * 1.5 for part in parts]

    monkeypatch.setattr(backend, "gradient", wrong)
    result = call("inspect", "gradients", "digits", "--output", "out")
    assert result.exit_code == 1
    assert picture_size("out/gradients.png")[0] > 800
    assert "The gradient is wrong in dense, dense_1, output." in result.output


BAD = (
    ("init --layers 0", "--layers"),
    ("init --width -3", "--width"),
    ("init --rows 0", "--rows"),
    ("init --rows many", "--rows"),
    ("init --seed -1", "--seed"),
    ("init --activation rleu", "rleu"),
    ("init --initializer match", "match"),
    ("init --initializer he", "he_normal"),
    ("init --layers 2 --width 3 --rows 3 --output taken", "taken"),
    ("init --layers 2 --width 3 --rows 3 --output taken/below", "taken"),
    ("init --layers 2 --width 3 --rows 3 --output /proc/none", "--output"),
    ("lr nothing", "nothing"),
    ("lr broken.toml", "broken.toml"),
    ("lr letter --data-dir nowhere", "nowhere"),
    ("lr letter --data-dir nowhere --output new", "nowhere"),
    ("lr digits --steps 3", "--steps"),
    ("lr digits --lowest 0", "--lowest"),
    ("lr digits --lowest nan", "--lowest"),
    ("lr digits --highest inf", "--highest"),
    ("lr digits --lowest 1 --highest 0.1", "--highest"),
    ("lr digits --output taken", "taken"),
    ("gradients nothing", "nothing"),
    ("gradients broken.toml", "broken.toml"),
    ("gradients letter --data-dir nowhere", "nowhere"),
    ("gradients", "STUDY"),
    ("gradients digits --output taken", "taken"),
    ("gradients digits --storage sqlite:///none.db", "none.db"),
    ("lr digits --storage sqlite:///none.db", "none.db"),
    ("lr digits --storage nonsense", "nonsense"),
)


@pytest.mark.parametrize(("line", "named"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_ends_with_two_and_leaves_nothing(line: str, named: str) -> None:
    files = {"broken.toml": "name = \n", "taken": ""}
    for name, content in files.items():
        Path(name).write_text(content)
    result = call("inspect", *line.split())
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert "Traceback" not in result.output
    assert sorted(p.name for p in Path().iterdir()) == sorted(files)


def test_every_problem_is_told_at_once() -> None:
    result = call("inspect", "init", "--layers", "0", "--width", "0", "--activation", "rleu")
    assert result.exit_code == 2
    assert result.stderr.count("error: command line: ") == 3


def test_init_loads_no_framework() -> None:
    script = (
        "import sys\n"
        "from hpo.cli.main import main\n"
        "try: main('inspect init --layers 2 --width 5 --rows 5 --output out'.split())\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'pandas', 'optuna', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small study's database."""
    folder = tmp_path_factory.mktemp("studied")
    url = f"sqlite:///{folder}/hpo.db"
    words = ("run", "digits", "--storage", url, "--trials", "6", "--epochs", "2", "--export", f"{folder}/bundle")
    result = call(*words)
    assert result.exit_code == 0, result.stderr
    return url


@pytest.mark.slow
def test_trial_shows_curve_layers_and_diagnosis(studied: str) -> None:
    result = call("inspect", "trial", "digits", "1", "--stage", "overfit", "--storage", studied, "--output", "seen")
    assert result.exit_code == 0, result.stderr
    assert result.output.startswith("overfit, trial 1: complete, value ")
    for word in ("searched: ", "validation_loss", "hidden 1", "output", "update_ratio"):
        assert word in result.output
    assert [row["epoch"] for row in table("seen/curve.csv")] == ["1", "2"]
    assert {row["epoch"] for row in table("seen/layers.csv")} == {"0", "1", "2"}
    assert picture_size("seen/trial.png") > (1000, 400)


def kept(url: str) -> dict[str, bytes]:
    """The pictures kept of the study `digits`, by kind."""
    from hpo.records.artifacts import ArtifactStore, default_store
    from hpo.records.database import connect
    from hpo.records.studies import Studies

    with connect(url, create=False) as db:
        studies, store = Studies(db), ArtifactStore(default_store(db))
        study_id = studies.get("digits").id
        found = {kind: studies.artifacts(study_id, kind) for kind in ("inspect-lr", "inspect-gradients")}
        assert all(len(refs) <= 1 for refs in found.values())
        return {kind: store.get(refs[0]) for kind, refs in found.items() if refs}


@pytest.mark.slow
def test_pictures_of_a_recorded_study_are_kept_for_its_report(studied: str) -> None:
    assert not kept(studied)
    words = ("inspect", "lr", "digits", "--steps", "40")
    assert "kept" not in call(*words).output
    for steps in ("40", "30"):
        result = call(*words[:-1], steps, "--storage", studied)
        assert result.exit_code == 0, result.stderr
        assert result.output.endswith("kept the picture for hpo report digits\n")
    result = call("inspect", "gradients", "digits", "--storage", studied)
    assert result.exit_code == 0, result.stderr
    pictures = kept(studied)
    assert set(pictures) == {"inspect-lr", "inspect-gradients"}
    assert all(picture.startswith(b"<svg") for picture in pictures.values())
    page = call("report", "digits", "--storage", studied, "--output", "r.html")
    assert page.exit_code == 0, page.stderr
    text = Path("r.html").read_text()
    assert "Not looked at yet" not in text
    assert all(base64.b64encode(picture).decode() in text for picture in pictures.values())


@pytest.mark.slow
def test_a_study_of_other_data_keeps_no_picture_in_the_recorded_one(studied: str) -> None:
    data = 'source = "sklearn:digits"\ntarget = "target"\nscale = "minmax"\n'
    Path("other.toml").write_text(f'name = "digits"\nspace = "mlp"\n[data]\n{data}')
    words = ("inspect", "gradients", "other.toml")
    result = call(*words, "--storage", studied)
    assert result.exit_code == 2
    assert "where 'digits' has this data and this space" in result.stderr


@pytest.mark.slow
def test_a_recorded_study_without_a_file_can_be_inspected(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/named.db"
    from hpo.commands.run import load
    from hpo.records.database import connect
    from hpo.records.studies import Studies
    from hpo.studyfile.spec import to_plain

    with connect(url) as db:
        Studies(db).open("mine", to_plain(load("digits", {"name": "mine"})), "f", 0)
    result = call("inspect", "gradients", "mine", "--storage", url)
    assert result.exit_code == 0, result.stderr
    assert "kept the picture for hpo report mine" in result.output


@pytest.mark.slow
def test_trial_tells_its_sharpness_or_why_there_is_none(studied: str) -> None:
    words = ("inspect", "trial", "digits", "1", "--stage", "overfit", "--storage", studied)
    result = call(*words)
    assert result.exit_code == 0, result.stderr
    told = one_line(result)
    assert "of the training probe" in told
    assert "2/sharpness" in told
    value = re.search(r"sharpness (\S+):", told)
    assert value
    for options, why in ((("--artifacts", "elsewhere"), "its weights are not where they were kept, elsewhere"),
                         (("--data-dir", "x", "--artifacts", "no"), "name the place with --artifacts")):  # fmt: skip
        assert why in one_line(call(*words, *options))
    again = call(*words, "--artifacts", "elsewhere", "--retrain")
    assert again.exit_code == 0, again.stderr
    loss = re.search(r"training loss (\S+), recorded (\S+)\.", one_line(again))
    assert loss
    assert loss[1] == loss[2]
    assert f"sharpness {value[1]}:" in one_line(again)


@pytest.mark.slow
def test_without_weights_nothing_is_trained_or_loaded(studied: str, tmp_path: Path) -> None:
    folder = Path(studied.removeprefix("sqlite:///")).parent
    shutil.copy(folder / "hpo.db", "copy.db")
    with contextlib.closing(sqlite3.connect("copy.db")) as db:
        db.execute("update hpo_run set artifact_id = null")
        db.commit()
    script = (
        "import sys\n"
        "from hpo.cli.main import main\n"
        "try: main('inspect trial digits 1 --stage overfit --storage sqlite:///copy.db'.split())\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "its weights were not kept" in done.stdout
    assert done.stdout.endswith("[]\n"), done.stdout


@pytest.mark.slow
def test_a_trial_that_is_not_there(studied: str) -> None:
    for words in (("999",), ("0", "--stage", "data")):
        result = call("inspect", "trial", "digits", *words, "--storage", studied)
        assert result.exit_code == 2
        assert "Trials with trainings: baseline 0 to 3, overfit 0 to " in result.stderr
        assert "Traceback" not in result.stderr
