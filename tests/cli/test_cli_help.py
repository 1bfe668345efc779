"""Help, and what the command line may not load."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

import hpo
from hpo.cli.main import main

COMMANDS = (
    "check", "dashboard", "db", "export", "init", "inspect", "report", "results", "resume", "rm", "run", "status",
    "stop", "worker",
)  # fmt: skip
FRAMEWORKS = ("tensorflow", "keras", "jax", "torch")
HEAVY = (*FRAMEWORKS, "optuna", "pandas", "numpy", "sklearn", "matplotlib", "sqlalchemy", "alembic", "rich", "jinja2")


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


def test_the_commands_of_the_design_are_there() -> None:
    assert tuple(sorted(main.commands)) == COMMANDS
    assert sorted(main.commands["db"].commands) == ["current", "downgrade", "upgrade"]  # type: ignore[attr-defined]
    assert sorted(main.commands["inspect"].commands) == ["gradients", "init", "lr", "trial"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [path for path, _ in commands(main)], ids=" ".join)
def test_every_command_has_help_and_every_option_a_meaning(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    command = dict(commands(main))[path]
    assert command.help
    assert not command.get_short_help_str(60).endswith("..."), "the first sentence is cut in the list of commands"
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"hpo, version {hpo.__version__}\n"


def test_unknown_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hpo.nothing  # noqa: B018


def loaded_after(*words: str) -> tuple[list[str], str]:
    """Modules loaded by a command in a process of its own, and what it printed."""
    script = (
        "import json, sys\n"
        "from hpo.cli.main import main\n"
        f"try: main({list(words)!r})\n"
        "except SystemExit as end: code = end.code\n"
        "print()\n"
        "print(json.dumps([code, sorted(name for name in sys.modules if '.' not in name)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    output, _, last = done.stdout.rstrip().rpartition("\n")
    code, names = json.loads(last)
    assert code == 0, done.stderr
    return names, output


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    names, output = loaded_after("--help")
    assert "Usage:" in output
    assert not set(HEAVY) & set(names)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hpo", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5, f"took {times}"


def test_results_and_report_load_no_framework(study_url: str, tmp_path: object) -> None:
    for words in (("results",), ("status",), ("report", "digits", "--output", f"{tmp_path}/r.html")):
        names, output = loaded_after(*words, "--storage", study_url)
        assert output
        assert "pandas" in names
        assert not set(FRAMEWORKS) & set(names), words


def test_status_of_a_study_loads_what_asks_the_database_and_no_more(study_url: str) -> None:
    names, output = loaded_after("status", "digits", "--storage", study_url)
    assert "stages of digits" in output
    assert not {*FRAMEWORKS, "pandas", "sklearn", "optuna", "matplotlib"} & set(names)
