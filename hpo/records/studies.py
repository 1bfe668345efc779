"""Studies and their stages in the records.

Every verb is one transaction. A process killed at any moment leaves a verb done or not done, and asking again for what
is done already (`open`, `begin_stage`) gives what is there.

With a `leader`, the verbs by which a leader moves a study on first make sure that this worker still leads it, under a
lock on the study, and raise LeaseLost otherwise: one that was cut off and replaced cannot write late.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hpo.errors import Fault, InputError, Problem
from hpo.records import optuna_tables, schema, stage_rows
from hpo.records.connection import Database, now
from hpo.records.plain import plain_json
from hpo.records.rows import ArtifactRef, StageRow, StageState, StudyRow, StudyState
from hpo.records.workers import hold_study
from hpo.values import Check, Verdict

_SHOWN_CHANGES = 8


class Studies:
    """Studies, their stages and verdicts."""

    def __init__(self, db: Database, *, leader: str | None = None) -> None:
        self._db = db
        self._leader = leader

    def open(self, name: str, spec_plain: Mapping[str, Any], fingerprint: str, seed: int) -> StudyRow:
        """The study of that name, begun now or before. Raises InputError where it was begun with other settings."""
        spec = plain_json(spec_plain)

        def work(connection: Connection) -> StudyRow:
            found = _find(connection, name)
            if found is None:
                values = {"name": name, "spec": spec, "fingerprint": fingerprint, "seed": seed, "state": "running"}
                connection.execute(sa.insert(schema.study).values(created_at=now(connection), **values))
                found = _find(connection, name)
            if found is None:
                raise Fault(f"{self._db.label}: the study {name!r} could not be read back")
            return found

        try:
            row = self._db.transact(work)
        except IntegrityError:  # another process began it between our look and our insert: it is there now
            row = self._db.transact(work)
        if row.fingerprint != fingerprint:
            raise InputError(_changes(name, row.spec, json.loads(spec)))
        return row

    def describe_data(
        self, study_id: int, task: str, metric: str, direction: str, data_source: str, data_fingerprint: str
    ) -> None:
        """What the data turned out to be."""
        values = {
            "task": task, "metric": metric, "direction": direction, "data_source": data_source,
            "data_fingerprint": data_fingerprint,
        }  # fmt: skip

        def work(connection: Connection) -> None:
            hold_study(connection, study_id, self._leader)
            connection.execute(sa.update(schema.study).where(schema.study.c.id == study_id).values(values))

        self._db.transact(work)

    def set_state(self, study_id: int, state: StudyState) -> None:
        """`running`: workers may lease its runs. `stopped`, `failed`: its open stages are so too. `finished`."""
        study, stage = schema.study, schema.stage

        def work(connection: Connection) -> None:
            hold_study(connection, study_id, self._leader)
            moment = now(connection)
            values: dict[str, Any] = {"state": state, "finished_at": None if state == "running" else moment}
            if state == "running":
                values["started_at"] = sa.func.coalesce(study.c.started_at, moment)
            connection.execute(sa.update(study).where(study.c.id == study_id).values(values))
            if state in ("stopped", "failed"):
                still = (stage.c.study_id == study_id) & (stage.c.state == "running")
                connection.execute(sa.update(stage).where(still).values(state=state, finished_at=moment))

        self._db.transact(work)

    def get(self, name: str) -> StudyRow:
        """The study of that name. Raises InputError with the nearest names otherwise."""
        found = self._db.look(lambda c: _find(c, name))
        if found is not None:
            return found
        names = [row.name for row in self.all()]
        near = difflib.get_close_matches(name, names, n=1)
        if near:
            remedy = f"Did you mean {near[0]!r}?"
        else:
            remedy = f"It holds {', '.join(map(repr, names[:10]))}." if names else "It holds no study yet: hpo run."
        raise InputError(Problem(self._db.label, "", "the name of a study in this database", repr(name), remedy))

    def all(self) -> list[StudyRow]:
        """All studies, in the order they were begun."""
        query = sa.select(schema.study).order_by(schema.study.c.id)
        return [_study(row) for row in self._db.look(lambda c: c.execute(query).all())]

    def remove(self, name: str) -> list[str]:
        """Take a study out, with all its stages, trials and Optuna studies; looks at the test set stay counted.

        Returns the URIs of its artifacts, which the caller may delete. Raises InputError for an unknown name.
        """
        study_id = self.get(name).id
        artifact, stage = schema.artifact, schema.stage

        def work(connection: Connection) -> list[str]:
            hold_study(connection, study_id, self._leader)
            uris = connection.execute(sa.select(artifact.c.uri).where(artifact.c.study_id == study_id)).scalars().all()
            of_study = sa.select(stage.c.optuna_study).where(stage.c.study_id == study_id)
            names = [n for n in connection.execute(of_study).scalars() if n is not None]
            optuna_tables.remove(self._db, connection, names)
            connection.execute(sa.delete(schema.study).where(schema.study.c.id == study_id))
            return sorted(set(uris))

        return self._db.transact(work)

    def begin_stage(
        self,
        study_id: int,
        name: str,
        attempt: int,
        position: int,
        fingerprint: str,
        objective: str | None,
        direction: str | None,
        trials_planned: int,
        space_json: str | None,
        optuna_study: str | None,
    ) -> StageRow:
        """The stage's attempt, begun now or before; one that was stopped or failed runs again, a done one stays so.

        Raises InputError where it was begun with other inputs.
        """
        stage = schema.stage
        values = {
            "study_id": study_id, "name": name, "attempt": attempt, "position": position, "fingerprint": fingerprint,
            "objective": objective, "direction": direction, "trials_planned": trials_planned, "space": space_json,
            "optuna_study": optuna_study,
        }  # fmt: skip
        this = (stage.c.study_id == study_id) & (stage.c.name == name) & (stage.c.attempt == attempt)

        def work(connection: Connection) -> StageRow:
            hold_study(connection, study_id, self._leader)
            old = connection.execute(
                sa.select(stage.c.id, stage.c.state, stage.c.fingerprint).where(this)
            ).one_or_none()
            if old is None:
                connection.execute(sa.insert(stage).values(state="running", started_at=now(connection), **values))
            elif old.fingerprint != fingerprint:
                raise InputError(_other_stage(name, attempt, old.fingerprint, fingerprint))
            elif old.state in ("stopped", "failed"):
                connection.execute(sa.update(stage).where(this).values(state="running", finished_at=None))
            return stage_rows.read(connection, this)[0]

        return self._db.transact(work)

    def end_stage(self, stage_id: int, verdict: Verdict, checks: Sequence[Check]) -> StageRow:
        """Close a running stage with its verdict, figures and checks. Raises Fault where it is not running."""
        stage = schema.stage

        def work(connection: Connection) -> StageRow:
            study_id = connection.execute(sa.select(stage.c.study_id).where(stage.c.id == stage_id)).scalar_one()
            hold_study(connection, study_id, self._leader)
            moment = now(connection)
            running = (stage.c.id == stage_id) & (stage.c.state == "running")
            ended = connection.execute(sa.update(stage).where(running).values(state="done", finished_at=moment))
            if ended.rowcount != 1:
                raise Fault(f"{self._db.label}: stage {stage_id} is not running, so it cannot be ended")
            stage_rows.write_verdict(connection, stage_id, verdict, checks, moment)
            return stage_rows.read(connection, stage.c.id == stage_id)[0]

        def done(connection: Connection) -> StageRow | None:
            row = stage_rows.read(connection, stage.c.id == stage_id)[0]
            return row if row.state == "done" else None

        return self._db.transact(work, done)

    def close_stage(self, stage_id: int, state: StageState) -> None:
        """Mark a running stage `stopped` or `failed`, without a verdict."""
        stage = schema.stage
        running = (stage.c.id == stage_id) & (stage.c.state == "running")
        self._db.transact(lambda c: c.execute(sa.update(stage).where(running).values(state=state, finished_at=now(c))))

    def stages(self, study_id: int) -> list[StageRow]:
        """The study's stages by position, each with verdict and checks where it has them."""
        return self._db.look(lambda c: stage_rows.read(c, schema.stage.c.study_id == study_id))

    def record_artifact(self, study_id: int, kind: str, ref: ArtifactRef) -> None:
        """Note an artifact that belongs to no run (an export)."""
        table = schema.artifact
        values = {"study_id": study_id, "kind": kind, "uri": ref.uri, "sha256": ref.sha256, "size": ref.size}
        there = sa.select(table.c.id).where(*(table.c[name] == value for name, value in values.items()))

        def work(connection: Connection) -> None:
            if connection.execute(there).first() is None:
                connection.execute(sa.insert(table).values(created_at=now(connection), **values))

        self._db.transact(work)

    def artifacts(self, study_id: int, kind: str) -> list[ArtifactRef]:
        """The study's artifacts of one kind, oldest first."""
        table = schema.artifact
        wanted = (table.c.study_id == study_id) & (table.c.kind == kind)
        query = sa.select(table).where(wanted).order_by(table.c.id)
        return [ArtifactRef(r.uri, r.sha256, r.size) for r in self._db.look(lambda c: c.execute(query).all())]


