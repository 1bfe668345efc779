"""From proposals to trials: what a searching stage begins with, and each batch after."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from hpo.recipe.mending import Round
from hpo.records.rows import ClosedTrial, NewRun, NewTrial, OptunaParam, Origin, StageRow, TrialRow
from hpo.run.closing import tried
from hpo.run.cohorts import new_runs
from hpo.run.context import Context
from hpo.run.feeds import Feed
from hpo.run.waiting import requests
from hpo.search.values import Proposal
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint

JUDGED: tuple[Origin, ...] = ("sampler", "portfolio", "warm_start")
"""Trials that may give up their slots."""


def new_trials(
    ctx: Context, stage: StageRow, space: SearchSpace, proposals: Sequence[tuple[Origin, Proposal]], feed: Feed
) -> list[NewTrial]:
    """Trials to queue together, with a run a fold each; the seed of a trial's runs is its number.

    What a stage began with, and remedies, are there to be held against: they are not compared at rungs.
    """
    asked = [
        requests(ctx, p.configuration, [derive(ctx.spec.seed, stage.name, stage.attempt, "run", p.number)])
        for _, p in proposals
    ]
    together = [request for some in asked for request in some]
    runs: Iterator[NewRun] = iter(new_runs(ctx, space, together, slots=feed.slots))
    return [
        _trial(space, proposal, origin,
               tuple(replace(next(runs), judged=feed.judged and origin in JUDGED) for _ in some))
        for (origin, proposal), some in zip(proposals, asked, strict=True)
    ]  # fmt: skip


def carried_trials(space: SearchSpace, feed: Feed, carried: Sequence[TrialRow]) -> list[NewTrial]:
    """Closed trials of the attempt before, numbered from zero and told to the search of this one."""
    new = []
    for number, old in enumerate(carried):
        proposal = feed.propose(number, old.configuration)
        feed.see(number, old.rungs)
        was = tried(old)
        told = feed.tell(number, was.value, diverged=was.diverged, dropped=was.gave_up)
        end = ClosedTrial(
            number, told.state, told.value, old.training_loss, old.validation_loss, old.training_metric,
            old.validation_metric, old.parameters, old.diagnosis, 0.0, told.attrs, told.study_attrs, old.rungs,
        )  # fmt: skip
        new.append(_trial(space, proposal, "carried", (), end))
    return new


def started_trials(
    ctx: Context, stage: StageRow, space: SearchSpace, feed: Feed, starts: Sequence[tuple[Origin, Configuration]],
    first: int,
) -> list[NewTrial]:  # fmt: skip
    """The configurations that a stage begins with, numbered from `first`."""
    proposals = [(origin, feed.propose(number, c)) for number, (origin, c) in enumerate(starts, first)]
    return new_trials(ctx, stage, space, proposals, feed)


def remedied(trials: Iterable[TrialRow]) -> list[TrialRow]:
    """The configuration that a stage began with, and its remedies, in order; empty where an attempt carries on."""
    ordered = sorted(trials, key=lambda t: t.number)
    starts = [t for t in ordered if t.origin in ("default", "handed_on")]
    return [*starts[:1], *(t for t in ordered if t.origin == "remedy")]


def rounds(chain: Sequence[TrialRow]) -> list[Round]:
    """Closed trials as `recipe.mending` reads them; none after one that failed to train."""
    read = takewhile(lambda t: t.diagnosis is not None, chain)
    return [Round(t.number, t.configuration, t.diagnosis, t.value) for t in read if t.diagnosis is not None]


def _trial(
    space: SearchSpace, proposal: Proposal, origin: Origin, runs: tuple[NewRun, ...], end: ClosedTrial | None = None
) -> NewTrial:
    return NewTrial(
        proposal.number,
        origin,
        proposal.configuration,
        proposal.varied,
        fingerprint(space.structure(proposal.configuration)),
        runs,
        tuple(OptunaParam(p.name, p.internal, p.distribution) for p in proposal.params),
        proposal.attrs,
        end,
    )
