"""`hpo.open`: DataFrames with the documented columns, held against the records and against stock Optuna."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from finished_study import CHOSEN, DIVERGED, EPOCHS, SCORES, TRIALS, make, write_empty_database, write_finished_study

import hpo
from hpo.errors import InputError
from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.reports.columns import TABLES
from hpo.reports.frames import Results, best_trials
from hpo.reports.picks import picks

ROOT = Path(__file__).resolve().parent.parent.parent
OF_A_STUDY = [name for name in TABLES if name != "studies"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('frames')}/hpo.db"
    write_finished_study(url)
    return url


@pytest.fixture(scope="module")
def results(url: str) -> Iterator[Results]:
    with hpo.open(url) as found:
        yield found


def frame(results: Results, name: str) -> pd.DataFrame:
    return results.studies() if name == "studies" else getattr(results, name)("digits")


@pytest.mark.parametrize("name", TABLES)
def test_columns_and_types_are_the_documented_ones(results: Results, name: str) -> None:
    found = frame(results, name)
    wanted = TABLES[name]
    assert list(found.columns)[: len(wanted)] == [c.name for c in wanted]
    assert [str(found[c.name].dtype) for c in wanted] == [c.dtype for c in wanted]
    assert len(found)


def test_the_documentation_lists_every_table_and_column() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    sections = dict(re.findall(r"## `(\w+)\(.*?\)`\n(.*?)(?=\n## |\Z)", text, flags=re.S))
    assert list(sections) == list(TABLES)
    for name, section in sections.items():
        rows = re.findall(r"^\| `(\w+)` \| ([\w\[\]0-9]+) \| (.+) \|$", section, flags=re.M)
        assert rows == [(c.name, c.dtype, c.meaning) for c in TABLES[name]]


@pytest.mark.parametrize("name", OF_A_STUDY)
def test_types_hold_without_rows(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with connect(url) as db:
        Studies(db).open("begun", {"name": "begun"}, "f", 0)
    with hpo.open(url) as results:
        found = getattr(results, name)("begun")
        assert found.empty
        assert [str(t) for t in found.dtypes] == [c.dtype for c in TABLES[name]]


def test_an_empty_database_has_no_studies(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    write_empty_database(url)
    with hpo.open(url) as results:
        assert results.studies().empty


@pytest.mark.parametrize("name", OF_A_STUDY)
def test_an_unknown_study_is_refused_with_the_nearest_name(results: Results, name: str) -> None:
    with pytest.raises(InputError, match="digits"):
        getattr(results, name)("digitz")


def test_opening_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        hpo.open(f"sqlite:///{tmp_path}/none.db")
    assert not list(tmp_path.iterdir())


def test_stages_in_order_with_their_verdicts(results: Results) -> None:
    found = results.stages("digits")
    assert list(found["stage"]) == ["data", "baseline", "overfit", "regularize", "tune", "squeeze"]
    assert (found["decision"] == "go on").all()
    assert found["chosen_trial"].tolist() == [pd.NA, pd.NA, CHOSEN, CHOSEN, CHOSEN, pd.NA]
    assert (found["seconds"] >= 0).all()


@pytest.mark.parametrize("stage", ["overfit", "regularize", "tune"])
def test_best_trial_is_that_of_stock_optuna(url: str, results: Results, stage: str) -> None:
    study = optuna.load_study(study_name=f"digits/{stage}", storage=url)
    (best,) = [p for p in picks(results, "digits") if p.stage == stage and "best_trial" in p.which]
    assert best.trial == study.best_trial.number
    assert best.value == study.best_value
    assert best.varied == study.best_params
    trials = results.trials("digits").query("stage == @stage")
    assert trials.loc[trials["best"], "number"].tolist() == [study.best_trial.number]
    assert trials.loc[trials["chosen"], "number"].tolist() == [CHOSEN]


def test_trials_carry_their_scores_and_parameters(results: Results) -> None:
    found = results.trials("digits").query("stage == 'overfit'").set_index("number")
    assert len(found) == TRIALS
    row = found.loc[CHOSEN]
    made = make({"learning_rate": row["params_learning_rate"], "dropout": 0.0}, CHOSEN)
    assert row["training_loss"] == pytest.approx(made.training_loss, rel=1e-12)
    assert row["gap"] == pytest.approx(made.validation_loss - made.training_loss, rel=1e-12)
    assert row["value"] == row["training_loss"]
    assert row["runs"] == 1
    assert str(found["params_units"].dtype) == "Int64"
    assert str(found["params_learning_rate"].dtype) == "Float64"
    assert str(found["params_optimizer"].dtype) == "string"


def test_what_was_not_finite_is_missing(results: Results) -> None:
    trials = results.trials("digits").query("stage == 'tune'").set_index("number")
    assert trials.loc[DIVERGED, "diagnosis"] == "diverged"
    assert trials.loc[DIVERGED, "state"] == "pruned"
    assert trials.loc[DIVERGED, "training_loss"] is pd.NA
    curve = results.curves("digits").query("stage == 'tune' and trial == @DIVERGED")
    assert curve["training_loss"].isna().tolist() == [False] * 6 + [True] * (EPOCHS - 6)


def test_curves_are_whole_and_in_order(results: Results) -> None:
    curves = results.curves("digits")
    runs = results.runs("digits")
    assert len(runs) == 5 + 3 * TRIALS
    assert len(curves) == len(runs) * EPOCHS
    assert all(list(epochs) == list(range(1, EPOCHS + 1)) for _, epochs in curves.groupby("run")["epoch"])
    one = curves.query("stage == 'tune' and trial == 0")
    assert np.all(np.diff(one["training_loss"].to_numpy(float)) < 0)


def test_scores_come_simplest_first(results: Results) -> None:
    found = results.scores("digits")
    assert found["model"].tolist() == ["prior", "linear", "boosted_trees", "small_network", "final"]
    assert found["value"].tolist() == [s.value for s in SCORES]
    assert set(found["look"]) == {1}


def test_of_equal_trials_the_first_is_best() -> None:
    columns = {
        "stage": ["a", "a", "a", "a", "b", "b"],
        "number": [0, 1, 2, 3, 0, 1],
        "state": ["pruned", "complete", "complete", "complete", "complete", "failed"],
        "value": [9.0, 0.5, 0.9, 0.9, 0.3, 0.1],
    }
    assert best_trials(columns, {"a": "maximize", "b": "minimize"}) == {"a": 2, "b": 0}


def test_equal_trials_agree_with_stock_optuna(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/ties.db"
    study = optuna.create_study(storage=storage, direction="maximize")
    values = [0.9, 0.95, 0.95, 0.8, 0.95]
    for value in values:
        study.tell(study.ask(), value)
    columns = {"stage": ["s"] * 5, "number": list(range(5)), "state": ["complete"] * 5, "value": values}
    assert best_trials(columns, {"s": "maximize"})["s"] == study.best_trial.number


def test_importance_has_hyperparameters_and_interactions_of_searching_stages(results: Results) -> None:
    found = results.importance("digits")
    assert list(found["stage"].unique()) == ["overfit", "regularize", "tune"]
    tune = found[found["stage"] == "tune"]
    assert list(tune["name"]) == ["learning_rate", "dropout", "learning_rate"]
    assert [other if other is not pd.NA else None for other in tune["other"]] == [None, None, "dropout"]
    assert list(tune["share"]) == [0.4, 0.4, 0.125]
    assert list(tune["high"]) == [0.5, 0.5, 0.2]
    assert list(found[found["fixed"].notna()][["stage", "name", "fixed"]].iloc[0]) == ["regularize", "dropout", 0.125]
    assert found["fixed"].notna().sum() == 1
