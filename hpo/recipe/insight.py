"""What a searching stage taught about its hyperparameters, and what the next stage makes of it.

A share is the part of the variance of the trials' ranks that a hyperparameter explains by itself, whatever the others
are; its total adds all its interactions (first-order and total Sobol index; Sobol 1993, Homma and Saltelli 1996).
Where a hyperparameter is fixed, what is lost is its share and its interactions. The total of a surrogate fitted to few
trials is mostly its noise, so `fix` rests on the upper bounds of the share and of the strongest interaction together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hpo.numbers import number
from hpo.recipe.edges import Edge
from hpo.space import Fixed, SearchSpace
from hpo.space.ranges import clamped
from hpo.values import Configuration, Scalar

SMALL = 0.1
"""A hyperparameter whose total share has its upper bound here or below hardly matters."""
ENOUGH = 50
"""With fewer trials than this nothing is fixed, and no interaction told."""
NEVER_FIXED = ("learning_rate",)
"""The best rate moves with whatever else a stage changes."""
WORTH_TELLING = 0.05
"""Shares and interactions below this one are left to the tables."""
SURE = 0.02
"""An interaction is told where its lower bound exceeds this: the largest of many pairs is large by chance."""
_TOLD = 3


@dataclass(frozen=True)
class Share:
    """What one hyperparameter explains, as shares of the variance of the ranks, with 90 % intervals."""

    name: str
    share: float
    low: float
    high: float
    total: float
    """With all its interactions."""
    most: float
    """Upper bound of the share together with that of its strongest interaction."""


@dataclass(frozen=True)
class Interaction:
    """What two hyperparameters explain together, beyond what each explains by itself."""

    names: tuple[str, str]
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Explained:
    """What explains the ranks of a stage's trials, largest share first."""

    shares: tuple[Share, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    trials: int = 0


@dataclass(frozen=True)
class Insight:
    """What a stage taught about its hyperparameters."""

    explained: Explained
    edges: tuple[str, ...] = ()
    """Ends of ranges that the best trials crowd, in words: `the high end of units (256)`."""
    fix: Mapping[str, Scalar] = field(default_factory=dict)
    """What hardly matters, with the value at which the next stage may hold it."""
    sentence: str = ""


def insight(
    explained: Explained, *, edges: Sequence[Edge] = (), chosen: Configuration | None = None, fixes: bool = False
) -> Insight:
    """The insight of a stage.

    edges: that were reached and not widened. chosen: the configuration handed on, None where there is none. fixes:
    whether the next stage varies the same under the same objective, so that what hardly matters may be fixed there.
    """
    idle = [s for s in explained.shares if s.most <= SMALL]
    may_fix = fixes and chosen is not None and explained.trials >= ENOUGH
    fix = {s.name: chosen[s.name] for s in idle if may_fix and chosen is not None and s.name not in NEVER_FIXED}
    ends = tuple(_end(e) for e in edges)
    clauses = [c for c in (_leading(explained), _together(explained), *_idle(idle, fix)) if c]
    sentence = _capital("; ".join(clauses)) + "." if clauses else ""
    if ends:
        sentence += f" The best trials crowd {_listed(ends)}: a wider range may hold better ones."
    return Insight(explained, ends, fix, sentence.strip())


def insight_figures(found: Insight) -> dict[str, float]:
    """The shares as numbers of the verdict."""
    return {f"sensitivity_{s.name}": s.share for s in found.explained.shares}


def insight_to_plain(found: Insight) -> dict[str, Any]:
    """For the records: what JSON can hold."""
    return {
        "shares": [asdict(s) for s in found.explained.shares],
        "interactions": [{**asdict(i), "names": list(i.names)} for i in found.explained.interactions],
        "trials": found.explained.trials,
        "edges": list(found.edges),
        "fix": dict(found.fix),
    }


def settled(space: SearchSpace, hands_on: Mapping[str, Any]) -> SearchSpace:
    """The space with what the stage before found to hardly matter held at its value, moved into the range.

    hands_on: of the verdict that the next stage builds on; one without an insight changes nothing.
    """
    for name, value in hands_on.get("insight", {}).get("fix", {}).items():
        if name in space and space[name].varies:
            space = space.with_range(name, Fixed(clamped(space[name].range, value)))
    return space


def _leading(explained: Explained) -> str:
    """`learning_rate matters most (62 %, 48 to 71), then units (20 %, 11 to 29)`."""
    telling = [s for s in explained.shares if s.share >= WORTH_TELLING and s.low > 0][:_TOLD]
    if not telling:
        return "no hyperparameter stands out" if explained.shares else ""
    first, *others = telling
    if others and others[0].high >= first.low:
        told = _listed([_told(s) for s in telling])
        return f"{told} matter most"
    then = f", then {_listed([_told(s) for s in others])}" if others else ""
    return f"{first.name} matters most ({_interval(first)}){then}"


def _together(explained: Explained) -> str:
    if explained.trials < ENOUGH:
        return ""
    telling = [i for i in explained.interactions if i.share >= WORTH_TELLING and i.low > SURE][:_TOLD]
    return "; ".join(f"{i.names[0]} and {i.names[1]} interact ({_interval(i)})" for i in telling)


def _idle(idle: Sequence[Share], fix: Mapping[str, Scalar]) -> list[str]:
    """What hardly matters, fixed ones with their values, then the others."""
    clauses = []
    for group in ([s for s in idle if s.name in fix], [s for s in idle if s.name not in fix]):
        if group:
            verb, its = ("matters", "its") if len(group) == 1 else ("matter", "their")
            shares = _listed([f"{100 * s.share:.0f}" for s in group])
            most = max(s.most for s in group)
            clause = f"{_listed([s.name for s in group])} hardly {verb} ({shares} %, "
            clause += f"at most {100 * most:.0f} with {its} interactions)"
            values = [number(fix[s.name]) for s in group if s.name in fix]
            clauses.append(f"{clause}: fixed next at {_listed(values)}" if values else clause)
    return clauses


def _told(share: Share) -> str:
    return f"{share.name} ({_interval(share)})"


def _interval(share: Share | Interaction) -> str:
    return f"{100 * share.share:.0f} %, {100 * share.low:.0f} to {100 * share.high:.0f}"


def _end(edge: Edge) -> str:
    end = edge.old.high if edge.side == "high" else edge.old.low
    return f"the {edge.side} end of {edge.name} ({end:g})"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _capital(text: str) -> str:
    """A sentence that begins with a hyperparameter's name keeps it as it is written."""
    return text.replace("no hyperparameter", "No hyperparameter", 1) if text.startswith("no hyper") else text
