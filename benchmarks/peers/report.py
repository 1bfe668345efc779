"""The outcomes of a run of `throughput.py` as Markdown."""

import os
import platform
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .cases import Case
from .outcome import Outcome, median

_SHARES = {
    "compiling": "compiling", "empty_slots": "empty slots", "padding": "arithmetic lost to padding",
    "training": "training (compiling in it)",
    "asking": "proposing", "records": "records",
}  # fmt: skip


@dataclass
class Comparison:
    """A case with what each tool took; ours under `ours`."""

    case: Case
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """A sentence for each tool that did not run."""


def command(script: str, arguments: Sequence[str]) -> str:
    """How tables were made; not where they were put."""
    kept = list(arguments)
    at = next((i for i, a in enumerate(kept) if a.startswith("--output")), len(kept))
    del kept[at : at + (1 if at < len(kept) and "=" in kept[at] else 2)]
    return shlex.join(["python", script, *kept])


def document(comparisons: Sequence[Comparison], made_by: str) -> str:
    """All tables, notes and versions."""
    parts = [
        f"`{made_by}`: {os.cpu_count()} cores, Python {platform.python_version()}, {_versions(comparisons)}.",
        "Trials a second, end to end: imports apart, compilation included.",
        _rates(comparisons),
        *_section("An epoch of `model.fit` alone, without validation, against all of ours:", _bare(comparisons)),
        *_section("Where the time of ours goes:", _shares(comparisons)),
        *_section("Notes:", _list(_notes(comparisons))),
    ]
    return "\n\n".join(parts) + "\n"


def line(name: str, outcome: Outcome, ours: Outcome | None) -> str:
    """One outcome for the terminal."""
    if "epoch" in outcome.figures:
        ratio = f", {outcome.figures['epoch'] / _an_epoch(ours):.1f} times ours" if ours else ""  # type: ignore[operator]
        return f"  {name:12} {outcome.figures['epoch']:.4f} s an epoch{ratio}"
    ratio = f", ours is {ours.rate / outcome.rate:.1f} times as fast" if ours and ours is not outcome else ""
    return f"  {name:12} {outcome.rate:.3f} trials a second ({outcome.trials} in {outcome.seconds:.1f} s){ratio}"


def _rates(comparisons: Iterable[Comparison]) -> str:
    head = ("case", "tool", "trials", "s", "trials a second", "ours is", "epochs a trial", "median accuracy")
    lines = []
    for c in comparisons:
        ours = c.outcomes.get("ours")
        for name, o in c.outcomes.items():
            if "epoch" not in o.figures:
                ratio = f"{ours.rate / o.rate:.1f} x" if ours and o is not ours else ""
                cells = (c.case.name, name, o.trials, f"{o.seconds:.1f}", f"{o.rate:.3f}", ratio)
                lines.append((*cells, f"{o.epochs / o.trials:.1f}", f"{median(o.scores):.4f}"))
    return table(head, lines, numbers=2)


def _bare(comparisons: Iterable[Comparison]) -> str:
    head = ("case", "`fit`, s an epoch", "first epoch", "ours, s an epoch", "ratio")
    lines = []
    for c in comparisons:
        bare, ours = c.outcomes.get("bare"), c.outcomes.get("ours")
        if bare and ours:
            epoch, first = bare.figures["epoch"] or 0.0, bare.figures["first_epoch"] or 0.0
            cells = (f"{epoch:.4f}", f"{first:.2f}", f"{_an_epoch(ours):.4f}", f"{epoch / _an_epoch(ours):.1f} x")
            lines.append((c.case.name, *cells))
    return table(head, lines, numbers=1)


def _shares(comparisons: Iterable[Comparison]) -> str:
    lines = []
    for c in comparisons:
        if ours := c.outcomes.get("ours"):
            shares = [_percent(ours.figures.get(key)) for key in _SHARES]
            lines.append((c.case.name, *shares, ours.figures["sessions"], ours.figures["slots"]))
    return table(("case", *_SHARES.values(), "sessions", "most slots"), lines, numbers=1)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _an_epoch(ours: Outcome) -> float:
    return ours.seconds / ours.epochs


def _notes(comparisons: Iterable[Comparison]) -> list[str]:
    found: dict[str, None] = {}
    for c in comparisons:
        if c.case.note:
            found[f"{c.case.name}: {c.case.note}."] = None
        for name, o in c.outcomes.items():
            where = f" ({c.case.name})" if name == "ours" else ""
            found[f"{name}{where}: {o.settings}."] = None
        for sentence in c.missing:
            found[f"{c.case.name}: {sentence}."] = None
    return list(found)


def _versions(comparisons: Iterable[Comparison]) -> str:
    found: dict[str, str] = {}
    for c in comparisons:
        for o in c.outcomes.values():
            found |= o.versions
    return ", ".join(f"{name} {found[name]}" for name in sorted(found))


def _section(title: str, body: str) -> list[str]:
    return [title, body] if body else []


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def table(head: Sequence[str], lines: Sequence[Sequence[object]], *, numbers: int) -> str:
    """Markdown, aligned to the right from column `numbers` on; empty without lines."""
    if not lines:
        return ""
    rule = ["---" if i < numbers else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (head, rule, *lines))
