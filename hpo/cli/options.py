"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

DEFAULT_STORAGE = "sqlite:///hpo.db"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

storage: Decorator = click.option(
    "--storage", default=DEFAULT_STORAGE, envvar="HPO_STORAGE", show_default=True, show_envvar=True, metavar="URL",
    help="Database: sqlite:///FILE, postgresql://..., mariadb://...",
)  # fmt: skip

data_dir: Decorator = click.option(
    "--data-dir", envvar="HPO_DATA_DIR", show_envvar=True, metavar="DIR",
    help="Folder of the files that a study names as data-dir:...",
)  # fmt: skip

artifacts: Decorator = click.option(
    "--artifacts", metavar="URL",
    help="Where weights and exports are stored: a folder or any fsspec URL.  [default: beside the database]",
)  # fmt: skip

_OVERRIDES = (
    ("--trials", int, "budget.trials", "Trials over all stages."),
    ("--seconds", float, "budget.seconds", "Seconds over all stages."),
    ("--epochs", int, "budget.epochs", "Most epochs of a run."),
    ("--seed", int, "seed", "Seed of everything random."),
    ("--name", str, "name", "Name of the study in the database."),
)


def overrides(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that stand in place of values of the study file."""
    for flag, kind, key, meaning in reversed(_OVERRIDES):
        command = click.option(flag, type=kind, help=f"{meaning} Instead of the file's `{key}`.")(command)
    return command


def overriding(options: dict[str, Any]) -> dict[str, Any]:
    """The given ones among those options, by their key in the study file; they are taken out of `options`."""
    given = {key: options.pop(flag.removeprefix("--")) for flag, _, key, _ in _OVERRIDES}
    return {key: value for key, value in given.items() if value is not None}
