"""Options that several commands share."""

import os
from collections.abc import Callable
from typing import Any

import click

from hpo.hiding import hidden

DEFAULT_STORAGE = "sqlite:///hpo.db"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _whole(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The variable's URL where the command line holds the same with its password blotted out (see `restart`)."""
    held = os.environ.get(str(option.envvar), "")
    return held if value == hidden(held) else value


storage: Decorator = click.option(
    "--storage", default=DEFAULT_STORAGE, envvar="HPO_STORAGE", show_default=True, show_envvar=True, metavar="URL",
    callback=_whole,
    help="Database: sqlite:///FILE, postgresql://..., mariadb://...",
)  # fmt: skip

data_dir: Decorator = click.option(
    "--data-dir", envvar="HPO_DATA_DIR", show_envvar=True, metavar="DIR",
    help="Folder of the files that a study names as data-dir:...",
)  # fmt: skip

artifacts: Decorator = click.option(
    "--artifacts", envvar="HPO_ARTIFACTS", show_envvar=True, metavar="URL", callback=_whole,
    help="Where weights and exports are stored: a folder or any fsspec URL.  [default: beside the database]",
)  # fmt: skip

allow_code: Decorator = click.option(
    "--allow-code", is_flag=True,
    help="Import Python code that the recorded study names, as its model or its data. Without it, that is refused.",
)  # fmt: skip

workers: Decorator = click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True,
    help="Local processes that train; 0: only those that join with hpo worker.",
)  # fmt: skip

export: Decorator = click.option(
    "--export", metavar="DIR", help="Folder for the finished bundle.  [default: NAME-bundle]"
)

log_format: Decorator = click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True,
    help="json: one object a line for each event, and nothing else on the output.",
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
