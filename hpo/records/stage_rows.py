"""Stages with their verdicts, figures and checks, as `Studies` reads and writes them."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.records import schema
from hpo.records.bulk import insert_rows
from hpo.records.plain import finite, known, plain_json
from hpo.records.rows import StageRow
from hpo.values import Check, Status, Verdict


def read(connection: Connection, where: sa.ColumnElement[bool]) -> list[StageRow]:
    """The stages that fulfil a condition on `schema.stage`, by position and attempt."""
    stage = schema.stage
    found = connection.execute(
        sa.select(stage).where(where).order_by(stage.c.position, stage.c.attempt, stage.c.id)
    ).all()
    ids = [row.id for row in found]
    figures = _by_stage(connection, schema.figure, ids, schema.figure.c.name)
    checks = _by_stage(connection, schema.check, ids, schema.check.c.position)
    verdicts = _by_stage(connection, schema.verdict, ids, schema.verdict.c.stage_id)
    return [
        StageRow(
            **row._mapping,
            verdict=_verdict(verdicts[row.id][0], figures[row.id]) if row.id in verdicts else None,
            checks=tuple(Check(c.name, Status(c.status), c.expected, c.seen, c.sentence) for c in checks[row.id]),
        )
        for row in found
    ]


def write_verdict(
    connection: Connection, stage_id: int, verdict: Verdict, checks: Sequence[Check], moment: datetime
) -> None:
    """A stage's verdict with figures and checks."""
    hands_on = plain_json(dict(verdict.hands_on))
    row = (stage_id, verdict.decision, verdict.sentence, hands_on, moment)
    insert_rows(connection, schema.verdict, ("stage_id", "decision", "sentence", "hands_on", "created_at"), [row])
    figures = [(stage_id, name, finite(value)) for name, value in verdict.figures.items()]
    insert_rows(connection, schema.figure, ("stage_id", "name", "value"), figures)
    columns = ("stage_id", "position", "name", "status", "expected", "seen", "sentence")
    rows = [(stage_id, i, c.name, c.status.value, c.expected, c.seen, c.sentence) for i, c in enumerate(checks)]
    insert_rows(connection, schema.check, columns, rows)


def _by_stage(
    connection: Connection, table: sa.Table, ids: list[int], order: sa.ColumnElement[Any]
) -> defaultdict[int, list[sa.Row[Any]]]:
    groups: defaultdict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(sa.select(table).where(table.c.stage_id.in_(ids)).order_by(order)):
        groups[row.stage_id].append(row)
    return groups


def _verdict(row: sa.Row[Any], figures: list[sa.Row[Any]]) -> Verdict:
    return Verdict(row.decision, row.sentence, {f.name: known(f.value) for f in figures}, json.loads(row.hands_on))
