"""Study files that are good: what is read, what is assumed, and what travels."""

import dataclasses
import json
import tomllib

import pytest

from hpo.bundled import bundled, bundled_names
from hpo.metrics import METRICS
from hpo.space import Choice, Fixed, FloatRange, IntRange
from hpo.studyfile import from_plain, identity, load_study, study_text, to_plain
from hpo.studyfile.load import parse_study
from hpo.studyfile.sections import KEYS, study_name
from hpo.studyfile.spec import BudgetSpec, DataSpec, RecipeSpec, SearchSpec, StudySpec, TrainingSpec
from hpo.values import Task, fingerprint

STUDIES = (
    "adult", "breast_cancer", "california_housing", "churn", "diabetes", "digits", "fashion_mnist", "letter", "wine",
    "wine_quality",
)  # fmt: skip

FULL = """\
name = "whole"
seed = 7
space = "mlp"
[data]
source = "rows.csv.gz"
target = -1
task = "binary"
header = false
test_source = "more.csv"
scale = "minmax"
valid = 0.1
folds = 5
rows = 500
drop = ["id", "phone"]
missing = ["?"]
[objective]
metric = "auc"
[budget]
trials = 12
seconds = 90
epochs = 3
[search]
sampler = "qmc"
halving = false
factor = 4
first_rung = 3
portfolio = false
batch = 2
structures = 5
plateau = 6
[training]
engine = "fit"
precision = "mixed"
memory = 2048
[recipe]
gate = 0.1
seeds = 6
proof_seeds = 3
level = 0.01
ensemble = 1
attempts = 0
"""


def read(text, folder, **more):
    return parse_study(tomllib.loads(text), where="study.toml", base=folder, fallback="study", **more)


def test_ten_studies_are_bundled():
    assert bundled_names("studies") == STUDIES
    assert bundled_names("search_spaces") == ("cnn", "mlp")
    assert (bundled("studies") / "digits.toml").is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_bundled_studies_load_without_a_word_of_caution(name):
    spec = load_study(name)
    assert (spec.name, spec.warnings) == (name, ())
    assert spec.metric in METRICS
    assert len(spec.space.varying) >= 8
    assert spec.data.source.startswith(("sklearn:", "data-dir:"))
    assert spec == load_study(str(bundled("studies") / f"{name}.toml"))


def test_every_key_is_read(tmp_path):
    spec = read(FULL, tmp_path)
    missing = ("?",)
    data = DataSpec(
        "rows.csv.gz", -1, Task.BINARY, False, "more.csv", "minmax", 0.1, 0.2, 5, 500, ("id", "phone"), missing
    )
    assert spec.data == data
    assert spec.budget == BudgetSpec(12, 90.0, 3)
    assert spec.search == SearchSpec("qmc", False, 4, 3, False, 2, 5, 6)
    assert spec.training == TrainingSpec("fit", "mixed", 2048)
    assert spec.recipe == RecipeSpec(0.1, 6, 3, 0.01, 1, 0)
    assert (spec.name, spec.seed, spec.metric, spec.base) == ("whole", 7, "auc", str(tmp_path))
    stated = tomllib.loads(FULL)
    assert set(stated) == set(KEYS)
    sections = (("budget", BudgetSpec), ("search", SearchSpec), ("training", TrainingSpec), ("recipe", RecipeSpec))
    for section, into in sections:
        assert set(stated[section]) == {f.name for f in dataclasses.fields(into)}


def test_what_is_left_out_is_the_dataclasses_default(tmp_path):
    spec = read('space = "mlp"\n[data]\nsource = "sklearn:digits"\n', tmp_path)
    assert spec.name == "study"
    assert spec.data == DataSpec("sklearn:digits")
    assert spec == StudySpec("study", spec.space, spec.data, base=str(tmp_path))


def test_seconds_alone_bound_no_trials(tmp_path):
    start = 'space = "mlp"\n[data]\nsource = "sklearn:digits"\n'
    assert read(start + "[budget]\nseconds = 5\n", tmp_path).budget == BudgetSpec(None, 5.0)
    assert read(start + "[budget]\nepochs = 5\n", tmp_path).budget == BudgetSpec(60, None, 5)
    both = read(start + "[budget]\ntrials = 9\n", tmp_path, overrides={"budget.seconds": 5.0})
    assert both.budget == BudgetSpec(9, 5.0)


def test_options_win_and_none_leaves_the_file_alone(tmp_path):
    given = {"budget.trials": 20, "budget.seconds": None, "seed": 3, "name": "other", "objective.metric": "log_loss"}
    before = tomllib.loads(FULL)
    spec = parse_study(before, where="study.toml", base=tmp_path, fallback="study", overrides=given)
    assert (spec.budget.trials, spec.budget.seconds) == (20, 90.0)
    assert (spec.seed, spec.name, spec.metric) == (3, "other", "log_loss")
    assert before == tomllib.loads(FULL), "the table that was passed in has changed"


@pytest.mark.parametrize("name", [*STUDIES, "whole"])
def test_a_study_comes_back_from_json(tmp_path, name):
    spec = read(FULL, tmp_path) if name == "whole" else load_study(name)
    assert from_plain(json.loads(json.dumps(to_plain(spec)))) == spec


