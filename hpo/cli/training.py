"""The commands that look at data or train: init, check, run, worker."""

from typing import Any

import click

from hpo.cli import options


@click.command()
@click.argument("file")
@click.option("--target", metavar="NAME", help="Column to predict.")
@click.option("--output", default="study.toml", show_default=True, metavar="FILE", help="Study file to write.")
@click.option("--name", metavar="NAME", help="Name of the study.  [default: from the file's name]")
@click.option("--force", is_flag=True, help="Overwrite an existing study file.")
def init(file: str, target: str | None, output: str, name: str | None, force: bool) -> None:
    """Look at a table and write a study file, ready to run.

    FILE is a csv, tsv, parquet or npz file (also .gz), by path or URL, or sklearn:NAME.
    """
    from hpo.commands.init import init as write

    done = write(file, target=target, output=output, name=name, force=force)
    for seen in done.seen:
        click.echo(seen)
    click.echo(f"\nWrote {done.path}. Next: hpo check {done.path}, then hpo run {done.path}")


@click.command()
@click.argument("study")
@options.data_dir
@options.overrides
@click.option("--no-data", is_flag=True, help="Do not load the data: check the study file alone.")
@click.pass_context
def check(ctx: click.Context, /, study: str, data_dir: str | None, no_data: bool, **given: Any) -> None:
    """Validate a study and print its plan.

    STUDY is a study file or the name of a bundled study, such as digits. The data is loaded and checked too. Nothing is
    trained and no database is made. Ends with 2 where a check of the data fails.
    """
    from hpo.cli import plan
    from hpo.commands.check import check as look
    from hpo.commands.run import load

    found = look(load(study, options.overriding(given)), data_dir=data_dir, with_data=not no_data)
    plan.show(found)
    if not found.sound:
        ctx.exit(2)


@click.command()
@click.argument("study")
@options.storage
@options.data_dir
@options.overrides
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Local processes that train.")
@click.option("--export", metavar="DIR", help="Folder for the finished bundle.  [default: NAME-bundle]")
@options.artifacts
@click.option("--fresh", is_flag=True, help="Forget an earlier study of this name and start anew.")
@click.option(
    "--warm-start", is_flag=True, help="Begin stages with what other studies in the database ended with, too."
)
def run(study: str, storage: str, data_dir: str | None, workers: int, export: str | None, artifacts: str | None,
        fresh: bool, warm_start: bool, **given: Any) -> None:  # fmt: skip
    """Run a study, or go on with one that was stopped.

    STUDY is a study file or the name of a bundled study, such as digits. Ctrl-C stops it and keeps the results; the
    same command goes on.
    """
    from hpo.cli import show
    from hpo.cli.progress import progress
    from hpo.cli.show import hidden
    from hpo.commands import results
    from hpo.commands import run as command

    spec = command.load(study, options.overriding(given))
    with progress(live=show.on_terminal()) as listener:
        done = command.run(
            spec, storage=storage, listener=listener, data_dir=data_dir, artifacts=artifacts, workers=workers,
            export=export, fresh=fresh, warm_start=warm_start,
        )  # fmt: skip
    click.echo()
    show.show_study(results.results(storage), done.name, verdicts=False)
    at = "" if storage == options.DEFAULT_STORAGE else f" --storage {hidden(storage)}"
    click.echo(f"next: hpo report {done.name}{at}\n      hpo results {done.name}{at}")


@click.command()
@click.argument("study")
@options.storage
@options.data_dir
@options.artifacts
def worker(study: str, storage: str, data_dir: str | None, artifacts: str | None) -> None:
    """Train for a study that runs elsewhere, until it ends.

    STUDY is the name of the study in the database, which this machine must reach.
    """
    from hpo.cli import show
    from hpo.cli.progress import progress
    from hpo.commands import run as command

    with progress(live=show.on_terminal()) as listener:
        large = command.worker(study, storage=storage, data_dir=data_dir, artifacts=artifacts, listener=listener)
    if large:
        command.replace()
