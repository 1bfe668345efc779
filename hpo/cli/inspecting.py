"""`hpo inspect`: what can be seen before anything is searched, and of one trial after."""

from collections.abc import Sequence

import click
from click.core import ParameterSource

from hpo.cli import options


@click.group()
def inspect() -> None:
    """Look at first weights, learning rates, gradients and trials.

    Nothing is searched and no database is made. Pictures of recorded studies are kept for hpo report.
    """


@inspect.command()
@click.option("--layers", type=int, default=10, show_default=True, help="Dense layers of the network.")
@click.option("--width", type=int, default=500, show_default=True, help="Units of each layer, and numbers of a row.")
@click.option("--rows", type=int, default=1000, show_default=True, help="Rows of standard normal numbers.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights, rows and gradients.")
@click.option("--activation", "activations", multiple=True, metavar="NAME",
              help="This one alone; may be repeated.  [default: all]")  # fmt: skip
@click.option("--initializer", "initializers", multiple=True, metavar="NAME",
              help="This one alone; may be repeated.  [default: all but match]")  # fmt: skip
@click.option("--output", metavar="FOLDER", help="Write init.csv and init.png into a folder.")
def init(layers: int, width: int, rows: int, seed: int, activations: tuple[str, ...], initializers: tuple[str, ...],
         output: str | None) -> None:  # fmt: skip
    """Send a signal through deep untrained networks.

    For each initializer and activation: the standard deviation of activations at the first, the middle and the last
    layer, that of the gradients at the first layer relative to the last, and what it comes to in one word.
    """
    from hpo.cli.show import show_table
    from hpo.commands.inspect import init as look
    from hpo.reports.inspection_text import signals_table

    found, paths = look(
        layers=layers, width=width, rows=rows, seed=seed, activations=activations, initializers=initializers,
        output=output,
    )  # fmt: skip
    show_table(signals_table(found))
    _told(paths)


@inspect.command()
@click.argument("study")
@options.data_dir
@click.option("--steps", type=int, default=300, show_default=True, help="Batches to train on, one at each rate.")
@click.option("--lowest", type=float, default=1e-7, show_default=True, help="Rate of the first step.")
@click.option("--highest", type=float, default=10.0, show_default=True, help="Rate of the last step.")
@click.option("--output", metavar="FOLDER", help="Write lr.csv and lr.png into a folder.")
@options.storage
@options.artifacts
@options.allow_code
@click.pass_context
def lr(
    ctx: click.Context, /, study: str, data_dir: str | None, steps: int, lowest: float, highest: float,
    output: str | None, storage: str, artifacts: str | None, allow_code: bool,
) -> None:  # fmt: skip
    """Find the learning rates worth searching.

    The default configuration of a study is trained while the rate grows from step to step (Smith 2017). STUDY is a
    study file, the name of a bundled study, such as digits, or of a recorded one. Where the database holds the study,
    the picture is kept for hpo report.
    """
    from hpo.cli.show import show_table
    from hpo.commands.inspect import lr as look
    from hpo.commands.inspect_keep import place, spec_of
    from hpo.reports.inspection_text import rates_table
    from hpo.reports.text import wrapped

    spec = spec_of(study, storage, allow_code=allow_code)
    keep = place(spec, storage, artifacts, asked=_asked(ctx))
    reading, paths = look(
        spec, data_dir=data_dir, steps=steps, lowest=lowest, highest=highest, output=output, keep=keep
    )
    show_table(rates_table(reading))
    click.echo(wrapped(reading.sentence))
    if reading.toml is not None:
        click.echo(f"\n[optimizer]\n{reading.toml}")
    _told(paths, before="\n", kept=None if keep is None else keep.study)


@inspect.command()
@click.argument("study")
@options.data_dir
@click.option("--output", metavar="FOLDER", help="Write gradients.csv and gradients.png into a folder.")
@options.storage
@options.artifacts
@options.allow_code
@click.pass_context
def gradients(
    ctx: click.Context, /, study: str, data_dir: str | None, output: str | None, storage: str, artifacts: str | None,
    allow_code: bool,
) -> None:  # fmt: skip
    """Hold gradients against central differences.

    The default network of a study computes in 64 bits on a few of its rows, layer by layer. STUDY is a study file, the
    name of a bundled study, such as digits, or of a recorded one. Where the database holds the study, the picture is
    kept for hpo report. Ends with 1 where a gradient is wrong.
    """
    from hpo.cli.show import show_table
    from hpo.commands.inspect import gradients as look
    from hpo.commands.inspect_keep import place, spec_of
    from hpo.reports.inspection_text import gradients_sentence, gradients_table

    spec = spec_of(study, storage, allow_code=allow_code)
    keep = place(spec, storage, artifacts, asked=_asked(ctx))
    found, paths = look(spec, data_dir=data_dir, output=output, keep=keep)
    show_table(gradients_table(found.layers))
    click.echo(gradients_sentence(found.layers, passed=found.passed))
    _told(paths, kept=None if keep is None else keep.study)
    if not found.passed:
        ctx.exit(1)


@inspect.command()
@click.argument("study")
@click.argument("number", metavar="N", type=int)
@options.storage
@click.option("--stage", metavar="NAME", help="Such as tune, or tune.2.  [default: the last one with such a trial]")
@click.option("--output", metavar="FOLDER", help="Write curve.csv, layers.csv and trial.png into a folder.")
@options.data_dir
@options.artifacts
@options.allow_code
@click.option("--retrain", is_flag=True, help="Train it again, with its seed, where its weights were not kept.")
def trial(
    study: str, number: int, storage: str, stage: str | None, output: str | None, data_dir: str | None,
    artifacts: str | None, retrain: bool, allow_code: bool,
) -> None:  # fmt: skip
    """Show a trial's curve, layers, diagnosis, sharpness.

    Of a trial with several trainings, the one with the worst validation loss is shown. The sharpness needs the weights
    that were kept, of the best trials of each stage, and the study's data.
    """
    from hpo.cli.show import show_table
    from hpo.commands import inspect_trial
    from hpo.commands.inspect_sharpness import sharpness
    from hpo.commands.results import results
    from hpo.reports.inspection_text import curve_table, health_table, sharpness_lines, trial_lines
    from hpo.reports.text import wrapped

    seen = inspect_trial.trial(results(storage), study, number, stage=stage)
    for line in trial_lines(seen.stage, seen.number, seen.state, seen.value, seen.varied):
        click.echo(wrapped(line))
    click.echo("")
    show_table(curve_table(seen.curve))
    if not seen.health.empty:
        show_table(health_table(seen.health))
    if seen.sentence is not None:
        click.echo(wrapped(f"{seen.diagnosis}: {seen.sentence}"))
    if output is not None:
        _told(inspect_trial.write(seen, study, output), before="\n")
    click.echo("")
    curved = sharpness(
        seen, study, storage=storage, artifacts=artifacts, data_dir=data_dir, retrain=retrain, allow_code=allow_code
    )
    lines = [f"sharpness: {curved.missing}"] if curved.found is None else sharpness_lines(curved.found, curved.again)
    for line in lines:
        click.echo(wrapped(line))


def _asked(ctx: click.Context) -> bool:
    """Whether --storage stands on the command line."""
    return ctx.get_parameter_source("storage") is ParameterSource.COMMANDLINE


def _told(paths: Sequence[object], before: str = "", kept: str | None = None) -> None:
    if paths:
        click.echo(f"{before}wrote {' and '.join(map(str, paths))}")
        before = ""
    if kept is not None:
        click.echo(f"{before}kept the picture for hpo report {kept}")
