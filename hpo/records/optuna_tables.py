"""Bulk writing into Optuna's own tables, so that stock Optuna and its dashboard see an ordinary study.

Optuna's storage takes a transaction for each parameter and each result, 65 to 110 ms a trial; here a whole batch goes
in with ours, in the same transaction. The form of the tables is Optuna's schema version 12 (Optuna 5.0): any other is
refused. What only Optuna knows (distributions, sampler attributes) comes as JSON text from `hpo.search`.

Trial numbers are positions: Optuna lists trials by id and takes `study.trials[number]`, so trials are added in order.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import Fault
from hpo.records.bulk import batches, by_first, insert_rows, update_rows
from hpo.records.connection import Database
from hpo.records.rows import ClosedTrial, NewTrial

SCHEMA_VERSION = 12
_TABLES = (
    "studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials",
    "trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values", "trial_intermediate_values",
    "trial_heartbeats", "version_info",
)  # fmt: skip
_OF_TRIALS = tuple(n for n in _TABLES if n.startswith("trial_"))
_OF_STUDIES = tuple(n for n in _TABLES if n.startswith("study_"))
_STATES = {"running": "RUNNING", "complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


def tables(db: Database, connection: Connection) -> Mapping[str, sa.Table]:
    """Optuna's tables by name, checked once a database. Raises Fault where they are missing or of another version."""
    if db.optuna is None:
        present = set(sa.inspect(connection).get_table_names())
        if missing := [n for n in _TABLES if n not in present]:
            raise Fault(f"{db.label}: Optuna's tables are missing ({', '.join(missing)})")
        metadata = sa.MetaData()
        metadata.reflect(connection, only=_TABLES, resolve_fks=False)
        found: Mapping[str, sa.Table] = dict(metadata.tables)
        version = connection.execute(sa.select(found["version_info"].c.schema_version)).scalar_one_or_none()
        if version != SCHEMA_VERSION:
            raise Fault(
                f"{db.label}: Optuna's tables are of schema version {version}, and this hpo writes version "
                f"{SCHEMA_VERSION} (Optuna 5.0). Install an Optuna of that version, or use another database."
            )
        db.optuna = found
    optuna: Mapping[str, sa.Table] = db.optuna
    return optuna


def present(connection: Connection) -> bool:
    """Whether Optuna's tables are there at all."""
    return sa.inspect(connection).has_table("trials")


def study_id(db: Database, connection: Connection, name: str) -> int:
    """Optuna's number of a study. Raises Fault where there is none of that name."""
    studies = tables(db, connection)["studies"]
    found = connection.execute(sa.select(studies.c.study_id).where(studies.c.study_name == name)).scalar_one_or_none()
    if found is None:
        raise Fault(f"{db.label}: there is no Optuna study {name!r}")
    return int(found)


@dataclass(frozen=True)
class Last:
    """The last of a study's trials that we know: its number and Optuna's id."""

    number: int
    trial_id: int


NONE_YET = Last(-1, -1)


def add_trials(
    db: Database, connection: Connection, study: int, last: Last, trials: Sequence[NewTrial], moment: datetime
) -> dict[int, int]:
    """Trials with parameters and attributes, finished ones with their result; gives Optuna's ids by number.

    `trials` is in the order of numbers. Raises Fault unless they follow on those that are there.
    """
    t = tables(db, connection)
    # Only what came after `last` is looked at: the cost must not grow with the study.
    later = (t["trials"].c.study_id == study) & (t["trials"].c.trial_id > last.trial_id)
    theirs = connection.execute(sa.select(sa.func.count()).select_from(t["trials"]).where(later)).scalar_one()
    there = last.number + 1 + theirs
    if [trial.number for trial in trials] != list(range(there, there + len(trials))):
        first = trials[0].number
        raise Fault(
            f"{db.label}: trial {first} cannot follow the {there} trials of its Optuna study: is another at work?"
        )
    rows = [
        (study, n.number, _STATES[n.closed.state if n.closed else "running"], moment, moment if n.closed else None)
        for n in trials
    ]
    columns = ("study_id", "number", "state", "datetime_start", "datetime_complete")
    insert_rows(connection, t["trials"], columns, rows)
    # MySQL has no RETURNING, and the numbers are unique in a study.
    ids = by_first(connection, sa.select(t["trials"].c.number, t["trials"].c.trial_id).where(later))
    params = [(ids[n.number], p.name, float(p.internal), p.distribution) for n in trials for p in n.optuna]
    insert_rows(connection, t["trial_params"], ("trial_id", "param_name", "param_value", "distribution_json"), params)
    attrs = [(ids[n.number], key, text) for n in trials for key, text in n.optuna_attrs.items()]
    insert_rows(connection, t["trial_system_attributes"], ("trial_id", "key", "value_json"), attrs)
    done = [(ids[n.number], n.closed) for n in trials if n.closed]
    _write_results(connection, t, study, done)
    return ids


