"""Asking a study to stop: what becomes of its state, by who leads it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from records_support import Bench, trial

from hpo.errors import InputError
from hpo.records import schema
from hpo.records.connection import now
from hpo.records.rows import StageRow, StudyState
from hpo.records.stopping import stop


def begun(bench: Bench) -> tuple[StageRow, str]:
    """A running study with an open stage, and its leader."""
    leader = bench.workers.register(bench.study.id, "leader")
    bench.workers.lead(bench.study.id, leader, 60)
    bench.studies.set_state(bench.study.id, "running")
    return bench.stage(), leader


def states(bench: Bench) -> tuple[StudyState, list[str]]:
    return bench.studies.get(bench.study.name).state, [s.state for s in bench.studies.stages(bench.study.id)]


def test_a_study_that_is_led_is_stopping_and_begins_nothing_new(bench: Bench) -> None:
    stage, _ = begun(bench)
    bench.queue.add_trials(stage, [trial(0), trial(1, structure="t")])
    (run,) = bench.queue.lease(bench.study.id, "w", 1, 60)
    assert stop(bench.db, bench.study.name) == "stopping"
    assert states(bench) == ("stopping", ["running"])
    assert bench.queue.lease(bench.study.id, "w", 9, 60) == []
    assert run.id in bench.queue.held("w"), "what is in training goes on"
    assert stop(bench.db, bench.study.name) == "stopping", "asked again"


def lapses(bench: Bench, leader: str) -> None:
    study = schema.study
    bench.db.transact(
        lambda c: c.execute(
            sa.update(study).where(study.c.id == bench.study.id).values(leader_until=now(c) - timedelta(seconds=1))
        )
    )


def resigns(bench: Bench, leader: str) -> None:
    bench.workers.resign(bench.study.id, leader)


def dies(bench: Bench, leader: str) -> None:
    bench.workers.gone(leader)


@pytest.mark.parametrize("asked", [False, True], ids=["running", "stopping"])
@pytest.mark.parametrize("ends", [lapses, resigns, dies])
def test_a_study_that_nobody_leads_is_stopped_with_its_open_stages(
    bench: Bench, ends: Callable[[Bench, str], None], asked: bool
) -> None:
    done, leader = begun(bench)
    bench.studies.close_stage(done.id, "failed")
    bench.stage("squeeze")
    if asked:
        assert stop(bench.db, bench.study.name) == "stopping"
    ends(bench, leader)
    assert stop(bench.db, bench.study.name) == "stopped"
    assert states(bench) == ("stopped", ["failed", "stopped"])
    row = bench.studies.get(bench.study.name)
    assert row.finished_at is not None
    assert bench.studies.stages(bench.study.id)[1].finished_at == row.finished_at


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_a_study_that_does_not_run_stays_as_it_is(bench: Bench, state: StudyState) -> None:
    begun(bench)
    bench.studies.set_state(bench.study.id, state)
    before = bench.studies.get(bench.study.name)
    assert stop(bench.db, bench.study.name) == state
    assert bench.studies.get(bench.study.name) == before


def test_a_study_that_runs_again_is_not_stopped_by_who_waited_for_its_end(bench: Bench) -> None:
    begun(bench)
    assert stop(bench.db, bench.study.name, of=("stopping",)) == "running"
    assert states(bench)[0] == "running"


def test_an_unknown_study_is_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="in this database"):
        stop(bench.db, "no such study")
