"""How a study stands: counted by the database, at one moment of its clock."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from records_support import Bench, closed, finished, trial

from hpo.errors import InputError
from hpo.records import schema
from hpo.records.connection import now
from hpo.records.rows import StageRow
from hpo.records.standing import StageStanding, Standing, standing
from hpo.values import Verdict


def look(bench: Bench) -> Standing:
    return standing(bench.db, bench.study.name, lease=60.0)


def later(bench: Bench, table: sa.Table, column: str, seconds: float) -> None:
    """Move a moment of all rows of this study's table into the past."""
    of_study = {
        "trial": schema.trial.c.stage_id.in_(
            sa.select(schema.stage.c.id).where(schema.stage.c.study_id == bench.study.id)
        ),
        "worker": schema.worker.c.study_id == bench.study.id,
        "study": schema.study.c.id == bench.study.id,
        "stage": schema.stage.c.study_id == bench.study.id,
    }[table.name.removeprefix("hpo_")]
    bench.db.transact(
        lambda c: c.execute(
            sa.update(table)
            .where(of_study)
            .values({column: now(c).replace(microsecond=0) - timedelta(seconds=seconds)})
        )
    )


def searched(bench: Bench, ends: int = 3, trials: int = 6) -> tuple[StageRow, str]:
    """A running stage with some trials ended and the others' runs with one worker, besides two that wait."""
    bench.studies.set_state(bench.study.id, "running")
    stage = bench.stage(optuna_study=True)
    worker = bench.workers.register(bench.study.id)
    bench.queue.add_trials(stage, [trial(n) for n in range(trials)])
    held = bench.queue.lease(bench.study.id, worker, trials - 2, 60)
    bench.queue.commit(worker, [finished(r.id) for r in held[:ends]])
    bench.queue.close_trials(stage, [closed(n, 0.9 if n else 0.5) for n in range(ends)])
    return stage, worker


def of_stage(now: Standing) -> StageStanding:
    assert now.stage is not None
    return now.stage


def test_the_stage_under_way_is_counted(bench: Bench) -> None:
    searched(bench)
    later(bench, schema.stage, "started_at", 30)
    stage = of_stage(look(bench))
    assert (stage.stage, stage.trials, stage.done, stage.recent, stage.planned) == ("tune", 6, 3, 3, 9)
    assert stage.best == (1, 0.9), "of equals the first"
    assert dict(stage.runs) == {"queued": 2, "running": 1, "done": 3}
    assert stage.seconds_left == pytest.approx(6 * 30 / 3, rel=0.2)
    later(bench, schema.stage, "started_at", 3600)
    later(bench, schema.trial, "finished_at", 59)
    assert of_stage(look(bench)).seconds_left == pytest.approx(6 * 60 / 3)
    later(bench, schema.trial, "finished_at", 61)
    stage = of_stage(look(bench))
    assert (stage.done, stage.recent, stage.seconds_left) == (3, 0, None)


@pytest.mark.parametrize(("direction", "best"), [("maximize", (1, 0.9)), ("minimize", (0, 0.5))])
def test_the_best_is_best_in_the_stages_direction(bench: Bench, direction: str, best: tuple[int, float]) -> None:
    searched(bench)
    of_study = schema.stage.c.study_id == bench.study.id
    bench.db.transact(lambda c: c.execute(sa.update(schema.stage).where(of_study).values(direction=direction)))
    assert of_stage(look(bench)).best == best


def test_trials_that_were_carried_over_are_there_and_not_done(bench: Bench) -> None:
    bench.studies.set_state(bench.study.id, "running")
    stage = bench.stage("tune", 2)
    carried = replace(trial(0, closed=closed(0)), origin="carried")
    bench.queue.add_trials(stage, [carried, trial(1)])
    found = of_stage(look(bench))
    assert (found.stage, found.trials, found.done, found.recent) == ("tune.2", 2, 0, 0)


