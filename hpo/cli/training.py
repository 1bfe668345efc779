"""The commands that look at data or train: init, check, run, resume, worker."""

from typing import TYPE_CHECKING, Any

import click

from hpo.cli import options

if TYPE_CHECKING:
    from hpo.studyfile.spec import StudySpec


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
@options.workers
@click.option(
    "--on",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where they train: on this machine, or on a Ray cluster.",
)
@click.option(
    "--address", metavar="ADDRESS", help="The Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT.  [default: auto]"
)
@click.option(
    "--cpus-per-worker",
    "cpus",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Cores of the Ray cluster for each worker.  [default: 1]",
)
@click.option(
    "--gpus-per-worker",
    "gpus",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="GPU of the Ray cluster for each worker, such as 0.25.  [default: 0]",
)
@options.export
@options.artifacts
@click.option("--fresh", is_flag=True, help="Forget an earlier study of this name and start anew.")
@click.option(
    "--warm-start", is_flag=True, help="Begin stages with what other studies in the database ended with, too."
)
@options.log_format
def run(study: str, storage: str, data_dir: str | None, workers: int, export: str | None, artifacts: str | None,
        fresh: bool, warm_start: bool, log_format: str, on: str, address: str | None, cpus: float | None,
        gpus: float | None, **given: Any) -> None:  # fmt: skip
    """Run a study, or go on with one that was stopped.

    STUDY is a study file or the name of a bundled study, such as digits. Ctrl-C stops it and keeps the results; the
    same command goes on.
    """
    from hpo.commands import run as command

    spec = command.load(study, options.overriding(given))
    _lead(spec, storage, log_format, data_dir=data_dir, artifacts=artifacts, workers=workers, export=export,
          fresh=fresh, warm_start=warm_start, on=on, address=address, cpus=cpus, gpus=gpus)  # fmt: skip


@click.command()
@click.argument("study")
@options.storage
@options.data_dir
@options.workers
@options.export
@options.artifacts
@options.allow_code
@options.log_format
def resume(study: str, storage: str, data_dir: str | None, workers: int, export: str | None, artifacts: str | None,
           allow_code: bool, log_format: str) -> None:  # fmt: skip
    """Go on with a study from what the database holds.

    STUDY is the name of the study in the database; its file is not needed. Settings are those that it was begun with.
    """
    from hpo.cli.progress import progress
    from hpo.commands import run as command
    from hpo.run.events import Note

    spec = command.recorded(study, storage=storage, allow_code=allow_code)
    if spec is not None:
        _lead(spec, storage, log_format, data_dir=data_dir, artifacts=artifacts, workers=workers, export=export)
        return
    with progress(study, live=False, form=log_format) as listener:
        listener(Note(f"study {study} is finished already"))
    if log_format == "text":
        click.echo(_next(study, storage))


def _lead(spec: "StudySpec", storage: str, log_format: str, **how: Any) -> None:
    """Run a study, and show what came out, unless programs read it."""
    from hpo.cli import show
    from hpo.cli.progress import progress
    from hpo.commands import results
    from hpo.commands import run as command

    with progress(spec.name, live=show.on_terminal(), form=log_format) as listener:
        done = command.run(spec, storage=storage, listener=listener, **how)
    if log_format == "json":
        return
    click.echo()
    show.show_study(results.results(storage), done.name, verdicts=False)
    click.echo(_next(done.name, storage))


def _next(study: str, storage: str) -> str:
    """What to do with a finished study."""
    from hpo.hiding import hidden

    at = "" if storage == options.DEFAULT_STORAGE else f" --storage {hidden(storage)}"
    return f"next: hpo report {study}{at}\n      hpo results {study}{at}"


@click.command()
@click.argument("study")
@options.storage
@options.data_dir
@options.artifacts
@options.allow_code
@options.log_format
@click.option(
    "--gpu-memory", type=click.FloatRange(0, 1, min_open=True), envvar="HPO_GPU_MEMORY", show_envvar=True,
    metavar="SHARE", help="Share of its GPU's memory that it may take, such as 0.25.  [default: what it needs]",
)  # fmt: skip
def worker(study: str, storage: str, data_dir: str | None, artifacts: str | None, allow_code: bool, log_format: str,
           gpu_memory: float | None) -> None:  # fmt: skip
    """Train for a study that runs elsewhere, until it ends.

    STUDY is the name of the study in the database, which this machine must reach.
    """
    from hpo.cli import show
    from hpo.cli.progress import progress
    from hpo.commands import run as command

    with progress(study, live=show.on_terminal(), form=log_format) as listener:
        large = command.worker(
            study, storage=storage, data_dir=data_dir, artifacts=artifacts, allow_code=allow_code, listener=listener,
            gpu_memory=gpu_memory,
        )  # fmt: skip
    if large:
        command.replace()
