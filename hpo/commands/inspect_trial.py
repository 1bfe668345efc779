"""`hpo inspect trial`: what the records hold of one trial: configuration, curve, layers, diagnosis."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.commands.inspect_files import output_folder, write_files
from hpo.errors import InputError, Problem
from hpo.numbers import present

if TYPE_CHECKING:
    import pandas as pd

    from hpo.reports.frames import Results


@dataclass(frozen=True, eq=False)
class TrialSeen:
    """A trial with one of its runs: the one with the worst validation loss, which its diagnosis was read from."""

    stage: str
    number: int
    run: int
    """Key of that run in the database."""
    state: str
    value: float | None
    """Of the stage's objective."""
    diagnosis: str | None
    sentence: str | None
    varied: Mapping[str, Any]
    """The hyperparameters that the stage's search chose."""
    curve: "pd.DataFrame"
    """One row an epoch."""
    health: "pd.DataFrame"
    """One row a layer and epoch looked at; empty where the network's layers cannot be read."""


def trial(found: "Results", study: str, number: int, *, stage: str | None = None) -> TrialSeen:
    """The trial of that number in a stage; without one, in the last stage that has it and searched.

    Raises InputError where there is none.
    """
    from hpo.reports.inspection_view import worst_run

    trials = found.trials(study)
    of_number = trials[(trials["number"] == number) & (trials["runs"] > 0)]
    rows = of_number if stage is None else of_number[of_number["stage"] == stage]
    if rows.empty:
        there = ", ".join(
            f"{name} 0 to {part['number'].max()}"
            for name, part in trials[trials["runs"] > 0].groupby("stage", sort=False)
        )
        where = f"of stage {stage} " if stage is not None else ""
        raise InputError(
            Problem("command line", "N", f"the number of a trial {where}of {study}", str(number),
                    f"Trials with trainings: {there or 'none yet'}.")
        )  # fmt: skip
    searched = rows[rows["origin"].isin(("sampler", "default", "handed_on", "remedy"))]
    row = (rows if searched.empty else searched).iloc[-1]

    def of_trial(frame: "pd.DataFrame") -> "pd.DataFrame":
        part: pd.DataFrame = frame[(frame["stage"] == row["stage"]) & (frame["trial"] == number)]
        return part

    run, curve, health = worst_run(found, study, str(row["stage"]), number)
    params = of_trial(found.params(study))
    value, diagnosis, sentence = (
        row[name] if present(row[name]) else None for name in ("value", "diagnosis", "diagnosis_sentence")
    )
    chosen = params[params["varied"]]
    return TrialSeen(
        str(row["stage"]), number, run, str(row["state"]), value, diagnosis, sentence,
        dict(zip(chosen["name"], chosen["value"], strict=True)), curve, health,
    )  # fmt: skip


def write(seen: TrialSeen, study: str, output: str) -> list[Path]:
    """The curve and the layers as CSV, and a picture of both, in a folder."""
    folder = output_folder(output)
    from hpo.reports.inspection import trial_picture

    tables = {"curve.csv": seen.curve, "layers.csv": seen.health}
    picture = trial_picture(seen.curve, seen.health, f"{study}, {seen.stage}, trial {seen.number}: {seen.diagnosis}")
    contents = {name: frame.to_csv(index=False, lineterminator="\n").encode() for name, frame in tables.items()}
    return write_files(folder, {**contents, "trial.png": picture})
