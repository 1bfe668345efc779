"""Configurations that did well elsewhere, for the first cohort of a stage: other studies' own, and a portfolio."""

from collections.abc import Iterator, Sequence

from hpo.portfolio import starts as portfolio
from hpo.records.rows import Origin
from hpo.records.studies import Studies
from hpo.space import SearchSpace
from hpo.space.ranges import clamped
from hpo.values import Configuration

SHARE, MOST = 8, 8
"""They are one in so many of a stage's planned trials, and no more than the second."""
SECONDS = 4.0
"""One in so many of a stage's seconds: most bring a structure, whose program takes two seconds of a core to compile."""


def chosen_elsewhere(studies: Studies, study: str, task: str, model: str) -> tuple[Configuration, ...]:
    """What the finished studies of the same task and model ended with, the latest first; not this study's own."""
    found = []
    for row in reversed(studies.all()):
        space = row.spec.get("space")
        if row.name == study or row.state != "finished" or row.task != task or (space or {}).get("model") != model:
            continue
        last = next((s for s in reversed(studies.stages(row.id)) if s.name == "tune" and s.verdict is not None), None)
        if last is not None and last.verdict is not None and "configuration" in last.verdict.hands_on:
            found.append(last.verdict.hands_on["configuration"])
    return tuple(found)


def warm_starts(
    space: SearchSpace, begun_with: Sequence[Configuration], planned: int | None, seconds: float | None,
    *, elsewhere: Sequence[Configuration], bundled: bool,
) -> list[tuple[Origin, Configuration]]:  # fmt: skip
    """What to try besides `begun_with`, moved into the space, no two alike; fewer where the stage is small.

    `elsewhere`: from `chosen_elsewhere`. `bundled`: whether to take from the portfolio, too.
    """
    by_trials = MOST if planned is None else planned // SHARE
    by_time = MOST if seconds is None else int(seconds // SECONDS)
    most = min(MOST, by_trials, by_time)
    seen = [space.active_varying(c) for c in begun_with]
    found: list[tuple[Origin, Configuration]] = []
    for origin, configuration in _candidates(space, elsewhere, bundled):
        if len(found) == most:
            break
        if (varying := space.active_varying(configuration)) not in seen:
            seen.append(varying)
            found.append((origin, configuration))
    return found


def _candidates(
    space: SearchSpace, elsewhere: Sequence[Configuration], bundled: bool
) -> Iterator[tuple[Origin, Configuration]]:
    for other in elsewhere:
        moved = {h.name: clamped(h.range, other[h.name]) for h in space.varying if h.name in other}
        yield "warm_start", space.default() | moved
    if bundled:
        for configuration in portfolio(space):
            yield "portfolio", configuration
