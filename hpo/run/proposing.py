"""From proposals to trials: what a searching stage begins with, and each batch after."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from hpo.recipe.mending import Round
from hpo.records.rows import ClosedTrial, NewRun, NewTrial, OptunaParam, Origin, StageRow, TrialRow
from hpo.run.closing import tried
from hpo.run.cohorts import new_runs
from hpo.run.context import Context
from hpo.run.waiting import requests
from hpo.search.search import Search
from hpo.search.values import Proposal
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.values import Configuration, fingerprint


def new_trials(
    ctx: Context, stage: StageRow, space: SearchSpace, proposals: Sequence[tuple[Origin, Proposal]]
) -> list[NewTrial]:
    """Trials to queue together, with a run a fold each; the seed of a trial's runs is its number."""
    asked = [
        requests(ctx, p.configuration, [derive(ctx.spec.seed, stage.name, stage.attempt, "run", p.number)])
        for _, p in proposals
    ]
    runs: Iterator[NewRun] = iter(new_runs(ctx, space, [request for some in asked for request in some]))
    return [
        _trial(space, proposal, origin, tuple(next(runs) for _ in some))
        for (origin, proposal), some in zip(proposals, asked, strict=True)
    ]


def carried_trials(space: SearchSpace, search: Search, carried: Sequence[TrialRow]) -> list[NewTrial]:
    """Closed trials of the attempt before, numbered from zero and told to the search of this one."""
    new = []
    for number, old in enumerate(carried):
        proposal = search.propose(number, old.configuration)
        told = search.tell(number, tried(old).value, diverged=old.state == "pruned")
        end = ClosedTrial(
            number, told.state, told.value, old.training_loss, old.validation_loss, old.training_metric,
            old.validation_metric, old.parameters, old.diagnosis, 0.0, told.attrs, told.study_attrs,
        )  # fmt: skip
        new.append(_trial(space, proposal, "carried", (), end))
    return new


def started_trials(
    ctx: Context, stage: StageRow, space: SearchSpace, search: Search,
    starts: Sequence[tuple[Origin, Configuration]], first: int,
) -> list[NewTrial]:  # fmt: skip
    """The configurations that a stage begins with, numbered from `first`."""
    proposals = [(origin, search.propose(number, c)) for number, (origin, c) in enumerate(starts, first)]
    return new_trials(ctx, stage, space, proposals)


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
