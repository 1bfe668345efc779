"""What each column of a table is for: target, input, or left out with a reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.data.columns import Column
from hpo.data.problems import counted, listed, nearest, setting
from hpo.errors import InputError, Problem
from hpo.studyfile.spec import DataSpec

_IDENTIFIER = re.compile(r"(^|[\s_\-.])(id|ids|uuid|guid|key|index|identifier|rownames)$|^unnamed: 0$", re.IGNORECASE)
_FEW_VALUES = 20
"""Columns of so few different values are never taken for identifiers."""


@dataclass(frozen=True, eq=False)
class Roles:
    """Columns kept as inputs, in file order, and those left out with the reason."""

    kept: tuple[Column, ...]
    dropped: Mapping[str, str]
    mixed: Mapping[str, tuple[str, int]]
    """Text columns most of whose values are numbers: an example that is none, and how many rows are."""


def target_position(names: Sequence[str], spec: DataSpec) -> int:
    """Position of the target column. Raises InputError where there is no such column."""
    target, key = spec.target, "data.target"
    if target is None:
        if "target" in names:
            return list(names).index("target")
        remedy = "Set data.target to the column that is to be predicted: its name, or its position (-1 is the last)."
        raise InputError(setting(key, f"a column of {spec.source} ({listed(names)})", "none named", remedy))
    if isinstance(target, str) and target in names:
        return list(names).index(target)
    if isinstance(target, int) and -len(names) <= target < len(names):
        return target % len(names)
    if isinstance(target, int):
        expected = f"a position from {-len(names)} to {len(names) - 1}"
        raise InputError(setting(key, expected, str(target), f"{spec.source} has {len(names)} columns."))
    remedy = nearest(target, names) + ("" if spec.header else "Without a header, name it by position: -1 is the last.")
    expected = f"a column of {spec.source} ({listed(names)})"
    raise InputError(setting(key, expected, f'"{target}"', remedy.strip() or "Name one of these."))


def resolve_target(names: Sequence[str], spec: DataSpec) -> int:
    """Position of the target column, once `target` and `drop` both name columns of the table.

    Raises InputError with every problem of the two.
    """
    problems = [
        setting("data.drop", f"columns of {spec.source}", f'"{name}"', nearest(name, names) + "Mend or remove it.")
        for name in spec.drop
        if name not in names
    ]
    try:
        position = target_position(names, spec)
    except InputError as error:
        raise InputError([*error.problems, *problems]) from None
    if names[position] in spec.drop:
        got = f'"{names[position]}", the target'
        problems.append(setting("data.drop", "columns besides the target", got, "Remove it from data.drop."))
    if problems:
        raise InputError(problems)
    return position


def assign(inputs: Sequence[Column], spec: DataSpec) -> Roles:
    """Which columns are inputs.

    Raises InputError for columns of numbers with a few stray texts, and for a table in which no column is left.
    """
    problems: list[Problem] = []
    kept: list[Column] = []
    dropped: dict[str, str] = {}
    mixed: dict[str, tuple[str, int]] = {}
    for column in inputs:
        reason = "left out by data.drop" if column.name in spec.drop else reason_to_drop(column)
        if reason:
            dropped[column.name] = reason
            continue
        kept.append(column)
        if column.numeric_rows and column.stray:
            problem = stray_problem(column, spec)
            problems += [problem] if problem else []
            if column.numeric_rows * 2 > int((~column.missing).sum()):
                mixed[column.name] = (column.stray[0][0], column.numeric_rows)
    if problems:
        raise InputError(problems)
    if not kept:
        got = "; ".join(f"{name}: {reason}" for name, reason in dropped.items()) or "no column besides the target"
        raise InputError(Problem(spec.source, "", "at least one column to learn from", got, "Name other data."))
    return Roles(tuple(kept), dropped, mixed)


def reason_to_drop(column: Column) -> str:
    """Why a column can teach nothing, or "".

    A text column is like an identifier when more than half of its values are all different; a column of whole numbers
    when no value repeats and they either fill half of their range (a count, a shuffled number of the row) or the
    column's name says so.
    """
    values = int((~column.missing).sum())
    distinct = column.distinct
    if values == 0:
        return "empty: every value is missing"
    if distinct == 1 and values == len(column):
        return "constant: one value in every row"
    if distinct <= _FEW_VALUES:
        return ""
    if column.numbers is None:
        if column.numeric_rows * 2 > values:  # numbers with stray texts: `stray_problem` judges those
            return ""
        share = distinct / values
        return f"like an identifier: {distinct:,} different texts in {values:,} rows" if share > 0.5 else ""
    numbers = column.numbers[~column.missing]
    if distinct < values or not np.all(numbers == np.round(numbers)):
        return ""
    dense = values / (numbers.max() - numbers.min() + 1) >= 0.5
    named = _IDENTIFIER.search(column.name) is not None
    return f"like an identifier: {values:,} whole numbers, none twice" if dense or named else ""


def stray_problem(column: Column, spec: DataSpec) -> Problem | None:
    """A problem where a column is one of numbers but for a few cells: at most two or one in a hundred."""
    values = int((~column.missing).sum())
    stray = values - column.numeric_rows
    if stray > max(2, values // 100) or stray * 5 > values:
        return None
    example, row = column.stray[0]
    got = f'"{example}" in row {row + 1}' + (f" and others, {counted(stray, 'row')} in all" if stray > 1 else "")
    remedy = "Mend the cells, add the text to data.missing, or leave the column out with data.drop."
    if row == 0 and not spec.header:
        remedy = "If the first line holds column names, set header = true in [data]. " + remedy
    return Problem(spec.source, column.name, f"numbers, as in {column.numeric_rows:,} other rows", got, remedy)
