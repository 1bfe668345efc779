"""What `hpo run` tells: plain lines for pipes, a live bar for terminals."""

import io

import pytest

from hpo.cli import progress
from hpo.run.events import Event, Joined, Note, RunsFinished, StageFinished, StageStarted, StudyFinished, TrialFinished
from hpo.values import Verdict

EVENTS: tuple[tuple[Event, str], ...] = (
    (Joined("host-12-abcd", "leader"), "leader host-12-abcd"),
    (StageStarted("data", 1, "Can this data be learned from?", 0), "data: Can this data be learned from?"),
    (StageStarted("tune", 2, "Where?", 12), "tune.2: Where? (12 trials planned)"),
    (StageStarted("tune", 1, "Where?", -1), "tune: Where?"),
    (TrialFinished("tune", 2, 4, 0.98123, 0.985, 5, 12, 71.0, "healthy"),
     "tune.2: 5/12 trial 4, value 0.9812, best 0.985, healthy, 1 min 11 s left"),
    (TrialFinished("overfit", 1, 0, None, None, 1, 0, None, "diverged"),
     "overfit: 1 trial 0, value -, best -, diverged"),
    (RunsFinished("tune", 1, "proof", 3, 8), "tune: 3/8 proof runs"),
    (StageFinished("data", 1, Verdict("go on", "All is well [0.9, 1]."), 0.31),
     "data: done in 0.3 s. All is well [0.9, 1]."),
    (StageFinished("data", 1, Verdict("go on", "All is well."), 0.0, reused=True), "data: already done. All is well."),
    (Note("look number 2"), "look number 2"),
    (StudyFinished("digits", "out/digits", 75.0), "digits: finished in 1 min 15 s. Bundle: out/digits"),
)  # fmt: skip


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_each_event_is_one_plain_line(event: Event, line: str) -> None:
    assert progress.line(event) == line


def test_plain_progress_prints_the_lines_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("digits", live=False) as listener:
        for event, _ in EVENTS:
            listener(event)
    assert capsys.readouterr().out.splitlines() == [line for _, line in EVENTS]


def test_live_progress_keeps_brackets_of_verdicts_and_drops_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    screen = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: screen)
    live = progress.LiveProgress()
    with live:
        for event, _ in EVENTS:
            live(event)
        assert not live._bars.tasks
        live(EVENTS[2][0])
        live(EVENTS[4][0])
        (bar,) = live._bars.tasks
        assert (bar.completed, bar.total) == (5, 12)
        assert (bar.fields["best"], bar.fields["left"]) == ("best 0.985", "1 min 11 s left")
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "All is well [0.9, 1]." in shown
    assert "digits: finished in 1 min 15 s" in shown


def test_long_verdicts_are_wrapped_and_indented_on_pipes_and_terminals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    event = StageFinished("tune", 1, Verdict("go on", "Words upon words. " * 20), 12.0)
    progress.PlainProgress()(event)
    first, *more = capsys.readouterr().out.splitlines()
    assert first.startswith("tune: done in 12 s. Words")
    assert more
    assert all(line.startswith("  Words") or line.startswith("  upon") or line.startswith("  words.") for line in more)
    assert max(map(len, (first, *more))) <= 100

    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: screen)
    progress.LiveProgress()(event)
    shown = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(shown) > 3
    assert all(line.startswith("  ") for line in shown)
