"""Reading untrusted tables: rules for values, and a report that gathers every problem before anything is raised."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import Problem

COMMAND_LINE = "command line"

_LONGEST = 60


def shown(value: object) -> str:
    """A value as a user would recognise it, in TOML's form and cut to a line."""
    match value:
        case None:
            text = "nothing"
        case Mapping():
            text = "a table"
        case str() | bool() | list() | tuple():
            text = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def suggestion(wrong: object, names: Iterable[str], otherwise: str = "") -> str:
    """The remedy for a wrong name: the nearest right one, or the list of them."""
    known = sorted(set(names))
    close = difflib.get_close_matches(str(wrong).lower(), known, n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`?" if close else otherwise or f"Known: {', '.join(known)}."


_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_code(text: str) -> bool:
    """Whether a text names Python code as `module:function`."""
    return bool(_CODE.fullmatch(text)) and not text.startswith(("sklearn:", "data-dir:"))


@dataclass
class Report:
    """All that is wrong with one file, with the keys that came from the command line set apart."""

    where: str
    prefix: str = ""
    """Stands before every key: `space.` for a search space inside a study file."""
    from_command_line: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, key: str, expected: str, got: str, remedy: str) -> None:
        """Note a problem with `key`, dotted from the top of the file; an empty key means the whole file."""
        full = self.prefix + key if key else self.prefix.rstrip(".")
        where = COMMAND_LINE if full in self.from_command_line else self.where
        self.problems.append(Problem(where, full, expected, got, remedy))

    def inside(self, where: str, prefix: str = "") -> "Report":
        """A report on another file, or on a table of this one, that shares the lists."""
        return Report(where, prefix, self.from_command_line, self.problems, self.warnings)

    def unknown(self, key: str, names: Sequence[str], section: str = "") -> None:
        """Note a key that nobody reads."""
        place = f"in [{section}]" if section else "at the top of the file"
        got = shown(key.rpartition(".")[2])
        self.add(key, f"a known key {place}", got, suggestion(key.rpartition(".")[2], names))


@dataclass(frozen=True)
class Rule:
    """What a key may hold. `read` gives the value to keep, or raises ValueError (its text, if any, is the remedy)."""

    expected: str
    read: Callable[[Any], Any]
    remedy: str

    def __call__(self, report: Report, key: str, value: object, otherwise: Any) -> Any:
        """The value read; where it breaks the rule, a problem is noted and `otherwise` returned."""
        try:
            return self.read(value)
        except ValueError as error:
            report.add(key, self.expected, shown(value), str(error) or self.remedy)
            return otherwise


def is_number(value: object) -> bool:
    """A finite number; TOML's true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """A whole number as TOML writes it: without a point."""
    return isinstance(value, int) and not isinstance(value, bool)


def integer(low: int, high: int | None = None, remedy: str = "") -> Rule:
    """A whole number in [low, high]."""
    expected = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"

    def read(value: Any) -> int:
        if not is_whole(value) or value < low or (high is not None and value > high):
            raise ValueError
        return int(value)

    return Rule(expected, read, remedy or "Change it to a number in that range.")


def number(above: float, below: float | None = None, remedy: str = "") -> Rule:
    """A number in the open interval (above, below)."""
    expected = f"a number above {above:g}" if below is None else f"a number between {above:g} and {below:g}"

    def read(value: Any) -> float:
        if not is_number(value) or value <= above or (below is not None and value >= below):
            raise ValueError
        return float(value)

    return Rule(expected, read, remedy or "Change it to a number in that range.")


def one_of(*names: str) -> Rule:
    """One of a few words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(suggestion(value, names, f"Use one of {', '.join(names)}."))
        return value

    return Rule(" or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0], read, "")


def texts(remedy: str) -> Rule:
    """A list of texts, kept as a tuple."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise ValueError
        return tuple(value)

    return Rule("a list of texts", read, remedy)


def flag(remedy: str) -> Rule:
    """True or false."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Rule("true or false", read, remedy)
