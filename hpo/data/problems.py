"""Problems with the user's data, worded alike wherever they are found."""

import difflib
from collections.abc import Iterable

from hpo.errors import InputError, Problem

STUDY_FILE = "study file"
"""Where the settings of `[data]` and `[objective]` stand, as far as this layer knows."""


def setting(key: str, expected: str, got: str, remedy: str) -> Problem:
    """A problem with a setting of the study file."""
    return Problem(STUDY_FILE, key, expected, got, remedy)


def refuse(where: str, key: str, expected: str, got: str, remedy: str) -> InputError:
    """An error of one problem, to be raised."""
    return InputError(Problem(where, key, expected, got, remedy))


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean "x"? ` where a known word is near, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f'Did you mean "{found[0]}"? ' if found else ""


def listed(words: Iterable[object], most: int = 8) -> str:
    """The first few words, and how many more there are."""
    texts = [str(word) for word in words]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,000 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
