"""Shows what a running study tells: a live bar on a terminal, plain lines elsewhere, JSON where it is asked for."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import click

from hpo.cli.jsonlog import JsonLog
from hpo.numbers import duration, number
from hpo.reports.text import wrapped
from hpo.run.events import Event, Joined, Note, RunsFinished, StageFinished, StageStarted, StudyFinished, TrialFinished

if TYPE_CHECKING:
    from rich.progress import Progress


class Listener(Protocol):
    """Takes events while it is entered; leaving it puts the terminal back in order, also after Ctrl-C."""

    def __call__(self, event: Event) -> None: ...

    def __enter__(self) -> "Listener": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def progress(study: str, *, live: bool, form: str = "text") -> Listener:
    """A listener for `hpo.run.launch` and `work`. `live`: the output is a terminal; `form`: `text` or `json`."""
    if form == "json":
        return JsonLog(study)
    return LiveProgress() if live else PlainProgress()


def label(stage: str, attempt: int) -> str:
    """`overfit`, `overfit.2`: as Optuna studies are named."""
    return stage if attempt == 1 else f"{stage}.{attempt}"


def line(event: Event) -> str:
    """One plain line that says what happened."""
    match event:
        case Joined(worker_id, kind):
            return f"{kind} {worker_id}"
        case StageStarted(stage, attempt, question, trials):
            planned = f" ({trials} trials planned)" if trials > 0 else ""
            return f"{label(stage, attempt)}: {question}{planned}"
        case TrialFinished():
            done = f"{event.done}/{event.planned}" if event.planned > 0 else str(event.done)
            parts = [f"value {number(event.value)}", f"best {number(event.best)}"]
            parts += [event.diagnosis] if event.diagnosis else []
            parts += [f"{duration(event.seconds_left)} left"] if event.seconds_left is not None else []
            return f"{label(event.stage, event.attempt)}: {done} trial {event.number}, {', '.join(parts)}"
        case RunsFinished(stage, attempt, purpose, done_runs, planned_runs):
            return f"{label(stage, attempt)}: {done_runs}/{planned_runs} {purpose} runs"
        case StageFinished():
            how = "already done" if event.reused else f"done in {duration(event.seconds)}"
            return f"{label(event.stage, event.attempt)}: {how}. {event.verdict.sentence}"
        case Note(text):
            return text
        case StudyFinished():
            return f"{event.name}: finished in {duration(event.seconds)}. Bundle: {event.bundle}"


class PlainProgress:
    """One line an event, for logs and pipes; verdicts and notes are wrapped, with their further lines indented."""

    def __call__(self, event: Event) -> None:
        text = line(event)
        click.echo(wrapped(text, rest="  ") if isinstance(event, StageFinished | Note) else text)

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return


class LiveProgress:
    """A bar for the stage under way (trials done, best so far, time left), with finished stages above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._bars = _bars(self._console)
        self._task: Any = None

    def __enter__(self) -> "LiveProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Joined():
                self._say((line(event), "dim"))
            case StageStarted(stage, attempt, question, trials):
                self._drop()
                self._say((label(stage, attempt), "bold"), (f" {question}", "dim"))
                self._task = self._bars.add_task(label(stage, attempt), total=None, count="", best="", left="")
                if trials > 0:
                    self._show(0, trials)
            case TrialFinished():
                left = "" if event.seconds_left is None else f"{duration(event.seconds_left)} left"
                self._show(event.done, event.planned, best=f"best {number(event.best)}", left=left)
            case RunsFinished(_, _, purpose, done, planned):
                self._show(done, planned, left=f"{purpose} runs")
            case StageFinished():
                self._drop()
                how = "already done" if event.reused else duration(event.seconds)
                if event.reused:  # nothing said that it began
                    self._say((label(event.stage, event.attempt), "bold"))
                self._say((event.verdict.sentence, ""), (f" ({how})", "dim"), indent=2)
            case Note(text):
                self._say((text, "yellow"))
            case StudyFinished():
                self._drop()
                self._say((line(event), "bold"))

    def _say(self, *parts: tuple[str, str], indent: int = 0) -> None:
        """Text with styles. Built from parts, since brackets in a verdict (intervals) would be read as markup."""
        from rich.padding import Padding
        from rich.text import Text

        self._console.print(Padding(Text.assemble(*parts), (0, 0, 0, indent), expand=False))

    def _show(self, done: int, planned: int, **fields: Any) -> None:
        if self._task is not None:
            total = planned if planned > 0 else None
            count = f"{done}/{planned}" if planned > 0 else str(done)
            self._bars.update(self._task, completed=done, total=total, count=count, **fields)

    def _drop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def _bars(console: Any) -> "Progress":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[best]}"), TextColumn("[dim]{task.fields[left]}"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