def close_trials(
    db: Database, connection: Connection, study: int, closed: Sequence[tuple[int, ClosedTrial]], moment: datetime
) -> None:
    """Results of running trials, by Optuna's trial id. Raises Fault where one is not running."""
    t = tables(db, connection)
    rows = [(i, _STATES[c.state], moment) for i, c in closed]
    columns = ("trial_id", "state", "datetime_complete")
    if update_rows(connection, t["trials"], columns, rows, only={"state": "RUNNING"}) != len(closed):
        raise Fault(f"{db.label}: an Optuna trial is not running any more: is another at work?")
    _write_results(connection, t, study, closed)


def attributes(db: Database, connection: Connection, trial_ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """System attributes as JSON text, by Optuna's trial id."""
    table = tables(db, connection)["trial_system_attributes"]
    found: dict[int, dict[str, str]] = {}
    for ids in batches(trial_ids):
        for row in connection.execute(sa.select(table).where(table.c.trial_id.in_(ids))).all():
            found.setdefault(row.trial_id, {})[row.key] = row.value_json
    return found


def remove(db: Database, connection: Connection, names: Sequence[str]) -> None:
    """Take Optuna studies out with all that belongs to them; names that are not there are no fault."""
    if not names or not present(connection):
        return
    t = tables(db, connection)
    studies, trials = t["studies"], t["trials"]
    ids = connection.execute(sa.select(studies.c.study_id).where(studies.c.study_name.in_(names))).scalars().all()
    of_studies = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    for group in batches(connection.execute(of_studies).scalars()):
        for name in _OF_TRIALS:
            connection.execute(sa.delete(t[name]).where(t[name].c.trial_id.in_(group)))
        connection.execute(sa.delete(trials).where(trials.c.trial_id.in_(group)))
    for name in (*_OF_STUDIES, "studies"):
        connection.execute(sa.delete(t[name]).where(t[name].c.study_id.in_(ids)))


def _write_results(
    connection: Connection, t: Mapping[str, sa.Table], study: int, closed: Sequence[tuple[int, ClosedTrial]]
) -> None:
    """Values, intermediate values and attributes of trials that ended."""
    values = [(i, 0, *_stored(c.value)) for i, c in closed if c.value is not None and not math.isnan(c.value)]
    insert_rows(connection, t["trial_values"], ("trial_id", "objective", "value", "value_type"), values)
    rungs = [(i, int(step), *_stored(v)) for i, c in closed for step, v in c.rungs.items()]
    columns: tuple[str, ...] = ("trial_id", "step", "intermediate_value", "intermediate_value_type")
    insert_rows(connection, t["trial_intermediate_values"], columns, rungs)
    of_trials = [(i, key, text) for i, c in closed for key, text in c.optuna_attrs.items()]
    of_study = [(study, key, text) for key, text in {k: v for _, c in closed for k, v in c.study_attrs.items()}.items()]
    for table, owner, rows in (("trial", "trial_id", of_trials), ("study", "study_id", of_study)):
        columns = (owner, "key", "value_json")
        insert_rows(connection, t[f"{table}_system_attributes"], columns, rows, replace=columns[:2])


def _stored(value: float) -> tuple[float | None, str]:
    """A value as Optuna stores it: (number, type)."""
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return float(value), "FINITE"
