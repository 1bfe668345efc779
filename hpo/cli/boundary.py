"""The one place that turns errors into exit codes: 0 done, 1 fault, 2 the user's input, 3 stopped early."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

import click

from hpo.cli.restart import without_passwords
from hpo.errors import HpoError, InputError, Stopped
from hpo.hiding import hidden


class Boundary(click.Group):
    """A click group whose `main` ends with the exit code of what was raised, and a message instead of a traceback.

    With `--debug` (or HPO_DEBUG=1) whatever was raised comes through as it is.
    """

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, **extra: Any,
    ) -> NoReturn:  # fmt: skip
        """Parse, run, and end the process with the exit code."""
        if args is None:  # a process of its own
            without_passwords()
            sys.excepthook = _show_traceback
        words = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
            # Flushed here, so that a closed pipe is met inside the boundary and not at the interpreter's end.
            sys.stdout.flush()
        except Exception as error:
            if _debug(words) and not isinstance(error, (click.ClickException, click.Abort)):
                raise
            _end(error)
        # click hands back the code of `ctx.exit(code)` (as after --help) instead of raising it.
        sys.exit(result if isinstance(result, int) else 0)


def _debug(words: list[str]) -> bool:
    return "--debug" in words or os.environ.get("HPO_DEBUG", "") not in ("", "0")


def _end(error: Exception) -> NoReturn:
    match error:
        case click.ClickException():
            told = io.StringIO()
            error.show(told)  # a mistyped line is quoted in it
            _say(told.getvalue().rstrip())
            sys.exit(error.exit_code)
        case click.Abort():
            _say("Stopped. Results so far are kept; the same command goes on.")
            sys.exit(Stopped.exit_code)
        case BrokenPipeError():
            # The reader of our output (as in `hpo results | head`) has seen enough: no fault of anyone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        case InputError():
            for problem in error.problems:
                _say(f"error: {problem}")
        case Stopped():
            _say(str(error))
        case HpoError():
            _say(f"error: {error}")
        case _:
            _say(f"error: {type(error).__name__}: {_first_line(error)}. This is a fault of the program or the machine; "
                 "`hpo --debug ...` shows where it happened.")  # fmt: skip
    sys.exit(error.exit_code if isinstance(error, HpoError) else 1)


def _say(line: str) -> None:
    click.echo(hidden(line), err=True)


def _show_traceback(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """What --debug shows: drivers and file systems put URLs into their errors."""
    _say("".join(traceback.format_exception(kind, error, at)).rstrip())


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or "no message"
