"""`hpo db`: the schemas of the database."""

from typing import TYPE_CHECKING

import click

from hpo.cli import options

if TYPE_CHECKING:
    from hpo.commands.db import Version


@click.group()
def db() -> None:
    """Show or change the schema versions of the database."""


@db.command()
@options.storage
def current(storage: str) -> None:
    """Say which versions hpo's and Optuna's tables have."""
    from hpo.commands import db as command

    _show(command.current(storage))


@db.command()
@options.storage
def upgrade(storage: str) -> None:
    """Bring hpo's tables and Optuna's to the newest versions."""
    from hpo.commands import db as command

    _show(command.upgrade(storage))


@db.command()
@click.argument("revision")
@options.storage
def downgrade(revision: str, storage: str) -> None:
    """Take hpo's tables back to an older version.

    REVISION is its name; base takes all our tables away. What only newer versions hold is lost.
    """
    from hpo.commands import db as command

    _show(command.downgrade(storage, revision))


def _show(versions: "tuple[Version, Version]") -> None:
    for version in versions:
        click.echo(version.sentence)
