"""The two trials of a searching stage that people ask for: Optuna's best one, and the one that the verdict hands on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.numbers import number, present
from hpo.reports.text import TextTable, records

if TYPE_CHECKING:
    from hpo.reports.frames import Results


@dataclass(frozen=True)
class Pick:
    """A trial that stands out in its stage."""

    stage: str
    which: str
    """`best_trial`, `chosen`, or `best_trial, chosen` where they are one."""
    trial: int
    value: float | None
    varied: dict[str, Any]
    """The hyperparameters that the stage's search chose, with all digits: Optuna's `params` of the trial."""


def picks(results: "Results", study: str) -> list[Pick]:
    """For each stage with a best trial: that one, then the chosen one where it is another."""
    params: dict[tuple[str, int], dict[str, Any]] = {}
    for row in records(results.params(study)):
        if row["varied"]:
            params.setdefault((row["stage"], row["trial"]), {})[row["name"]] = row["value"]
    found = []
    for row in records(results.stages(study)):
        asked = (
            ("best_trial", row["best_trial"], row["best_value"]),
            ("chosen", row["chosen_trial"], row["chosen_value"]),
        )
        there = [(which, int(trial), value) for which, trial, value in asked if present(trial)]
        if len(there) == 2 and there[0][1] == there[1][1]:
            there = [("best_trial, chosen", *there[0][1:])]
        for which, trial, value in there:
            exact = float(value) if present(value) else None
            found.append(Pick(row["stage"], which, trial, exact, params.get((row["stage"], trial), {})))
    return found


def picks_table(results: "Results", study: str) -> TextTable:
    """One row a pick, with what its search chose."""
    rows = tuple(
        (p.stage, p.which, str(p.trial), number(p.value), ", ".join(f"{k}={number(v)}" for k, v in p.varied.items()))
        for p in picks(results, study)
    )
    return TextTable("best and chosen trials", ("stage", "which", "trial", "value", "searched values"), rows,
                     frozenset(("trial", "value")))  # fmt: skip
