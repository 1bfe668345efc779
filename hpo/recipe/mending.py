"""What a searching stage does about the configuration it began with where that ails: a remedy a round.

The first round is that configuration's trial; each later one is the trial of a `remedy` of the round before, inside the
stage's space. What a stage does not vary is another stage's question; what the user fixed is only complained of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hpo.numbers import number
from hpo.recipe.remedies import ROUNDS, Change, Remedy, remedy
from hpo.space import Fixed, SearchSpace
from hpo.values import Configuration, Diagnosis

_WANTED = {"overfit": ("overfit",)}
"""What a stage is not to mend: memorizing the training rows is what overfit is for."""


@dataclass(frozen=True)
class Round:
    """A closed trial of the chain."""

    number: int
    configuration: Configuration
    diagnosis: Diagnosis
    value: float | None


def next_configuration(rounds: Sequence[Round], stage: str, space: SearchSpace) -> Configuration | None:
    """What to try next, inside the stage's space; None where there is nothing to mend, or nothing left to try."""
    found = _found(rounds, stage, space)
    return found.applied_to(rounds[-1].configuration) if found.changes else None


def told(rounds: Sequence[Round], stage: str, space: SearchSpace, stated: SearchSpace, metric: str) -> str:
    """What was changed and why, and what stands in the way, as sentences; empty where the first round did not ail.

    `space`: the stage's. `stated`: the study's, which tells what the user fixed. `metric`: what the values are of.
    """
    if not rounds or not _ails(rounds[0], stage):
        return ""
    first, last = rounds[0], rounds[-1]
    sentences = []
    if len(rounds) > 1:
        steps = [
            f"{_changed(before, after)} (trial {after.number}, then {after.diagnosis.name})"
            for before, after in pairwise(rounds)
        ]
        moved = "" if first.value is None or last.value is None else (
            f"; {metric} went from {number(first.value)} to {number(last.value)}")  # fmt: skip
        sentences.append(
            f"The configuration it began with (trial {first.number}) was {_as_adjective(first.diagnosis.name)}; "
            f"changed: {'; '.join(steps)}{moved}."
        )
    fixed = [c for c in _found(rounds, stage, space).complaints if _fixed_by_user(stated, c.name)]
    if fixed and _ails(last, stage):
        wanted = ", ".join(f"{c.name} = {_shown(c.new)} in place of {_shown(c.old)}" for c in fixed)
        sentences.append(f"Trial {last.number} is {_as_adjective(last.diagnosis.name)}, and the study fixes what would "
                         f"mend it: {wanted}.")  # fmt: skip
    return "".join(f" {sentence}" for sentence in sentences)


def _found(rounds: Sequence[Round], stage: str, space: SearchSpace) -> Remedy:
    if not rounds or len(rounds) > ROUNDS or not _ails(rounds[-1], stage):
        return Remedy()
    tried = [c for a, b in pairwise(rounds) for c in _changes(a.configuration, b.configuration)]
    # What the stage does not vary is fixed for its sampler too, stated by the user or not.
    return remedy(rounds[-1].diagnosis, rounds[-1].configuration, replace(space, unstated=frozenset()), tried)


def _ails(round_: Round, stage: str) -> bool:
    return round_.diagnosis.name != "healthy" and round_.diagnosis.name not in _WANTED.get(stage, ())


def _changes(before: Configuration, after: Configuration) -> list[Change]:
    return [Change(name, old, after[name], "") for name, old in before.items() if after[name] != old]


def _changed(before: Round, after: Round) -> str:
    return ", ".join(
        f"{c.name} {_shown(c.old)} to {_shown(c.new)}" for c in _changes(before.configuration, after.configuration)
    )


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _as_adjective(diagnosis: str) -> str:
    """The diagnosis behind `was`."""
    nouns = ("gradient", "units", "suspected")
    return f"diagnosed with {diagnosis}" if diagnosis.endswith(nouns) else diagnosis


def _fixed_by_user(stated: SearchSpace, name: str) -> bool:
    return isinstance(stated[name].range, Fixed) and name not in stated.unstated
