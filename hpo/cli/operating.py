"""The commands that watch over studies: status, stop, rm."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from hpo.cli import options
from hpo.errors import InputError, Problem, Stopped

if TYPE_CHECKING:
    from hpo.records.standing import Standing


@click.command()
@click.argument("study", required=False)
@options.storage
@click.option("--watch", is_flag=True, help="Go on until the study has ended, or Ctrl-C.")
@click.option("--every", type=click.FloatRange(min=0, min_open=True), default=2.0, show_default=True, metavar="SECONDS",
              help="How often --watch looks.")  # fmt: skip
def status(study: str | None, storage: str, watch: bool, every: float) -> None:
    """List the studies, or say how far one is.

    With a STUDY: the stage under way and its pace, who leads, its stages and runs, and who works on it.
    """
    from hpo.cli import show
    from hpo.commands import status as command
    from hpo.reports import standing

    if study is None:
        if watch:
            raise click.UsageError("--watch needs the name of a study.")
        _list_studies(storage)
    elif not watch:
        now = command.status(storage, study)
        click.echo("\n".join(standing.lines(now)) + "\n")
        for table in standing.tables(now):
            show.show_table(table)
    else:
        looks = command.watch(storage, study, every, _tell)
        try:
            if show.on_terminal():
                _redraw(looks)
            else:
                for now in looks:
                    click.echo(standing.line(now))
        except KeyboardInterrupt:
            click.echo()  # whoever watches has seen enough; the study goes on


@click.command()
@click.argument("study")
@options.storage
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
def stop(study: str, storage: str, wait: bool) -> None:
    """Ask a running study to stop, from any machine.

    Runs in training end first, and everything finished is kept: hpo resume goes on. A study that nobody leads is marked
    as stopped.
    """
    from hpo.commands import stop as command

    before, state = command.stop(storage, study)
    if state != "stopping":
        known = f"study {study}: {state}" + (" already" if before == state else ", nobody was leading it")
        click.echo(known)
        return
    click.echo(f"study {study}: stopping; the runs in training end first")
    if wait:
        click.echo(f"study {study}: {command.wait(storage, study, _tell)}")


@click.command()
@click.argument("study")
@options.storage
@options.artifacts
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(study: str, storage: str, artifacts: str | None, yes: bool) -> None:
    """Remove a study for good.

    Its trials, Optuna studies and artifacts go. That its test rows were looked at stays counted, and an exported bundle
    stays where it is.
    """
    from hpo.commands import remove as command
    from hpo.hiding import hidden
    from hpo.numbers import count

    held = command.holdings(storage, study, artifacts)
    parts = (count(held.trials, "trial"), count(held.runs, "run"), count(held.artifacts, "artifact"))
    click.echo(f"study {study}: {', '.join(parts)} ({held.size / 2**20:,.1f} MiB) in {hidden(held.store)}")
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(Problem("command line", "--yes", "a confirmation", "no terminal to ask on",
                                     "Give --yes to remove it without being asked."))  # fmt: skip
        if not click.confirm("Remove all of that?"):
            raise Stopped("nothing was removed")
    command.remove(storage, study, artifacts)
    click.echo(f"study {study}: removed")


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _list_studies(storage: str) -> None:
    from hpo.cli.show import show_table
    from hpo.commands.results import results
    from hpo.reports.text import studies_table

    studies = results(storage).studies()
    show_table(studies_table(studies))
    if studies.empty:
        click.echo("no studies yet: start one with hpo run")


def _redraw(looks: "Iterator[Standing]") -> None:
    """Each look in place of the one before; the last one stays."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from hpo.cli.show import drawn
    from hpo.reports import standing

    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        for now in looks:
            parts = [Text(line) for line in standing.lines(now)]
            tables = [part for t in standing.tables(now) if t.rows for part in (Text(), drawn(t))]
            live.update(Group(*parts, *tables), refresh=True)
