"""Prints tables: with rich on a terminal, as plain aligned text elsewhere."""

import sys
from typing import TYPE_CHECKING, Any

import click

from hpo.reports.text import LINE, TextTable, plain, wrapped

if TYPE_CHECKING:
    from rich.table import Table

_COLOURS = {
    "warning": "yellow", "failed": "red", "passed": "green", "finished": "green", "running": "cyan", "silent": "red",
}  # fmt: skip


def on_terminal() -> bool:
    """Whether people read the output live."""
    return sys.stdout.isatty()


def show_table(table: TextTable) -> None:
    """The table, followed by an empty line."""
    if not table.rows:
        return
    if not on_terminal():
        click.echo(plain(table, LINE) + "\n")
        return
    from rich.console import Console

    Console(highlight=False).print(drawn(table))
    click.echo()


def drawn(table: TextTable) -> "Table":
    """The table as rich draws it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = table.title or None
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in table.columns:
        # Text cells may wrap on a narrow terminal, long names too, of which nothing may be lost; numbers never.
        number = column in table.right
        made.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    return made


def show_lines(title: str, lines: list[str]) -> None:
    """A heading and its lines, wrapped, followed by an empty line; nothing where there are no lines."""
    if lines:
        click.echo("\n".join([f"{title}:", *(wrapped(text, first="  ", rest="    ") for text in lines)]) + "\n")


def show_study(results: Any, study: str, *, verdicts: bool = True) -> None:
    """The stage table, the verdicts (unless they were seen just now), and the scores on the test set."""
    from hpo.reports.text import score_table, stage_table, verdict_lines

    show_table(stage_table(results, study))
    if verdicts:
        show_lines("verdicts", verdict_lines(results, study))
    show_table(score_table(results.scores(study)))
