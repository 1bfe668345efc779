"""Studies, stages, verdicts and looks at the test set, on every database."""

import math
import threading

import numpy as np
import pytest
import sqlalchemy as sa
from records_support import Bench, closed, finished, trial

from hpo.errors import Fault, InputError, LeaseLost
from hpo.records import schema
from hpo.records.openings import Openings
from hpo.records.rows import ArtifactRef, Score
from hpo.records.studies import Studies
from hpo.values import Check, Status, Verdict

CHECKS = (Check("loss at start", Status.PASSED, "2.3", "2.31", "It starts at the prior."),) * 2
VERDICT = Verdict(
    "go on", "Größe 64 genügt.", {"gap": 0.1, "odd": math.nan}, {"configuration": {"units": 64, "l2": 1e-4}}
)


def test_a_study_is_opened_again_and_refused_with_other_settings(bench: Bench) -> None:
    name = bench.study.name
    assert bench.studies.open(name, {"budget": {"trials": 30}}, "f0", 3) == bench.study
    with pytest.raises(InputError) as caught:
        bench.studies.open(name, {"budget": {"trials": 60}, "new": [1]}, "f1", 3)
    problems = {p.key: p for p in caught.value.problems}
    assert set(problems) == {"budget.trials", "new"}
    assert (problems["budget.trials"].expected, problems["budget.trials"].got) == ("30, as it was begun", "60")
    assert "--fresh" in problems["new"].remedy


def test_names_that_differ_in_case_are_different(bench: Bench) -> None:
    assert bench.studies.open(bench.study.name.upper(), {}, "x", 0).id != bench.study.id


