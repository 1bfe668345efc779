"""The command line: click parses, a command does, the answer is printed. Everything heavy is imported when used."""

import click

import hpo
from hpo.cli import db, inspecting, operating, results, training
from hpo.cli.boundary import Boundary


@click.group(cls=Boundary, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hpo.__version__, prog_name="hpo")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (also HPO_DEBUG=1).")
def main(debug: bool) -> None:
    """Tune Keras networks by the training recipe: data, baseline, overfit, regularize, tune, squeeze.

    Exit codes: 0 done, 1 a fault of the program or machine, 2 the input, 3 stopped early with results kept.
    """


for _command in (
    training.init, training.check, training.run, training.resume, training.worker, operating.status, operating.stop,
    operating.rm, results.report, results.results, results.export, results.dashboard, inspecting.inspect, db.db,
):  # fmt: skip
    main.add_command(_command)
