"""A searching stage: proposals go into the queue, finished trials are told to the sampler, until the stage has enough.

Order is by number and by epochs, never by the clock, and each proposal's seed is its number; what is proposed when, a
`feed` decides. A resumed stage rebuilds it from the records and goes on: in batches as if nothing had happened, in
slots with runs that begin anew, so that others end first than would have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from time import monotonic

from hpo.errors import Fault
from hpo.metrics import Direction
from hpo.recipe.edges import FEWEST, Edge, crowded_edges, slow_rate_edge
from hpo.recipe.judging import Bar, Tried, complete, ranked
from hpo.recipe.mending import next_configuration
from hpo.recipe.rungs import rungs
from hpo.recipe.stages import EDGE_CHECK
from hpo.recipe.stopping import ended, noise_of, patience
from hpo.records.rows import ClosedTrial, NewTrial, Origin, RunRow, StageRow, TrialRow
from hpo.run.batches import edge_check
from hpo.run.closing import Seen, at_rungs, closed, mean, read, tried
from hpo.run.comparing import rule_of
from hpo.run.context import Context
from hpo.run.events import TrialFinished
from hpo.run.feeds import Batches, Feed
from hpo.run.proposing import carried_trials, new_trials, remedied, rounds, started_trials
from hpo.run.slots import Slots
from hpo.run.tally import Tally
from hpo.space import SearchSpace
from hpo.values import Array, Configuration, Curve

WIDENINGS = 2
"""How often in a row a stage may go on in a wider space."""
_EDGES = "the best trials crowd the end of a range"
_NO_TIME = "not begun: the time for this stage was used up"


@dataclass(frozen=True)
class Task:
    """What a searching stage has to do."""

    space: SearchSpace
    starts: tuple[tuple[Origin, Configuration], ...]
    """Configurations to begin with."""
    carried: tuple[TrialRow, ...] = ()
    """Closed trials of the attempt before, re-expressed in this wider space."""
    planned: int | None = None
    """New trials; None: no bound."""
    seconds: float | None = None
    """Of searching, from now on; None: no bound. The starting configurations are trained in any case."""
    may_widen: bool = True


@dataclass(frozen=True)
class Searched:
    """What a searching stage found."""

    trials: tuple[Tried, ...]
    ended: str
    edges: tuple[Edge, ...]
    new: int
    """Trials that were not carried."""


class StageSearch:
    """One attempt at one searching stage."""

    def __init__(self, ctx: Context, stage: StageRow, task: Task, bar: Bar) -> None:
        self._ctx, self._stage, self._task, self._bar = ctx, stage, task, bar
        self._began = monotonic()
        self._deadline = self._began + (inf if task.seconds is None else task.seconds)
        self._direction: Direction = "maximize" if stage.direction == "maximize" else "minimize"
        self._sign = 1.0 if self._direction == "maximize" else -1.0
        self._looked_late = False
        self._rungs = rungs(ctx.spec.budget.epochs, rule_of(ctx.spec.search))
        self._patience = patience(task.planned, ctx.spec.search.plateau)
        self._starts = task.starts if task.planned is None else task.starts[: task.planned]
        self._tally = Tally(ctx.queue, stage.id, self._cost)
        kind: type[Batches | Slots] = Slots if ctx.spec.search.halving else Batches
        self._feed: Feed = kind(ctx, stage, task.space, task.planned, len(self._starts), self._tally)
        self._put_starts()
        self._closed_before = self._tally.closed

    def run(self) -> Searched:
        """Search until trials, time or patience run out, or the edges of a range call for a wider one."""
        while True:
            self._close_finished()
            self._ctx.deadline = self._deadline if self._tally.any_value else inf
            ended = self._ended()
            if ended is not None and not self._tally.running:
                break
            if ended is not None or not self._propose():
                if monotonic() > self._ctx.deadline:
                    self._ctx.queue.drop(self._stage.id, _NO_TIME)
                self._ctx.work()
        self._ctx.deadline = inf
        trials = self._tried()
        return Searched(trials, ended, self._edges(trials) if ended == _EDGES else (), self._tally.new)

    def _tried(self) -> tuple[Tried, ...]:
        rows = self._tally.rows
        return tuple(tried(rows[number]) for number in sorted(rows))

    def _ended(self) -> str | None:
        """Why no more is proposed, in words; None while the search goes on."""
        new, planned, seconds = self._tally.new, self._task.planned, self._task.seconds
        spent = monotonic() - self._began
        why = ended(
            self._tally.costs, noise=noise_of(self._bar, self._stage.objective), patience=self._patience, new=new,
            planned=planned, carried=len(self._task.carried), seconds=seconds, spent=spent,
        )  # fmt: skip
        # Where all trials are alike, the range may be what is wrong: nothing settles before its ends were looked at.
        in_time = seconds is None or spent <= seconds
        early = why is not None and in_time and planned is not None and new < edge_check(planned)
        if self._task.may_widen and (early or (why is None and self._at_check(new, planned))):
            if self._tally.running:
                return _EDGES  # for now: nothing more is proposed until all that was has ended
            self._looked_late = self._late()
            if self._edges(self._tried()):
                return _EDGES
        return why

    def _at_check(self, new: int, planned: int | None) -> bool:
        """Edges are looked at when just so many trials are proposed, and once when so much of the time is gone."""
        by_trials = planned is not None and new == edge_check(planned) and planned - new >= 2
        return by_trials or (self._late() and not self._looked_late)

    def _late(self) -> bool:
        return self._task.seconds is not None and monotonic() - self._began > EDGE_CHECK * self._task.seconds

    def _edges(self, trials: Sequence[Tried]) -> tuple[Edge, ...]:
        """Ranges that end too early, the slow learning rate first."""
        space = self._task.space
        best = sorted(complete(trials), key=lambda t: -self._sign * (t.value or 0.0))[:FEWEST]
        slow = slow_rate_edge(space, [(t.configuration, t.pace) for t in best])
        named = {e.name for e in slow}
        return slow + tuple(e for e in crowded_edges(space, ranked(trials, self._sign)) if e.name not in named)

    def _cost(self, trial: TrialRow) -> float | None:
        value = tried(trial).value
        return None if value is None else -self._sign * value

    def _propose(self) -> bool:
        """Begin what the search asks for now; whether it asked for anything."""
        proposals = self._feed.more(self._tally, self._mended())
        if proposals:
            self._add(new_trials(self._ctx, self._stage, self._task.space, proposals, self._feed))
        return bool(proposals)

    def _mended(self) -> Configuration | None:
        """A remedy for what the stage began with, once the round before has ended, and if nobody tried it yet."""
        chain = remedied(self._tally.rows.values())
        if any(trial.state == "running" for trial in chain):
            return None
        wanted = next_configuration(rounds(chain), self._stage.name, self._task.space)
        if wanted is None or any(trial.configuration == wanted for trial in self._tally.rows.values()):
            return None
        return wanted

    def _put_starts(self) -> None:
        """Carried trials and starting configurations, in one transaction and once only."""
        if self._tally.rows:
            return
        space, feed = self._task.space, self._feed
        carried = carried_trials(space, feed, self._task.carried)
        self._add(carried + started_trials(self._ctx, self._stage, space, feed, self._starts, len(carried)))

    def _add(self, trials: Sequence[NewTrial]) -> None:
        self._ctx.queue.add_trials(self._stage, trials)
        self._tally.add(trials)

    def _close_finished(self) -> None:
        """Tell and close, in the order of their numbers, the trials whose runs have all ended.

        In batches with one worker none is closed before those of smaller numbers, in whatever order their runs were
        trained: so an interruption changes no order either. Nobody else waits for the slowest.
        """
        self._tally.read()
        ready = []
        for number, trial in sorted(self._tally.running.items()):
            self._feed.see(number, trial.rungs)
            if _search_ended(trial):
                ready.append(trial)
            elif self._feed.in_order:
                break
        if not ready:
            return
        seen = Seen.of(self._ctx.queue, (r for t in ready for r in t.runs if r.purpose == "search"))
        ends = [self._end(t, seen) for t in ready]
        self._ctx.queue.close_trials(self._stage, ends)
        self._tally.close(ends)
        for end in ends:
            self._announce(end)
        self._refuse_hopeless()

    def _end(self, trial: TrialRow, seen: Seen) -> ClosedTrial:
        runs = [r for r in trial.runs if r.purpose == "search"]
        if any(r.state == "failed" for r in runs):
            told = self._feed.tell(trial.number, None)
            return closed(trial, runs, value=None, diagnosis=None, state=told.state, attrs=told.attrs)
        diagnosis = read(seen, runs, self._bar.scale)
        of_training = self._stage.objective == "training loss"
        value = mean([r.training_loss if of_training else r.validation_metric for r in runs])
        # By the runs: a divergence that the first weights foretold is diagnosed as an exploding gradient.
        diverged = any(r.state == "diverged" for r in runs) or not isfinite(value)
        dropped = any(r.state == "dropped" for r in runs)
        told = self._feed.tell(trial.number, None if diverged else value, diverged=diverged, dropped=dropped)
        return closed(
            trial, runs, value=told.value, diagnosis=diagnosis, state=told.state, attrs=told.attrs,
            study_attrs=told.study_attrs,
            rungs=at_rungs([_objective(seen.curves[r.id], of_training) for r in runs], self._rungs),
        )  # fmt: skip

    def _announce(self, end: ClosedTrial) -> None:
        best = self._tally.best
        planned, done, spent = self._task.planned, self._tally.closed, monotonic() - self._began
        left = self._deadline - monotonic()
        if planned is not None:
            left = min(left, spent / (done - self._closed_before) * (planned - done))
        self._ctx.listener(
            TrialFinished(
                stage=self._stage.name,
                attempt=self._stage.attempt,
                number=end.number,
                value=end.value,
                best=None if best is None else -self._sign * best,
                done=done,
                planned=planned or 0,
                seconds_left=max(0.0, left) if isfinite(left) else None,
                diagnosis=end.diagnosis.name if end.diagnosis else "failed",
            )
        )

    def _refuse_hopeless(self) -> None:
        """Trials that fail are recorded and told; where most do, something is wrong that searching cannot mend."""
        reasons = [[r.error for r in t.runs if r.error] for t in self._tally.failed]
        faults = [errors for errors in reasons if any(error != _NO_TIME for error in errors)]
        if len(faults) > max(2, self._tally.closed / 2):
            reason = next(error for error in faults[-1] if error != _NO_TIME)
            raise Fault(
                f"{len(faults)} of {self._tally.closed} trials of {self._stage.name} failed; the last reason: {reason}"
            )


def _objective(curve: Curve, of_training: bool) -> Array:
    return curve.training_loss if of_training else curve.validation_metric


def _search_ended(trial: TrialRow) -> bool:
    runs: list[RunRow] = [r for r in trial.runs if r.purpose == "search"]
    return bool(runs) and all(r.finished for r in runs)
