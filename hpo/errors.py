"""The error tree, drawn once.

    HpoError
    ├── InputError      the user's input: a list of `Problem`s; exit code 2
    ├── Fault           the program or the machine failed; exit code 1
    │   └── LeaseLost   this process no longer owns what it tried to write
    └── Stopped         stopped early on request, results kept; exit code 3

A run that diverges is a result (`Outcome.DIVERGED`), never an error.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hpo.hiding import hidden


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the user's input, in the four parts a user needs to mend it."""

    where: str
    """The file, option or database that holds it, as the user named it."""
    key: str
    """The key inside it, dotted (`budget.trials`); empty when the whole is meant."""
    expected: str
    got: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return hidden(f"{place}: expected {self.expected}, got {self.got}. {self.remedy}")


class HpoError(Exception):
    """Whatever `hpo` raises on purpose. `exit_code` is what the command line ends with. Its words hide passwords."""

    exit_code = 1

    def __str__(self) -> str:
        return hidden(super().__str__())


class InputError(HpoError):
    """The user's input is wrong; every problem found is listed, not only the first."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class Fault(HpoError):
    """The program or the machine failed; the message says what and what to do."""


class LeaseLost(Fault):
    """Another process has taken over what this one was working on; nothing was written."""


class Stopped(HpoError):
    """Stopped early on request; everything finished so far is in the database."""

    exit_code = 3
