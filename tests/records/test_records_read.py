"""The columns that reports are made of, on every database."""

import math

import pytest
from records_support import Bench, closed, finished, trial

from hpo.errors import InputError
from hpo.records import read
from hpo.records.openings import Openings
from hpo.records.rows import Score
from hpo.values import Check, Status, Verdict


@pytest.fixture
def study(bench: Bench) -> str:
    for attempt in (1, 2):
        stage = bench.stage("tune", attempt)
        bench.queue.add_trials(stage, [trial(0), trial(1, structure="t")])
        for _ in range(2):
            bench.queue.commit("w", [finished(r.id) for r in bench.queue.lease(bench.study.id, "w", 9, 60)])
        bench.queue.close_trials(stage, [closed(0, math.nan, "pruned"), closed(1, 0.5)])
    checks = (Check("a", Status.PASSED, "1", "1", "Fine."), Check("b", Status.WARNING, "2", "3", "Hm."))
    bench.studies.end_stage(stage.id, Verdict("go on", "It is.", {"noise": 0.5}, {"chosen": 1}), checks)
    openings = Openings(bench.db)
    look = openings.open(bench.study.id, bench.study.name, "h")
    openings.record(look.id, [Score("final", "accuracy", 0.9, 0.8, 1.0, 40)])
    return bench.study.name


def test_every_table_of_a_study(bench: Bench, study: str) -> None:
    stages = read.stages(bench.db, study)
    assert stages["stage"] == ["tune", "tune.2"]
    assert (stages["trials"], stages["state"]) == ([2, 2], ["running", "done"])
    assert (stages["verdict"], stages["decision"]) == ([None, "It is."], [None, "go on"])
    trials = read.trials(bench.db, study)
    assert trials["stage"] == ["tune", "tune", "tune.2", "tune.2"]
    assert trials["number"] == [0, 1, 0, 1]
    assert [math.isnan(v) for v in trials["value"]] == [True, False] * 2  # type: ignore[arg-type]
    assert trials["runs"] == [1] * 4
    runs = read.runs(bench.db, study)
    assert (runs["trial"], runs["state"], runs["artifact"]) == ([0, 1, 0, 1], ["done"] * 4, [None] * 4)
    curves = read.curves(bench.db, study)
    assert curves["epoch"] == [1, 2, 3] * 4
    assert curves["gradient_norm"] == [None, 0.1, 0.1] * 4
    assert read.checks(bench.db, study)["status"] == ["passed", "warning"]
    assert read.figures(bench.db, study) == {"stage": ["tune.2"], "name": ["noise"], "value": [0.5]}
    assert read.scores(bench.db, study)["high"] == [1.0]
    params = read.params(bench.db, study)
    assert params["name"][:5] == sorted(trial(0).configuration)
    assert params["value"][:5] == [trial(0).configuration[str(n)] for n in params["name"][:5]]
    row = read.studies(bench.db)
    at = row["study"].index(study)
    assert (row["stages"][at], row["trials"][at], row["seed"][at]) == (1, 4, 3)


def test_an_unknown_study_is_named(bench: Bench, study: str) -> None:
    for table in (
        read.stages,
        read.trials,
        read.runs,
        read.curves,
        read.checks,
        read.figures,
        read.scores,
        read.params,
    ):
        with pytest.raises(InputError, match="Did you mean"):
            table(bench.db, study + "!")


def test_columns_are_there_without_rows(bench: Bench) -> None:
    name = bench.study.name
    for table in (read.stages, read.trials, read.runs, read.curves, read.checks, read.figures, read.params):
        columns = table(bench.db, name)
        assert "stage" in columns
        assert set(map(len, columns.values())) == {0}
