"""The bulk writer against stock Optuna: what one writes the other reads, on every database."""

import datetime
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from records_support import ACTIVATION, RATE, UNITS, Bench, closed, optuna_storage, trial

from hpo.errors import Fault
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies

Load = Callable[[str | None], optuna.Study]


@pytest.fixture
def load(bench: Bench) -> Iterator[Load]:
    """Stock Optuna's view of a study, by name."""
    with optuna_storage(bench.db.url) as storage:
        yield lambda name: optuna.load_study(study_name=name, storage=storage)


def test_optuna_reads_what_was_written_in_bulk(bench: Bench, load: Load) -> None:
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(n) for n in (2, 0, 1)])
    bench.queue.add_trials(stage, [trial(3, closed=closed(3, 0.7)), trial(4), trial(5)])
    ends = [closed(0, 0.8), closed(1, None, "failed"), closed(2, math.inf, "complete"), closed(4, 0.3, "pruned")]
    bench.queue.close_trials(stage, ends)
    study = load(stage.optuna_study)
    states = [t.state.name for t in study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "PRUNED", "RUNNING"]
    assert [t.number for t in study.trials] == list(range(6))
    assert [t.values for t in study.trials] == [[0.8], None, [math.inf], [0.7], [0.3], None]
    for n, t in enumerate(study.trials):
        assert t.params == {"learning_rate": 0.1 / (n + 3), "units": 8 + n, "activation": "tanh"}
        assert t.distributions == {"learning_rate": RATE, "units": UNITS, "activation": ACTIVATION}
        assert t.system_attrs == {"who": "me"} | ({"cma:generation": 3} if n != 5 else {})
        assert t.datetime_start is not None
        assert abs(t.datetime_start - datetime.datetime.now()) < datetime.timedelta(minutes=5)
        assert (t.datetime_complete is None) == (n == 5)
    assert study.best_trial.number == 2
    assert study._storage.get_study_system_attrs(study._study_id)["qmc:next"] == 4
    (row, *_) = bench.queue.trials(stage.id)
    assert {k: json.loads(v) for k, v in row.optuna_attrs.items()} == study.trials[0].system_attrs


def test_optuna_reads_rungs_as_intermediate_values(bench: Bench, load: Load) -> None:
    rungs = [{4: 0.5, 10: math.nan, 20: -math.inf}, {4: math.inf, 30: 1 / 3}, {}]
    stage = bench.stage(optuna_study=True)
    ended = replace(closed(2, 0.7), rungs=rungs[0])
    bench.queue.add_trials(stage, [trial(0), trial(1), trial(2, closed=ended)])
    ends = [replace(closed(0, 0.8, "pruned"), rungs=rungs[1]), replace(closed(1, 0.3), rungs=rungs[2])]
    bench.queue.close_trials(stage, ends)
    told = [t.intermediate_values for t in load(stage.optuna_study).trials]
    assert list(map(repr, told)) == [repr(rungs[1]), repr(rungs[2]), repr(rungs[0])]


def test_attributes_are_set_anew(bench: Bench, load: Load) -> None:
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(0), trial(1)])
    attrs = {"who": '"you"', "new": "1"}
    bench.queue.close_trials(stage, [replace(closed(0), optuna_attrs=attrs)])
    bench.queue.close_trials(stage, [closed(1)])
    study = load(stage.optuna_study)
    assert study.trials[0].system_attrs == {"who": "you", "new": 1}
    assert study._storage.get_study_system_attrs(study._study_id)["qmc:next"] == 1


def test_a_study_goes_on_with_optuna_itself(bench: Bench, load: Load) -> None:
    """Optuna adds a trial of its own to a study of ours: same columns, same states, as its own storage leaves them."""
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(0)])
    bench.queue.close_trials(stage, [closed(0)])
    study = load(stage.optuna_study)

    def objective(t: optuna.Trial) -> float:
        rate = t.suggest_float("learning_rate", 1e-5, 1.0, log=True)
        return rate + t.suggest_int("units", 4, 64) + len(t.suggest_categorical("activation", ["relu", "tanh"]))

    study.optimize(objective, n_trials=2)
    ours, theirs, _ = study.trials
    assert theirs.number == 1
    assert theirs.distributions == ours.distributions
    with bench.db.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection, only=["trials", "trial_params", "trial_values"], resolve_fks=False)
        for name, keep in (("trials", "state"), ("trial_params", "distribution_json"), ("trial_values", "value_type")):
            table = tables.tables[name]
            rows = {
                i: set(connection.execute(sa.select(table.c[keep]).where(table.c.trial_id == i)).scalars())
                for i in (ours._trial_id, theirs._trial_id)
            }
            assert rows[ours._trial_id] == rows[theirs._trial_id]
    with pytest.raises(Fault, match="cannot follow the 3"):
        bench.queue.add_trials(stage, [trial(1)])
    assert [t.number for t in bench.queue.trials(stage.id)] == [0], "ours was written although Optuna's was not"


def test_closing_twice_changes_neither_side(bench: Bench, load: Load) -> None:
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(0), trial(1)])
    bench.queue.close_trials(stage, [closed(0, 0.8)])
    with pytest.raises(Fault, match="not running"):
        bench.queue.close_trials(stage, [closed(1, 0.1), closed(0, 0.2)])
    study = load(stage.optuna_study)
    assert [(t.state.name, t.value) for t in study.trials] == [("COMPLETE", 0.8), ("RUNNING", None)]
    with pytest.raises(ValueError, match="without a value"):
        bench.queue.close_trials(stage, [closed(1, math.nan)])


def test_removing_a_study_takes_its_optuna_studies_and_no_others(bench: Bench, load: Load) -> None:
    stage = bench.stage(optuna_study=True)
    bench.queue.add_trials(stage, [trial(0), trial(1, closed=closed(1))])
    other = f"kept {time.time()}"
    with optuna_storage(bench.db.url) as storage:
        optuna.create_study(study_name=other, storage=storage).add_trial(optuna.create_trial(value=1.0))
        bench.studies.remove(bench.study.name)
        names = {s.study_name for s in storage.get_all_studies()}
    assert stage.optuna_study not in names
    assert len(load(other).trials) == 1


def test_tables_of_another_optuna_are_refused(sqlite_url: str) -> None:
    with connect(sqlite_url) as db:
        studies = Studies(db)
        study = studies.open("s", {}, "f", 0)
        stage = studies.begin_stage(study.id, "tune", 1, 4, "f", None, "maximize", 1, None, "s/tune")
        with pytest.raises(Fault, match="tables are missing"):
            Queue(db).add_trials(stage, [trial(0)])
        with optuna_storage(sqlite_url) as storage:
            optuna.create_study(study_name="s/tune", storage=storage)
        with db.write() as connection:
            connection.exec_driver_sql("UPDATE version_info SET schema_version = 13")
        with pytest.raises(Fault, match="schema version 13"):
            Queue(db).add_trials(stage, [trial(0)])
        assert Queue(db).trials(stage.id) == []
