"""The one error boundary: exit codes, messages without tracebacks, `--debug`."""

import click
import pytest
from click.testing import CliRunner, Result

from hpo.cli.boundary import Boundary
from hpo.errors import Fault, InputError, LeaseLost, Problem, Stopped


def failing(error: BaseException) -> click.Group:
    """A command line whose command `go` raises `error`."""

    @click.group(cls=Boundary)
    @click.option("--debug", is_flag=True)
    def main(debug: bool) -> None:
        pass

    @main.command()
    def go() -> None:
        click.echo("before")
        raise error

    return main


def end(error: BaseException, *words: str) -> Result:
    return CliRunner().invoke(failing(error), [*words, "go"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError(Problem("a.toml", "seed", "a whole number", "'x'", "Write 0.")), 2,
         "error: a.toml: seed: expected a whole number, got 'x'. Write 0.\n"),
        (Fault("the disk is full"), 1, "error: the disk is full\n"),
        (LeaseLost("another process leads"), 1, "error: another process leads\n"),
        (Stopped("stopped after 3 trials"), 3, "stopped after 3 trials\n"),
    ],
)  # fmt: skip
def test_what_was_raised_on_purpose_has_its_exit_code_and_message(error: Exception, code: int, message: str) -> None:
    result = end(error)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "before\n", message)


def test_every_problem_of_an_input_is_listed() -> None:
    problems = [Problem("a.toml", key, "one", "two", "Mend it.") for key in ("x", "y", "z")]
    assert [line.split(":")[2].strip() for line in end(InputError(problems)).stderr.splitlines()] == ["x", "y", "z"]


def test_ctrl_c_ends_with_three_and_says_that_results_are_kept() -> None:
    result = end(KeyboardInterrupt())
    assert result.exit_code == 3
    assert "Results so far are kept" in result.stderr


def test_any_other_exception_is_one_line_with_a_hint_and_no_traceback() -> None:
    result = end(ZeroDivisionError("division by zero\nsecond line"))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "ZeroDivisionError: division by zero." in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), Fault("y")])
def test_debug_lets_the_error_through(error: Exception) -> None:
    assert end(error, "--debug").exception is error


def test_debug_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    error = Fault("y")
    monkeypatch.setenv("HPO_DEBUG", "1")
    assert end(error).exception is error
    monkeypatch.setenv("HPO_DEBUG", "0")
    assert end(error).exit_code == 1


def test_usage_errors_end_with_two() -> None:
    result = CliRunner().invoke(failing(Fault("x")), ["fly"])
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.stderr


def test_success_and_exit_codes_of_commands_pass_through() -> None:
    @click.group(cls=Boundary)
    def main() -> None:
        pass

    @main.command()
    @click.argument("code", type=int)
    @click.pass_context
    def leave(ctx: click.Context, code: int) -> None:
        ctx.exit(code)

    assert [CliRunner().invoke(main, ["leave", str(code)]).exit_code for code in (0, 2, 3)] == [0, 2, 3]
