"""Asking a study to stop: by the records alone, so that it reaches a leader wherever it runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.records import schema
from hpo.records.connection import Database, now
from hpo.records.rows import StudyState
from hpo.records.studies import Studies
from hpo.records.workers import is_gone

ASKABLE: tuple[StudyState, ...] = ("running", "stopping")


def stop(db: Database, study: str, *, of: Sequence[StudyState] = ASKABLE) -> StudyState:
    """Ask a study in one of the states `of` to stop; gives the state that it has then.

    `stopping` where somebody leads it: the leader lets the cohorts in training end and then says `stopped`. Where
    nobody does it is `stopped` at once, and its open stages with it. In any other state it is left as it is.

    Raises InputError for an unknown name.
    """
    study_id = Studies(db).get(study).id
    return db.transact(lambda connection: _stop(connection, study_id, of))


def _stop(connection: Connection, study_id: int, of: Sequence[StudyState]) -> StudyState:
    study, stage = schema.study, schema.stage
    this = study.c.id == study_id
    row = connection.execute(sa.select(study).where(this).with_for_update(key_share=True)).one()
    state: StudyState = row.state
    if state not in of:
        return state
    if _led(connection, row):
        connection.execute(sa.update(study).where(this).values(state="stopping"))
        return "stopping"
    ended = {"state": "stopped", "finished_at": now(connection)}
    connection.execute(sa.update(study).where(this).values(ended))
    running = (stage.c.study_id == study_id) & (stage.c.state == "running")
    connection.execute(sa.update(stage).where(running).values(ended))
    return "stopped"


def _led(connection: Connection, study: sa.Row[tuple[object, ...]]) -> bool:
    """Whether a living process leads the study of that row: its lease holds, and it is not known to have ended."""
    holder, until = study.leader_worker_id, study.leader_until
    return holder is not None and until >= now(connection) and not is_gone(connection, holder)
