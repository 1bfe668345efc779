"""One small study from its file to its bundle, looked at from every side that a user has."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy as sa

import hpo
from hpo.data.load import load
from hpo.errors import InputError
from hpo.records.database import connect
from hpo.run import export_bundle, launch
from hpo.run.events import Event, StageFinished, StudyFinished
from hpo.studyfile import load_study
from hpo.studyfile.spec import StudySpec

pytestmark = pytest.mark.slow

STUDY = """
name = "churn_like"
seed = 1
[data]
source = "customers.csv"
target = "left"
[budget]
trials = 10
epochs = 4
[recipe]
proof_seeds = 2
[space]
model = "mlp"
[space.architecture]
hidden_layers = { int = [1, 2] }
units = { int = [8, 32], log = true }
[space.optimizer]
name = { choice = ["adam", "nesterov"] }
learning_rate = { float = [3e-3, 3e-2], log = true }
momentum = { float = [0.8, 0.95], when = { name = ["nesterov"] } }
[space.regularization]
dropout = { float = [0.0, 0.5] }
l2 = { float = [1e-6, 1e-3], log = true }
"""


def write_study(folder: Path) -> StudySpec:
    """A mixed table of 400 rows, three folds, with texts and gaps."""
    rng = np.random.default_rng(0)
    with (folder / "customers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "plan", "calls", "left"])
        for _ in range(400):
            age, calls, plan = rng.integers(18, 80), rng.poisson(3), rng.choice(["basic", "plus", "pro"])
            leaves = calls + (plan == "basic") * 2 - age / 30 + rng.normal(0, 1) > 2
            writer.writerow([age if rng.random() > 0.05 else "", plan, calls, "yes" if leaves else "no"])
    (folder / "study.toml").write_text(STUDY)
    return load_study(str(folder / "study.toml"), overrides={})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, StudySpec, list[Event]]:
    folder = tmp_path_factory.mktemp("whole")
    spec, url, heard = write_study(folder), f"sqlite:///{folder}/study.db", list[Event]()
    launch(spec, storage=url, export=str(folder / "bundle"), listener=heard.append)
    return folder, url, spec, heard


def test_six_stages_give_six_verdicts(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    _, url, spec, heard = finished
    stages = hpo.open(url).stages(spec.name)
    went_on = stages[stages["decision"].isin(["go on", "done"])]
    assert list(went_on["name"]) == ["data", "baseline", "overfit", "regularize", "tune", "squeeze"]
    assert went_on["verdict"].str.len().min() > 40
    assert isinstance(heard[-1], StudyFinished)


def test_stock_optuna_sees_the_same_best_trial(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    _, url, spec, _ = finished
    stages = hpo.open(url).stages(spec.name)
    trials = hpo.open(url).trials(spec.name)
    names = list(stages["optuna_study"].dropna())
    assert {"churn_like/overfit", "churn_like/regularize", "churn_like/tune"} <= set(names)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    for row in stages[stages["optuna_study"].isin(names)].itertuples():
        stock = optuna.load_study(study_name=row.optuna_study, storage=storage)
        assert stock.best_trial.number == row.best_trial
        ours = trials[trials["stage"] == row.stage]
        best = ours[ours["number"] == row.best_trial].iloc[0]
        assert stock.best_value == best["value"]
        assert len(stock.trials) == len(ours)
        assert all(t.state.is_finished() for t in stock.trials)
        for name, value in stock.best_params.items():
            ours_value = best[f"params_{name}"]
            assert ours_value == pytest.approx(value) if isinstance(value, float) else ours_value == value
    storage.remove_session()
    storage.engine.dispose()


def test_the_bundle_scores_the_same_without_hpo(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    folder, url, spec, _ = finished
    dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=None)
    test = dataset.open_test()
    labels = [dataset.facts.classes[int(c)] for c in test.y]
    (folder / "rows.json").write_text(json.dumps([[{k: str(v) for k, v in r.items()} for r in test.raw], labels]))
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import predict\n"
        "rows, labels = json.load(open(sys.argv[2]))\n"
        "got = predict.load().predict(rows)\n"
        "print(sum(str(a) == b for a, b in zip(got, labels)) / len(labels)); print('hpo' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder / "bundle"), str(folder / "rows.json")], cwd="/", text=True,
        capture_output=True, check=False, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    accuracy, loaded = ran.stdout.split()[-2:]
    scores = hpo.open(url).scores(spec.name).set_index("model")
    assert float(accuracy) == pytest.approx(scores.loc["final", "value"])
    assert loaded == "False"


def test_the_test_set_was_opened_once_for_all_models(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    _, url, spec, _ = finished
    scores = hpo.open(url).scores(spec.name)
    assert set(scores["model"]) == {"prior", "linear", "boosted_trees", "small_network", "final"}
    assert (scores["low"] <= scores["value"]).all()
    assert (scores["value"] <= scores["high"]).all()
    assert set(scores["look"]) == {1}


def test_a_finished_study_is_not_run_again(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    folder, url, spec, _ = finished
    heard: list[Event] = []
    before = hpo.open(url).runs(spec.name)
    launch(spec, storage=url, export=str(folder / "bundle"), listener=heard.append)
    assert all(e.reused for e in heard if isinstance(e, StageFinished))
    assert len(hpo.open(url).runs(spec.name)) == len(before)


def test_a_changed_study_is_refused_by_name_of_the_key(finished: tuple[Path, str, StudySpec, list[Event]]) -> None:
    folder, url, _, _ = finished
    changed = load_study(str(folder / "study.toml"), overrides={"budget.epochs": 5})
    with pytest.raises(InputError, match=r"budget\.epochs.*--fresh"):
        launch(changed, storage=url)


def test_the_bundle_is_given_out_again(finished: tuple[Path, str, StudySpec, list[Event]], tmp_path: Path) -> None:
    folder, url, spec, _ = finished
    again = export_bundle(url, spec.name, str(tmp_path / "again"))
    assert (again / "model.keras").read_bytes() == (folder / "bundle" / "model.keras").read_bytes()
    with pytest.raises(InputError, match="empty folder"):
        export_bundle(url, spec.name, str(tmp_path / "again"))


@pytest.mark.parametrize("server", ["embedded_postgresql", "mariadb"])
def test_two_workers_share_a_study_on_a_server(server: str, fresh_url: Callable[[str], str], tmp_path: Path) -> None:
    url, spec = fresh_url(server), write_study(tmp_path)
    launch(spec, storage=url, workers=2, export=str(tmp_path / "bundle"), artifacts=str(tmp_path / "artifacts"))
    with connect(url) as database, database.read() as connection:
        states = connection.execute(sa.text("SELECT state, count(*) FROM hpo_run GROUP BY state")).all()
        counted = connection.execute(
            sa.text("SELECT count(*) FROM hpo_trial t JOIN hpo_stage s ON s.id = t.stage_id "
                    "WHERE s.optuna_study IS NOT NULL AND t.origin <> 'carried'")
        ).scalar_one()  # fmt: skip
        workers = connection.execute(sa.text("SELECT count(DISTINCT worker_id) FROM hpo_run")).scalar_one()
    assert {state for state, _ in states} <= {"done", "stopped", "diverged"}
    assert counted == spec.budget.trials
    assert workers == 2


def test_jax_runs_it_all_without_tensorflow(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="jax (the extra jax) is not installed")
    write_study(tmp_path)
    code = (
        "import sys; from hpo.run import launch; from hpo.studyfile import load_study\n"
        "spec = load_study('study.toml', overrides={'budget.trials': 3, 'budget.epochs': 2, 'data.folds': 1})\n"
        "launch(spec, storage='sqlite:///study.db')\n"
        "print('tensorflow' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=False,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[-1] == "False"
