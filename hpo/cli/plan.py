"""Prints what `hpo check` found."""

import textwrap

import click

from hpo.cli.show import show_lines, show_table
from hpo.commands.check import Checked
from hpo.hiding import hidden
from hpo.numbers import count, duration
from hpo.recipe.stages import StagePlan
from hpo.reports.text import TextTable
from hpo.values import Status


def show(found: Checked) -> None:
    """The data, its checks, the plan, the warnings and the estimate of time."""
    spec = found.spec
    click.echo(
        f"study {spec.name}: {hidden(spec.data.source)}, {found.metric or 'metric by task'}, {spec.space.model}\n"
    )
    show_lines("data", list(found.seen))
    rows = tuple((c.name, str(c.status), c.seen) for c in found.checks)
    show_table(TextTable("checks of the data", ("check", "status", "seen"), rows))
    show_lines("notes on the data", [f"{c.name}: {c.sentence}" for c in found.checks if c.status is not Status.PASSED])
    show_table(plan_table(found.plan, found.metric))
    show_lines("what varies", [f"{stage.stage}: {', '.join(stage.varies)}" for stage in found.plan if stage.varies])
    show_lines("warnings", list(spec.warnings))
    click.echo(textwrap.fill(budget(found), 100))


def plan_table(plan: tuple[StagePlan, ...], metric: str | None = None) -> TextTable:
    """One row a stage; `metric` where it is known."""
    rows = tuple(
        (p.stage, p.question, p.objective.replace("metric", metric or "metric"),
         "by time" if p.trials < 0 else str(p.trials), str(p.runs))
        for p in plan
    )  # fmt: skip
    return TextTable("plan", ("stage", "question", "objective", "trials", "runs"), rows, frozenset(("trials", "runs")))


def budget(found: Checked) -> str:
    """The budget and the estimate of time in one sentence."""
    b = found.spec.budget
    parts = [count(b.trials, "trial")] if b.trials is not None else []
    parts += [f"{duration(b.seconds)} of search"] if b.seconds is not None else []
    text = f"budget: {' or '.join(parts)}, at most {count(b.epochs, 'epoch')} a run. "
    if found.seconds is None:
        return text + "The time cannot be estimated without the data."
    return f"{text}Estimated time on one worker: about {_rough(found.seconds)}, a guess made without training."


def _rough(seconds: float) -> str:
    """To ten seconds, to minutes, to quarters of an hour: a guess has no more digits."""
    step = 10 if seconds < 60 else 60 if seconds < 3600 else 900
    return duration(max(step, step * round(seconds / step))).replace(" 00 s", "")
