"""`hpo db`: the schema of the database."""

import click

from hpo.cli import options


@click.group()
def db() -> None:
    """Show or change the schema version of the database."""


@db.command()
@options.storage
def current(storage: str) -> None:
    """Say which version the database has."""
    from hpo.commands import db as command

    click.echo(command.current(storage).sentence)


@db.command()
@options.storage
def upgrade(storage: str) -> None:
    """Bring the database to the newest version."""
    from hpo.commands import db as command

    click.echo(command.upgrade(storage).sentence)


@db.command()
@click.argument("revision")
@options.storage
def downgrade(revision: str, storage: str) -> None:
    """Take the database back to an older version.

    REVISION is its name; base takes all our tables away. What only newer versions hold is lost.
    """
    from hpo.commands import db as command

    click.echo(command.downgrade(storage, revision).sentence)
