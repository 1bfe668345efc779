"""The commands that show and serve what a database holds: results, report, export, dashboard."""

import click

from hpo.cli import options

_TABLES = (
    "stages", "trials", "runs", "curves", "layer_health", "checks", "scores", "figures", "params", "importance",
    "studies",
)  # fmt: skip
_FORMATS = ("table", "csv", "json", "parquet")


@click.command()
@click.argument("study", required=False)
@options.storage
@click.option("--table", "name", type=click.Choice(_TABLES), help="One table.  [default: an overview]")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True,
              help="csv and json have every digit; parquet needs --output.")  # fmt: skip
@click.option("--output", metavar="FILE", help="Write to a file instead of the terminal.")
def results(study: str | None, storage: str, name: str | None, form: str, output: str | None) -> None:
    """Show what a study found.

    The stages with Optuna's best_trial and the chosen trial of each, the verdicts, and the scores on the test set.
    STUDY may be left out where the database holds one study alone; where it holds several, they are listed.
    """
    from hpo.cli.show import show_study, show_table
    from hpo.commands import results as command
    from hpo.reports import text
    from hpo.reports.picks import picks_table

    found = command.results(storage)
    study = command.the_study(found, study)
    overview = name is None and form == "table" and output is None
    if overview and study is not None:
        show_study(found, study)
        show_table(picks_table(found, study))
        return
    frame = command.table(found, study, name or ("studies" if study is None else "stages"))
    if form == "table" and output is None:
        show_table(text.studies_table(frame) if name is None else text.frame_table(frame))
        if frame.empty:
            click.echo("nothing to show yet")
    elif output is None and form != "parquet":
        click.echo(command.encode(frame, form), nl=False)
    else:
        click.echo(f"wrote {command.write(frame, 'csv' if form == 'table' else form, output)}")


@click.command()
@click.argument("study")
@options.storage
@click.option("--output", metavar="FILE", help="HTML file to write.  [default: STUDY-report.html]")
@options.artifacts
def report(study: str, storage: str, output: str | None, artifacts: str | None) -> None:
    """Write one HTML file about a study.

    It holds the stages with their verdicts, loss curves with their diagnosis, the comparison with the baselines, what
    was searched and chosen, the chosen trial, and what hpo inspect showed of the study. Pictures included: nothing else
    is needed to read it.
    """
    from hpo.commands.report import report as write

    click.echo(f"wrote {write(study, storage=storage, output=output, artifacts=artifacts)}")


@click.command()
@click.argument("study")
@options.storage
@click.option("--to", required=True, metavar="DIR", help="Folder to put the bundle into: a new or empty one.")
@options.artifacts
def export(study: str, storage: str, to: str, artifacts: str | None) -> None:
    """Put the trained model of a study into a folder.

    The study must be finished. The bundle works without hpo: its README says how.
    """
    from hpo.commands.report import export as copy

    click.echo(f"wrote {copy(study, storage=storage, to=to, artifacts=artifacts)}")


@click.command()
@options.storage
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to serve on. Any but a loopback one asks visitors for a token.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--allow-writes", is_flag=True, help="Let the dashboard change and delete studies.")
def dashboard(storage: str, host: str, port: int, allow_writes: bool) -> None:
    """Serve the Optuna dashboard, read-only.

    Each stage's verdict stands in the note of its Optuna study. Beyond this machine the address that is shown holds a
    token, new each time unless HPO_DASHBOARD_TOKEN holds one.
    """
    from hpo.commands.dashboard import dashboard as serve

    serve(
        storage, host=host, port=port, allow_writes=allow_writes,
        on_ready=lambda address: click.echo(f"serving {address} (Ctrl-C ends it)"),
    )  # fmt: skip
