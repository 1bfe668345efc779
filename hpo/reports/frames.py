"""The records as pandas DataFrames: `hpo.open(storage_url)`."""

import json
import math
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from hpo.records import read
from hpo.records.database import Database, connect
from hpo.reports.columns import REAL, TABLES
from hpo.space import SearchSpace
from hpo.space.plain import space_from_plain

MODEL_ORDER = ("prior", "linear", "boosted_trees", "small_network", "final")


class Results:
    """What a database holds, read anew at each call. Columns: docs/results.md and `hpo.reports.columns`.

    Every method that takes a study raises InputError, with the nearest name, where there is none of that name. Close
    it, or use it in a `with` block, to give the connection up early.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        # hpo.open(url).trials(name) leaves nobody to close it; Python 3.13 warns of a connection that is only collected
        weakref.finalize(self, db.close)

    def studies(self) -> pd.DataFrame:
        """One row a study."""
        return typed("studies", read.studies(self._db))

    def stages(self, study: str) -> pd.DataFrame:
        """One row an attempt at a stage, with Optuna's best trial and the chosen one."""
        columns = read.stages(self._db, study)
        trials = read.trials(self._db, study)
        columns["chosen_trial"] = [_chosen(text) for text in columns["hands_on"]]
        searching = [name is not None for name in columns["optuna_study"]]
        best = best_trials(trials, dict(zip(columns["stage"], columns["direction"], strict=True)))
        columns["best_trial"] = [best.get(s) if on else None for s, on in zip(columns["stage"], searching, strict=True)]
        values = dict(zip(zip(trials["stage"], trials["number"], strict=True), trials["value"], strict=True))
        for which in ("best", "chosen"):
            pairs = zip(columns["stage"], columns[f"{which}_trial"], strict=True)
            columns[f"{which}_value"] = [values.get(pair) for pair in pairs]
        columns["seconds"] = [
            (end - start).total_seconds() if start is not None and end is not None else None  # type: ignore[operator]
            for start, end in zip(columns["started_at"], columns["finished_at"], strict=True)
        ]
        return typed("stages", columns)

    def trials(self, study: str) -> pd.DataFrame:
        """One row a trial, its hyperparameters in columns `params_<name>`."""
        columns = read.trials(self._db, study)
        stages = self.stages(study)
        keys = list(zip(columns["stage"], columns["number"], strict=True))
        for flag in ("best", "chosen"):
            marked = {(s, n) for s, n in zip(stages["stage"], stages[f"{flag}_trial"], strict=True) if n is not pd.NA}
            columns[flag] = [key in marked for key in keys]
        frame = typed("trials", columns)
        params = read.params(self._db, study)
        rows = {key: i for i, key in enumerate(keys)}
        values: dict[Any, list[Any]] = {name: [None] * len(keys) for name in dict.fromkeys(params["name"])}
        for stage, trial, name, value in zip(
            params["stage"], params["trial"], params["name"], params["value"], strict=True
        ):
            values[name][rows[stage, trial]] = value
        wide = pd.DataFrame({f"params_{name}": _column(column) for name, column in values.items()})
        return pd.concat([frame, wide], axis="columns") if values else frame

    def runs(self, study: str) -> pd.DataFrame:
        """One row a training of a network."""
        return typed("runs", read.runs(self._db, study))

    def curves(self, study: str) -> pd.DataFrame:
        """One row an epoch of a run."""
        return typed("curves", read.curves(self._db, study))

    def layer_health(self, study: str) -> pd.DataFrame:
        """One row a layer at each epoch of a run that was looked at."""
        return typed("layer_health", read.layer_health(self._db, study))

    def checks(self, study: str) -> pd.DataFrame:
        """One row a check."""
        return typed("checks", read.checks(self._db, study))

    def scores(self, study: str) -> pd.DataFrame:
        """One row a model on the test rows, the simplest first."""
        frame = typed("scores", read.scores(self._db, study))
        order = frame["model"].map({name: i for i, name in enumerate(MODEL_ORDER)}).fillna(len(MODEL_ORDER))
        return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)

    def figures(self, study: str) -> pd.DataFrame:
        """One row a number that a verdict rests on."""
        return typed("figures", read.figures(self._db, study))

    def params(self, study: str) -> pd.DataFrame:
        """One row a hyperparameter of a trial."""
        return typed("params", read.params(self._db, study))

    def importance(self, study: str) -> pd.DataFrame:
        """One row a hyperparameter or interaction that a searching stage judged, the largest share first."""
        columns = read.stages(self._db, study)
        rows: list[dict[str, Any]] = []
        for stage, text in zip(columns["stage"], columns["hands_on"], strict=True):
            told = json.loads(str(text)).get("insight", {}) if text else {}
            fix = told.get("fix", {})
            rows += [{"stage": stage, "other": None, "fixed": fix.get(s["name"]), **s} for s in told.get("shares", ())]
            for i in told.get("interactions", ()):
                name, other = i["names"]
                rows.append({**i, "stage": stage, "name": name, "other": other, "total": None, "fixed": None})
        return typed("importance", {c.name: [row[c.name] for row in rows] for c in TABLES["importance"]})

    def spaces(self, study: str) -> dict[str, SearchSpace]:
        """What each stage searched, by its label; stages that search nothing are left out."""
        columns = read.stages(self._db, study)
        texts = zip(columns["stage"], columns["space"], strict=True)
        return {str(stage): space_from_plain(json.loads(str(text))) for stage, text in texts if text is not None}

    def close(self) -> None:
        """Give up the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_results(storage_url: str) -> Results:
    """The results in a database that exists. Raises InputError where there is none, or one of another version."""
    return Results(connect(storage_url, create=False))


def typed(table: str, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The documented columns of a table in their order and types; what is missing or not finite is NA."""
    return pd.DataFrame(
        {
            c.name: _numbers(columns[c.name]) if c.dtype == REAL else pd.Series(list(columns[c.name]), dtype=c.dtype)
            for c in TABLES[table]
        }
    )


def best_trials(trials: Mapping[str, Sequence[Any]], directions: Mapping[Any, Any]) -> dict[Any, int]:
    """For each stage the number of its best complete trial, of equals the first: Optuna's `best_trial`."""
    best: dict[Any, tuple[float, int]] = {}
    rows = zip(trials["stage"], trials["number"], trials["state"], trials["value"], strict=True)
    for stage, number, state, value in rows:
        if state != "complete" or value is None or math.isnan(value):
            continue
        cost = -value if directions[stage] == "maximize" else value
        if stage not in best or cost < best[stage][0]:
            best[stage] = (cost, number)
    return {stage: number for stage, (_, number) in best.items()}


def _chosen(hands_on: Any) -> int | None:
    """The number of the trial that a verdict hands on."""
    number = json.loads(hands_on).get("chosen") if hands_on else None
    return number if isinstance(number, int) else None


def _numbers(values: Sequence[Any]) -> "pd.Series[Any]":
    """Nullable numbers; what is missing or not finite is NA."""
    numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    return pd.Series(pd.arrays.FloatingArray(numbers, ~np.isfinite(numbers)))


def _column(values: Sequence[Any]) -> "pd.Series[Any]":
    """A hyperparameter's values in the narrowest nullable type that holds them all."""
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {bool}:
        return pd.Series(list(values), dtype="boolean")
    if kinds <= {int}:
        return pd.Series(list(values), dtype="Int64")
    if kinds <= {int, float}:
        return pd.Series(list(values), dtype=REAL)
    if kinds <= {str}:
        return pd.Series(list(values), dtype="string")
    return pd.Series(list(values), dtype="object")
