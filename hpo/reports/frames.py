"""The records as pandas DataFrames: `hpo.open(storage_url)`."""

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pandas as pd

from hpo.records import read
from hpo.records.database import Database
from hpo.reports.columns import TABLES
from hpo.space import SearchSpace
from hpo.space.plain import space_from_plain


class Results:
    """What a database holds, read anew at each call. Columns: docs/results.md and `hpo.reports.columns`.

    Every method that takes a study raises InputError, with the nearest name, where there is none of that name.
    """


def typed(table: str, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The documented columns of a table in their order and types; missing cells are NA."""
    wanted = TABLES[table]
    return pd.DataFrame({c.name: pd.Series(list(columns[c.name]), dtype=c.dtype) for c in wanted})


def open_results(storage_url: str) -> Results:
    """x"""