def test_a_finished_study_has_no_stage_under_way(bench: Bench) -> None:
    stage, worker = searched(bench)
    bench.studies.end_stage(stage.id, Verdict("go on", "It is.", {}, {"chosen": 2}), ())
    bench.workers.gone(worker)
    bench.studies.set_state(bench.study.id, "finished")
    found = look(bench)
    assert (found.over, found.stage, found.leader) == (True, None, None)
    (only,) = found.stages
    assert (only.state, only.decision, only.chosen) == ("done", "go on", (2, 0.9))
    assert only.seconds is not None


def test_workers_train_idle_lead_and_fall_silent(bench: Bench) -> None:
    _, trains = searched(bench)
    idle, leads, left = (bench.workers.register(bench.study.id, kind) for kind in ("worker", "leader", "worker"))
    bench.workers.lead(bench.study.id, leads, 60)
    bench.workers.gone(left)
    bench.workers.note_memory(idle, 2**30, renewed=2)
    found = look(bench)
    assert [(w.worker_id, w.kind, w.state) for w in found.workers] == [
        (trains, "worker", "training"), (idle, "worker", "idle"), (leads, "leader", "leading"),
    ]  # fmt: skip
    first, second, _ = found.workers
    assert (first.held, first.handed_in, first.device) == (1, 3, "cpu")
    assert first.lease == pytest.approx(60, abs=30)
    assert (second.held, second.lease, second.memory, second.renewals) == (0, None, 2**30, 2)
    assert found.renewals == 2
    assert found.leader is not None
    assert found.leader.worker_id == leads
    assert found.leader.lease == pytest.approx(60, abs=30)
    later(bench, schema.worker, "seen_at", 61)
    assert [w.state for w in look(bench).workers] == ["silent"] * 3
    later(bench, schema.worker, "seen_at", 601)
    assert [w.worker_id for w in look(bench).workers] == [trains, leads], "one that holds nothing is forgotten"
    later(bench, schema.study, "leader_until", 5)
    leader = look(bench).leader
    assert leader is not None
    assert leader.lease < 0


def test_a_leader_that_left_leads_no_more(bench: Bench) -> None:
    worker = bench.workers.register(bench.study.id, "leader")
    bench.workers.lead(bench.study.id, worker, 60)
    bench.workers.gone(worker)
    assert (look(bench).leader, look(bench).workers) == (None, ())


def test_the_database_counts_so_that_more_trials_are_no_more_rows(bench: Bench) -> None:
    def fetched(trials: int) -> tuple[int, int]:
        """(statements, rows that came back)."""
        stage, worker = searched(bench, ends=0, trials=3)
        runs = [r.id for r in bench.queue.lease(bench.study.id, worker, 9, 60)]
        bench.queue.add_trials(stage, [trial(n) for n in range(3, trials)])
        while more := bench.queue.lease(bench.study.id, worker, 99, 60):
            runs += [r.id for r in more]
        bench.queue.commit(worker, [finished(i) for i in runs[1:]])
        bench.queue.close_trials(stage, [closed(n) for n in range(2, trials)])
        seen = [0, 0]

        def count(connection: object, cursor: object, statement: str, *_: object) -> None:
            seen[0] += 1
            seen[1] += max(getattr(cursor, "rowcount", 0), 0)  # SQLite's driver does not say

        sa.event.listen(bench.db.engine, "after_cursor_execute", count)
        try:
            assert of_stage(look(bench)).trials == trials
        finally:
            sa.event.remove(bench.db.engine, "after_cursor_execute", count)
        bench.studies.remove(bench.study.name)
        bench.study = bench.studies.open(bench.study.name, {"budget": {"trials": 30}}, "f0", 3)
        return seen[0], seen[1]

    assert fetched(6) == fetched(120)


def test_an_unknown_study_is_refused_with_the_nearest_name(bench: Bench) -> None:
    with pytest.raises(InputError, match="in this database"):
        standing(bench.db, "no such study", lease=60.0)