def test_two_processes_open_the_same_study(bench: Bench) -> None:
    rows: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        rows.append(Studies(bench.db).open(bench.study.name + " twice", {"a": 1}, "f", 0).id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 4
    assert len(set(rows)) == 1


def test_an_unknown_study_names_the_nearest(bench: Bench) -> None:
    with pytest.raises(InputError, match="Did you mean"):
        bench.studies.get(bench.study.name + "x")


def test_a_stage_is_begun_once_and_ends_with_its_verdict(bench: Bench) -> None:
    stage = bench.stage()
    assert bench.stage() == stage
    ended = bench.studies.end_stage(stage.id, VERDICT, CHECKS)
    assert bench.stage() == ended, "a finished stage begun again stays finished"
    assert (ended.state, ended.checks, ended.space) == ("done", CHECKS, '{"a": 1}')
    assert ended.verdict is not None
    assert (ended.verdict.sentence, ended.verdict.hands_on) == (VERDICT.sentence, VERDICT.hands_on)
    assert ended.verdict.figures["gap"] == 0.1
    assert math.isnan(ended.verdict.figures["odd"])
    with pytest.raises(Fault, match="not running"):
        bench.studies.end_stage(stage.id, VERDICT, CHECKS)
    with pytest.raises(InputError, match=r"tune: fingerprint"):
        bench.studies.begin_stage(bench.study.id, "tune", 1, 4, "f2", None, None, 0, None, None)
    second = bench.stage("tune", 2)
    assert [s.id for s in bench.studies.stages(bench.study.id)] == [stage.id, second.id]


def test_a_verdict_that_cannot_be_written_leaves_the_stage_running(bench: Bench) -> None:
    stage = bench.stage()
    with pytest.raises(TypeError):
        bench.studies.end_stage(stage.id, Verdict("go on", "x", {}, {"model": object()}), CHECKS)
    (row,) = bench.studies.stages(bench.study.id)
    assert (row.state, row.verdict, row.checks) == ("running", None, ())
    numbers = {"a": np.float32(0.5), "b": (1, 2), "c": np.arange(2)}
    verdict = bench.studies.end_stage(stage.id, Verdict("go on", "x", {}, numbers), ()).verdict
    assert verdict is not None
    assert verdict.hands_on == {"a": 0.5, "b": [1, 2], "c": [0, 1]}


def test_a_stopped_study_stops_its_stages_and_goes_on(bench: Bench) -> None:
    bench.studies.set_state(bench.study.id, "running")
    stage = bench.stage()
    bench.studies.set_state(bench.study.id, "stopped")
    row, begun = bench.studies.get(bench.study.name), bench.studies.stages(bench.study.id)[0]
    assert (row.state, begun.state) == ("stopped", "stopped")
    assert row.started_at is not None
    assert row.finished_at is not None
    bench.studies.set_state(bench.study.id, "running")
    again = bench.studies.get(bench.study.name)
    assert (again.state, again.finished_at, again.started_at) == ("running", None, row.started_at)
    assert (bench.stage().id, bench.stage().state) == (stage.id, "running")


def test_only_the_leader_begins_and_ends_stages(bench: Bench) -> None:
    leader = bench.workers.register(bench.study.id, "leader")
    assert bench.workers.lead(bench.study.id, leader, 60)
    stage, late = bench.stage(), Studies(bench.db, leader="someone else")
    with pytest.raises(LeaseLost):
        late.end_stage(stage.id, VERDICT, ())
    with pytest.raises(LeaseLost):
        late.begin_stage(bench.study.id, "squeeze", 1, 5, "f", None, None, 0, None, None)
    with pytest.raises(LeaseLost):
        late.set_state(bench.study.id, "failed")
    Studies(bench.db, leader=leader).end_stage(stage.id, VERDICT, ())
    bench.workers.gone(leader)
    assert bench.workers.lead(bench.study.id, "next", 60), "a leader that has left is replaced at once"


def test_the_data_are_described(bench: Bench) -> None:
    bench.studies.describe_data(bench.study.id, "binary", "auc", "maximize", "sklearn:wine", "d" * 16)
    row = bench.studies.get(bench.study.name)
    assert (row.task, row.metric, row.data_fingerprint) == ("binary", "auc", "d" * 16)


def test_looks_at_the_test_set_are_counted(bench: Bench) -> None:
    openings, data = Openings(bench.db), f"data of {bench.study.name}"
    first = openings.open(bench.study.id, data, "models")
    assert (first.look, first.repeated) == (1, False)
    scores = [Score("final", "accuracy", 0.9, 0.8, 0.95, 40), Score("prior", "accuracy", 0.1, math.nan, 0.2, 40)]
    for _ in range(2):
        openings.record(first.id, scores)
    back = openings.scores(first.id)
    assert back[0] == scores[0]
    assert math.isnan(back[1].low)
    again = openings.open(bench.study.id, data, "models")
    assert (again.id, again.look, again.repeated) == (first.id, 1, True)
    with pytest.raises(Fault, match="for other models"):
        openings.open(bench.study.id, data, "other models")
    bench.studies.remove(bench.study.name)
    anew = bench.studies.open(bench.study.name, {}, "f0", 3)
    assert openings.get(anew.id) is None
    assert openings.open(anew.id, data, "models").look == 2, "removing the study does not make the look undone"
    assert openings.open(bench.studies.open(anew.name + "'", {}, "f", 0).id, data, "models").look == 3


def test_removing_a_study_leaves_nothing_of_it(bench: Bench) -> None:
    kept = bench.studies.open(bench.study.name + " kept", {}, "f", 0)
    stage = bench.stage()
    bench.queue.add_trials(stage, [trial(0)])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 60)
    bench.queue.commit("w", [finished(run.id)])
    bench.queue.close_trials(stage, [closed(0)])
    bench.studies.record_artifact(bench.study.id, "export", ref := ArtifactRef("bundle", "0" * 64, 1))
    assert bench.studies.artifacts(bench.study.id, "export") == [ref]
    bench.workers.register(bench.study.id)
    bench.studies.end_stage(stage.id, VERDICT, CHECKS)
    assert bench.studies.remove(bench.study.name) == ["bundle"]
    with pytest.raises(InputError):
        bench.studies.get(bench.study.name)
    assert bench.studies.get(kept.name) == kept
    with bench.db.read() as connection:
        for table, column, value in (
            (schema.stage, "study_id", bench.study.id), (schema.trial, "stage_id", stage.id),
            (schema.run, "id", run.id), (schema.epoch, "run_id", run.id), (schema.param, "trial_id", run.trial_id),
            (schema.verdict, "stage_id", stage.id), (schema.figure, "stage_id", stage.id),
            (schema.check, "stage_id", stage.id), (schema.worker, "study_id", bench.study.id),
            (schema.artifact, "study_id", bench.study.id),
        ):  # fmt: skip
            rows = connection.execute(sa.select(table).where(table.c[column] == value)).all()
            assert rows == [], table.name
