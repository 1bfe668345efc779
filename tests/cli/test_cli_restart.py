"""A password leaves the command line at once, and the command still has it."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hpo.cli import options
from hpo.cli.main import main
from hpo.cli.restart import blotted

URL = "postgresql://u:s3cr3t@h/db"
SHOWN = "postgresql://u:***@h/db"


@pytest.mark.parametrize(("words", "shown", "held"), [
    (["run", "x", "--storage", URL], ["run", "x", "--storage", SHOWN], {"HPO_STORAGE": URL}),
    (["run", "x", f"--storage={URL}"], ["run", "x", f"--storage={SHOWN}"], {"HPO_STORAGE": URL}),
    (["--debug", "run", "x", "--artifacts", "s3://k:s@b", f"--storage={URL}", "--fresh"],
     ["--debug", "run", "x", "--artifacts", "s3://k:***@b", f"--storage={SHOWN}", "--fresh"],
     {"HPO_STORAGE": URL, "HPO_ARTIFACTS": "s3://k:s@b"}),
    (["run", "--storage", "sqlite:///a.db", "--name", URL], ["run", "--storage", "sqlite:///a.db", "--name", URL], {}),
    (["run", "x", "--storage", SHOWN], ["run", "x", "--storage", SHOWN], {}),
    (["run", "x", "--storage"], ["run", "x", "--storage"], {}),
])  # fmt: skip
def test_words_and_variables(words: list[str], shown: list[str], held: dict[str, str]) -> None:
    assert blotted(words) == (shown, held)


@click.command()
@options.storage
@options.artifacts
def show(storage: str, artifacts: str | None) -> None:
    click.echo(f"{storage} {artifacts}")


@pytest.mark.parametrize(("words", "told"), [
    (["--storage", SHOWN], f"{URL} s3://k:s@b"),
    (["--storage", "sqlite:///a.db"], "sqlite:///a.db s3://k:s@b"),
    (["--storage", "postgresql://v:***@h/db", "--artifacts", "here"], "postgresql://v:***@h/db here"),
    ([], f"{URL} s3://k:s@b"),
])  # fmt: skip
def test_an_option_takes_the_variable_that_was_set_for_it(words: list[str], told: str) -> None:
    done = CliRunner(env={"HPO_STORAGE": URL, "HPO_ARTIFACTS": "s3://k:s@b"}).invoke(show, words)
    assert done.output == f"{told}\n"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc to look into")
@pytest.mark.parametrize("how", ["module", "script"])
def test_the_processs_title_has_no_password_and_the_command_has_it(how: str, tmp_path: Path) -> None:
    """The command is stopped where it asks for its storage: what the process list shows then is what counts."""
    program = tmp_path / "hpo_look.py"
    program.write_text(
        "import os, pathlib, sys\n"
        "import hpo.commands.results as results\n"
        "from hpo.cli.main import main\n"
        "def look(storage):\n"
        "    sys.exit(pathlib.Path('/proc/self/cmdline').read_text() + ' asked for ' + storage)\n"
        "results.results = look\n"
        "main()\n"
    )
    start = ["-m", "hpo_look"] if how == "module" else [str(program)]
    words = ["status", "--storage", URL]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-W", "error", *start, *words], capture_output=True, text=True, env=environment, check=False
    )
    title, _, storage = done.stderr.strip().partition(" asked for ")
    seen = title.rstrip("\0").split("\0")
    assert seen == [sys.executable, "-W", "error", *start, "status", "--storage", SHOWN]
    assert storage == URL


@pytest.mark.parametrize("words", [("run", "digits", "x", URL), ("status", "--storag", URL), ("fly", URL)])
def test_mistyped_lines_are_told_without_the_password(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "s3cr3t" not in done.output