def test_identity_is_the_same_wherever_the_file_lies(tmp_path):
    (tmp_path / "digits.toml").write_text((bundled("studies") / "digits.toml").read_text())
    here, there = load_study(str(tmp_path / "digits.toml")), load_study("digits")
    assert here.base != there.base
    assert fingerprint(identity(here)) == fingerprint(identity(there))
    assert fingerprint(identity(load_study("digits", overrides={"seed": 1}))) != fingerprint(identity(there))


def test_a_space_beside_the_study_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.toml").write_text('model = "mlp"\n[architecture]\nunits = { int = [2, 8] }\n')
    (tmp_path / "deep" / "study.toml").write_text('space = "mine.toml"\n[data]\nsource = "sklearn:wine"\n')
    monkeypatch.chdir(tmp_path)
    spec = load_study("deep/study.toml")
    assert spec.space["units"].range == IntRange(2, 8)
    assert spec.base == str(tmp_path / "deep")


CAUTIONS = {
    "data.test:": ('test_source = "more.csv"', 'test_source = "more.csv"\ntest = 0.3'),
    "data.valid: has no effect": ("folds = 5", "folds = 5"),
    "budget.trials: 12 trials": ("trials = 12", "trials = 12"),
    "search.sampler: gp": ('trials = 12\nseconds = 90\nepochs = 3\n[search]\nsampler = "qmc"',
                           'seconds = 90\n[search]\nsampler = "gp"'),
    "search.structures: has no effect beside halving": ("halving = false", "halving = true"),
    "space.optimizer.beta_1: beta_1 is never used, because optimizer is never adam or adamw": (
        'space = "mlp"\n', ""),
    "space.optimizer.momentum: momentum has no meaning when optimizer is adam": ('space = "mlp"\n', ""),
    "regularization.l1: spans decades": ('space = "mlp"\n', ""),
    "regularization.dropout: above 0.8": ('space = "mlp"\n', ""),
    "regularization.early_stopping: never acts": ('space = "mlp"\n', ""),
}  # fmt: skip

ODD_SPACE = """
[space]
model = "mlp"
[space.optimizer]
name = { choice = ["momentum", "nesterov"] }
beta_1 = { float = [0.5, 0.99] }
momentum = { float = [0.5, 0.99], when = { name = ["momentum", "adam"] } }
[space.regularization]
l1 = { float = [0.0, 0.1] }
dropout = { float = [0.0, 0.9] }
early_stopping = 5
"""


@pytest.mark.parametrize(("start", "change"), CAUTIONS.items(), ids=CAUTIONS)
def test_cautions(tmp_path, start, change):
    text = FULL.replace(*change)
    spec = read(text if "space =" in text else text + ODD_SPACE, tmp_path)
    assert [w for w in spec.warnings if w.startswith(start)], spec.warnings


STARTERS = {
    "california": (DataSpec("data/housing.csv", "median_house_value", Task.REGRESSION), 'metric = "rmse"'),
    "plain": (DataSpec("rows.csv", -1, None, False), 'metric = "accuracy"'),
    "awkward": (
        DataSpec(
            'C:\\a "b"\t\x7f.csv', 'ta#r"get\né', Task.BINARY, True, "t.csv", "none", 0.3, 0.2, 1, 99, ("a'b",), ()
        ),
        'metric = "accuracy"',
    ),
    "folds": (DataSpec("x.npz", folds=3, test=0.15), "folds = 3"),
}


@pytest.mark.parametrize(("data", "part"), STARTERS.values(), ids=STARTERS)
def test_a_starter_loads_back(tmp_path, data, part):
    facts = ["20,640 rows\r\nof 10 columns", "a bell \x07 and `quotes`", "[data]", ""]
    text = study_text("my houses/1", data, facts)
    (tmp_path / "study.toml").write_text(text)
    spec = load_study(str(tmp_path / "study.toml"))
    assert spec.data == data
    assert spec.name == "my-houses-1"
    assert part in text
    assert "# of 10 columns" in text
    assert spec.warnings == ()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("wish", "name"),
    [("digits", "digits"), ("my file (2)", "my-file--2-"), ("..", "study"), ("", "study"), ("é/b", "b"),
     ("x" * 200, "x" * 100)],
)  # fmt: skip
def test_names_are_made_fit(wish, name):
    assert study_name(wish) == name
    assert study_name(name) == name


def test_the_bundled_space_is_what_the_recipe_needs():
    space = load_study("digits").space
    assert space["units"].range == IntRange(16, 256, log=True)
    assert isinstance(space["learning_rate"].range, FloatRange)
    assert isinstance(space["optimizer"].range, Choice)
    assert space["decay_epochs"].range == Fixed(5.0)
    assert space["momentum"].when == (("optimizer", ("nesterov",)),)
    assert "rho" in space.unstated
    assert "decay_epochs" not in space.unstated
    default = space.default()
    assert space.holds(default)
    assert (default["units"], default["optimizer"], default["learning_rate"]) == (64, "adam", 3e-3)
