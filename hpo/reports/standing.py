"""How a study stands, in words and small tables: what `hpo status` shows. Loads no pandas."""

from collections.abc import Iterator
from typing import Any

from hpo.numbers import MISSING, count, duration, number
from hpo.records.rows import RunState
from hpo.records.standing import RECENT, StageStanding, Standing
from hpo.reports.text import TextTable, stage_rows

_RUN_STATES: tuple[RunState, ...] = ("queued", "running", "done", "stopped", "dropped", "diverged", "failed")
_WORKERS = ("worker", "kind", "state", "runs", "lease", "done", "MiB", "renewals", "seen", "device")
_NUMBERS = frozenset(("runs", "lease", "done", "MiB", "renewals", "seen"))


def lines(now: Standing) -> list[str]:
    """The study, the stage under way with its pace, and the leader: a line each."""
    renewed = f", {count(now.renewals, 'renewal')} so far" if now.renewals else ""
    told = [f"study {now.study}: {now.state}, {count(len(now.workers), 'worker')} at work{renewed}"]
    if (stage := now.stage) is not None:
        told.append(f"stage {stage.stage}: {_how_far(stage)}")
        if stage.planned:
            told.append(f"last {RECENT:.0f} s: {count(stage.recent, 'trial')} ended{_left(stage)}")
    if not now.over:
        told.append(f"leader: {_leader(now)}")
    return told


def line(now: Standing) -> str:
    """The same on one line, for logs."""
    parts = [f"{now.at:%H:%M:%S} {now.study}: {now.state}"]
    if (stage := now.stage) is not None:
        parts.append(f"{stage.stage} {_how_far(stage)}")
        parts += [f"{stage.recent} in the last {RECENT:.0f} s{_left(stage)}"] if stage.planned else []
    return "; ".join((*parts, f"{count(len(now.workers), 'worker')} at work"))


def tables(now: Standing) -> Iterator[TextTable]:
    """Stages, runs by stage and state, workers; those without a row too."""
    yield stage_rows(now.study, now.metric or "metric", map(_stage, now.stages))
    states = [state for state in _RUN_STATES if any(state in s.runs for s in now.stages)]
    # A run that early stopping ended is as good as any other: `stopped` alone sounds like a mishap.
    columns = tuple("stopped early" if state == "stopped" else state for state in states)
    rows = tuple((s.stage, *(number(s.runs.get(state)) for state in states)) for s in now.stages if s.runs)
    yield TextTable("runs", ("stage", *columns), rows, frozenset(columns))
    workers = tuple(
        (w.worker_id, w.kind, w.state, number(w.held), duration(w.lease), number(w.handed_in), _mebibytes(w.memory),
         number(w.renewals), duration(w.seen), w.device or MISSING)
        for w in now.workers
    )  # fmt: skip
    yield TextTable("workers at work", _WORKERS, workers, _NUMBERS)


def _how_far(stage: StageStanding) -> str:
    parts = []
    if stage.planned or stage.best is not None:
        parts.append(f"{stage.done}/{stage.planned} trials" if stage.planned else count(stage.done, "trial"))
    if stage.best is not None:
        parts.append(f"best {number(stage.best[1])} ({stage.objective}, {stage.direction})")
    training = count(stage.runs.get("running", 0), "run")
    return ", ".join((*parts, f"{training} in training, {stage.runs.get('queued', 0)} queued"))


def _left(stage: StageStanding) -> str:
    return "" if stage.seconds_left is None else f", at that pace {duration(stage.seconds_left)} left in this stage"


def _leader(now: Standing) -> str:
    if now.leader is None:
        return "none"
    lease = now.leader.lease
    held = f"lease ends in {duration(lease)}" if lease >= 0 else f"its lease ended {duration(-lease)} ago"
    return f"{now.leader.worker_id} on {now.leader.host}, {held}"


def _stage(stage: StageStanding) -> dict[str, Any]:
    """A row as `Results.stages` has it."""
    (best, best_value), (chosen, chosen_value) = stage.best or (None, None), stage.chosen or (None, None)
    return {
        "stage": stage.stage, "trials": stage.trials, "objective": stage.objective, "best_trial": best,
        "best_value": best_value, "chosen_trial": chosen, "chosen_value": chosen_value, "seconds": stage.seconds,
        "decision": stage.decision, "state": stage.state,
    }  # fmt: skip


def _mebibytes(memory: int | None) -> str:
    return MISSING if memory is None else f"{memory / 2**20:,.0f}"
