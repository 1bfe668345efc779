"""The results as small tables of text, free of any terminal library."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.numbers import MISSING, count, duration, interval, interval_decimals, moment, number, present

if TYPE_CHECKING:
    import pandas as pd

    from hpo.reports.frames import Results

MODEL_NAMES = {
    "prior": "prior",
    "linear": "linear",
    "boosted_trees": "boosted trees",
    "small_network": "small network",
    "final": "final model",
}


@dataclass(frozen=True)
class TextTable:
    """A table ready to print: every cell a text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    """Columns aligned to the right."""


LINE = 100
"""Columns of a line of text that is not for a terminal of known width."""
_NARROWEST = 24


def plain(table: TextTable, width: int | None = None) -> str:
    """The table in aligned columns, two blanks apart; with a `width` the texts of the last column are wrapped to it."""
    cells = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    lines = [table.title] if table.title else []
    for row in cells:
        parts = [
            cell.rjust(wide) if column in table.right else cell.ljust(wide)
            for cell, wide, column in zip(row, widths, table.columns, strict=True)
        ]
        before = "".join(f"{part}  " for part in parts[:-1])
        left = None if width is None or table.columns[-1] in table.right else width - len(before)
        if left is None or left < _NARROWEST or len(row[-1]) <= left:
            lines.append((before + parts[-1]).rstrip())
        else:
            lines.append(wrapped(row[-1], width=width, first=before, rest=" " * len(before)))
    return "\n".join(lines)


def wrapped(text: str, *, width: int | None = LINE, first: str = "", rest: str = "") -> str:
    """The text in lines of `width`, the first one begun with `first`, the others with `rest`; long words stay whole."""
    return textwrap.fill(
        text, width or LINE, initial_indent=first, subsequent_indent=rest, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def studies_table(frame: "pd.DataFrame") -> TextTable:
    """One row a study, newest last."""
    rows = [
        (_text(r["study"]), _text(r["state"]), _text(r["task"]), _text(r["metric"]), number(r["stages"]),
         number(r["trials"]), moment(r["started_at"]), _text(r["data_source"]))
        for r in records(frame)
    ]  # fmt: skip
    columns = ("study", "state", "task", "metric", "stages", "trials", "started (UTC)", "data")
    return TextTable("", columns, tuple(rows), frozenset(("stages", "trials")))


def stage_table(results: "Results", study: str) -> TextTable:
    """One row a stage: what it searched for, Optuna's best trial, the chosen trial, its time, and its decision.

    A stage without a decision shows its state there.
    """
    metrics = [r["metric"] for r in records(results.studies()) if r["study"] == study and present(r["metric"])]
    return stage_rows(study, _text(metrics[0]) if metrics else "metric", records(results.stages(study)))


def stage_rows(study: str, metric: str, stages: Iterable[Mapping[str, Any]]) -> TextTable:
    """The same from the stages' rows, whoever has read them."""
    rows = []
    for r in stages:
        rows.append(
            (
                _text(r["stage"]), number(r["trials"]),
                _text(r["objective"]).replace("metric", metric),
                _value_of(r["best_value"], r["best_trial"]), _value_of(r["chosen_value"], r["chosen_trial"]),
                duration(r["seconds"]), _text(r["decision"] if present(r["decision"]) else r["state"]),
            )
        )  # fmt: skip
    columns = ("stage", "trials", "objective", "best_trial", "chosen", "time", "decision")
    return TextTable(f"stages of {study}", columns, tuple(rows), frozenset(("trials", "time")))


def verdict_lines(results: "Results", study: str) -> list[str]:
    """`stage: verdict`, one line a stage that has one."""
    return [f"{_text(r['stage'])}: {_text(r['verdict'])}"
            for r in records(results.stages(study)) if _text(r["verdict"]) != MISSING]  # fmt: skip


def check_table(frame: "pd.DataFrame", title: str = "checks") -> TextTable:
    """One row a check of `Results.checks`."""
    rows = [tuple(_text(r[c]) for c in ("stage", "check", "status", "expected", "seen")) for r in records(frame)]
    return TextTable(title, ("stage", "check", "status", "expected", "seen"), tuple(rows))


def score_table(frame: "pd.DataFrame") -> TextTable:
    """The models on the test rows, in one opening, with their intervals."""
    decimals = score_decimals(records(frame))
    rows = [
        (MODEL_NAMES.get(_text(r["model"]), _text(r["model"])), _text(r["metric"]),
         interval(r["value"], r["low"], r["high"], decimals), number(r["rows"]))
        for r in records(frame)
    ]  # fmt: skip
    return TextTable("test set", ("model", "metric", "score [95 %]", "rows"), tuple(rows), frozenset(("rows",)))


def score_decimals(scores: list[dict[str, Any]]) -> int | None:
    """Decimals that suit all scores of an opening, so that they can be compared at a glance; None without scores."""
    return max((interval_decimals(s["value"], s["low"], s["high"]) for s in scores), default=None)


def frame_table(frame: "pd.DataFrame", title: str = "") -> TextTable:
    """Any DataFrame as text, numbers shortened."""
    columns = tuple(map(str, frame.columns))
    rows = tuple(tuple(cell(r[c]) for c in frame.columns) for r in records(frame))
    right = frozenset(str(c) for c in frame.columns if str(frame[c].dtype) in ("Int64", "Float64"))
    return TextTable(title, columns, rows, right)


def cell(value: Any) -> str:
    """A value of any results table, shortened for reading."""
    return moment(value) if hasattr(value, "isoformat") and present(value) else number(value)


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows as dictionaries with text keys."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def trials_line(used: Any, planned: Any) -> str:
    """`12 trials`, `12 of 20 trials`."""
    if not present(used):
        return MISSING
    if not present(planned) or planned in (used, 0):
        return count(int(used), "trial")
    return f"{int(used)} of {int(planned)} trials"


def _value_of(value: Any, trial: Any) -> str:
    return MISSING if not present(trial) else f"{number(value)} (trial {number(trial)})"


def _text(value: Any) -> str:
    return number(value) if not isinstance(value, str) else value or MISSING