def _find(connection: Connection, name: str) -> StudyRow | None:
    row = connection.execute(sa.select(schema.study).where(schema.study.c.name == name)).one_or_none()
    return None if row is None else _study(row)


def _study(row: sa.Row[Any]) -> StudyRow:
    return StudyRow(**{**row._mapping, "spec": json.loads(row.spec)})


def _changes(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Problem]:
    """One problem for each setting that differs, as far as a reader cares to read."""
    before, after = dict(_flat("", old)), dict(_flat("", new))
    keys = [k for k in sorted({*before, *after}) if before.get(k, "nothing") != after.get(k, "nothing")]
    remedy = "Give the study another name, or begin it anew with --fresh."
    where = f"study {name!r}"
    if not keys:
        return [Problem(where, "", "the settings it was begun with", "settings of another version of hpo", remedy)]
    problems = [
        Problem(where, key, f"{before.get(key, 'nothing')}, as it was begun", str(after.get(key, "nothing")), remedy)
        for key in keys[:_SHOWN_CHANGES]
    ]
    if len(keys) > _SHOWN_CHANGES:
        rest = f"{len(keys) - _SHOWN_CHANGES} more changed keys"
        problems.append(Problem(where, "", "the settings it was begun with", rest, remedy))
    return problems


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Leaves of nested mappings and lists of named mappings, by dotted key, as JSON text."""
    if isinstance(value, Mapping) and value:
        return [leaf for k, v in value.items() for leaf in _flat(f"{prefix}.{k}" if prefix else str(k), v)]
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "name" in v for v in value):
        return [leaf for v in value for leaf in _flat(f"{prefix}.{v['name']}" if prefix else str(v["name"]), dict(v))]
    return [(prefix, json.dumps(value))]


def _other_stage(name: str, attempt: int, old: str, new: str) -> Problem:
    where = f"stage {name}" if attempt == 1 else f"stage {name}.{attempt}"
    return Problem(
        where, "fingerprint", f"{old}, as it was begun", new,
        "Its inputs have changed since: give the study another name, or begin it anew with --fresh.",
    )  # fmt: skip
