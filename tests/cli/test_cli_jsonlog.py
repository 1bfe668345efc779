"""What `--log-format json` writes: one object a line, the fields of each event, nothing that is no JSON."""

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hpo.cli.main import main
from hpo.cli.progress import progress
from hpo.run.events import Event, Joined, Note, StageFinished, StageStarted, StudyFinished, TrialFinished
from hpo.values import Verdict

VERDICT = Verdict("go on", "Ü [1, 2].", {"noise": math.nan}, {"units": np.int64(8), "ranges": (0.5, np.inf)})
EVENTS: tuple[Event, ...] = (
    Note("first"),
    Joined("host-12-abcd", "leader"),
    StageStarted("tune", 2, "Where?", 12),
    TrialFinished("tune", 2, 4, math.inf, 0.985, 5, 12, None, "healthy"),
    StageFinished("tune", 2, VERDICT, 0.25),
    StudyFinished("digits", "out", 75.0),
)


def strict(line: str) -> dict[str, object]:
    """A line as JSON without the words that only Python knows."""

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is no JSON")

    found = json.loads(line, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def test_each_event_is_one_object_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("digits", live=True, form="json") as listener:
        for event in EVENTS:
            listener(event)
    lines = [strict(line) for line in capsys.readouterr().out.splitlines()]
    times = [datetime.fromisoformat(str(line.pop("time"))) for line in lines]
    assert times == sorted(times)
    assert datetime.now(UTC) - times[0] < timedelta(minutes=5), "with its time zone"
    known = {"study": "digits", "worker_id": "host-12-abcd"}
    tune = {**known, "stage": "tune", "attempt": 2}
    assert lines == [
        {"event": "note", "study": "digits", "text": "first"},
        {"event": "joined", **known, "kind": "leader"},
        {"event": "stage_started", **tune, "question": "Where?", "trials": 12},
        {"event": "trial_finished", **tune, "number": 4, "value": None, "best": 0.985, "done": 5, "planned": 12,
         "seconds_left": None, "diagnosis": "healthy"},
        {"event": "stage_finished", **tune, "seconds": 0.25, "reused": False,
         "verdict": {"decision": "go on", "sentence": "Ü [1, 2].", "figures": {"noise": None},
                     "hands_on": {"units": 8, "ranges": [0.5, None]}}},
        {"event": "study_finished", **known, "name": "digits", "bundle": "out", "seconds": 75.0},
    ]  # fmt: skip


def test_a_finished_study_is_said_to_be_so_in_json_too(study_url: str) -> None:
    result = CliRunner().invoke(main, ["resume", "digits", "--storage", study_url, "--log-format", "json"])
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    assert (strict(line)["event"], strict(line)["text"]) == ("note", "study digits is finished already")


@pytest.mark.slow
def test_a_whole_run_writes_json_and_nothing_else(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hpo", "run", "wine", "--trials", "6", "--epochs", "2", "--log-format", "json"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [strict(line) for line in done.stdout.splitlines()]
    events = [line["event"] for line in lines]
    joined = events.index("joined")
    assert set(events[:joined]) <= {"note"}, "what the study file is warned of"
    assert events[-1] == "study_finished"
    assert events.count("stage_finished") >= 6
    assert {"trial_finished", "runs_finished", "stage_started"} <= set(events)
    assert len({line["worker_id"] for line in lines[joined:]}) == 1
