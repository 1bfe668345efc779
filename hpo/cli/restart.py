"""Passwords leave the command line before anything else happens: there, every user of the machine can read them."""

import os
import sys
from collections.abc import Sequence

from hpo.hiding import hidden

HELD = {"--storage": "HPO_STORAGE", "--artifacts": "HPO_ARTIFACTS"}
"""Options whose value may hold a password, and the variable that holds it instead."""


def blotted(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words of a command line with passwords blotted out, and the variables that hold those values whole."""
    shown, held = list(words), dict[str, str]()
    for i, word in enumerate(words):
        option, joined, value = word.partition("=")
        if not joined and i + 1 < len(words):
            value = words[i + 1]
        if option in HELD and hidden(value) != value:
            held[HELD[option]] = value
            shown[i if joined else i + 1] = f"{option}={hidden(value)}" if joined else hidden(value)
    return shown, held


def without_passwords() -> None:
    """Start this process anew where its command line holds a password, with the whole value in the environment.

    Not on Windows, where another process would take its place and the shell would not wait for that one.
    """
    words = sys.argv[1:]
    shown, held = blotted(words)
    before = sys.orig_argv[1 : len(sys.orig_argv) - len(words)]
    if held and os.name == "posix" and [*before, *words] == sys.orig_argv[1:]:
        os.execve(sys.executable, [sys.executable, *before, *shown], {**os.environ, **held})
