"""Makes the old database of a version of the schema, as SQL for SQLite: python tests/records/old/make.py 0005

Every table of ours gets two rows, filled in by the columns' types. Optuna's tables are written by stock Optuna: the
installed one, or that of another Python, named after the version.
"""

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hpo.records import migrate, schema
from hpo.records.connection import Database
from hpo.records.urls import normalise

OPTUNA = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(study_name="kept/tune", storage=sys.argv[1], direction="maximize")
study.set_user_attr("verdict", "go on")
study._storage.set_study_system_attr(study._study_id, "next", 2)
for value in (0.75, 0.875):
    trial = study.ask()
    trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)
    trial.suggest_categorical("activation", ["relu", "tanh"])
    trial.report(value / 2, 4)
    trial.set_user_attr("units", 8)
    study._storage.set_trial_system_attr(trial._trial_id, "who", "sampler")
    study.tell(trial, value)
"""
WORDS: dict[str, Any] = {
    "hpo_study.state": "finished", "hpo_stage.state": "done", "hpo_trial.state": "complete", "hpo_run.state": "done",
    "optuna_study": "kept/tune", "direction": "maximize", "purpose": "search", "origin": "sampler", "spec": "{}",
    "hands_on": "{}", "space": None, "decision": "go on", "leader_worker_id": None, "worker_id": "id 1",
    "value_tag": "finite", "diagnosis": "healthy", "diagnosis_evidence": "{}", "hpo_param.kind": "float",
}  # fmt: skip
"""What is no mere filling, by column."""


def filling(column: sa.Column[Any], row: int) -> Any:
    """The value of a column in the first or the second row: references lead to the row of that number."""
    for name in (f"{column.table.name}.{column.name}", column.name):
        if name in WORDS and not column.foreign_keys:
            return WORDS[name]
    match column.type:
        case sa.Boolean():
            return row == 1
        case sa.Integer():
            return row
        case sa.Double():
            return row + 0.25
        case sa.DateTime():
            return datetime(2026, 1, 2, 3, 4, 5, 600000 + row)
        case _:
            return f"{column.name} {row}"


def make(revision: str, python: str = sys.executable) -> Path:
    """Write the dump of a version; where it lies."""
    target = Path(__file__).with_name(f"{revision}.sql")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "old.db"
        url = f"sqlite:///{file}"
        file.touch()  # a file that is missing would be made at the newest version
        migrate.upgrade(url, revision)
        with Database(normalise(url)) as db, db.write() as connection:
            tables = sa.MetaData()
            tables.reflect(connection)
            for table in tables.sorted_tables:
                if table.name != schema.VERSION_TABLE:
                    rows = [{c.name: filling(c, row) for c in table.columns} for row in (1, 2)]
                    connection.execute(sa.insert(table), rows)
        subprocess.run([python, "-c", OPTUNA, url], check=True)
        with closing(sqlite3.connect(file)) as connection:
            target.write_text("\n".join(connection.iterdump()) + "\n")
    return target


if __name__ == "__main__":
    print(make(*sys.argv[1:]))
