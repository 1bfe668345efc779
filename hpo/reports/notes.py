"""What stands in the notes of the Optuna dashboard: the verdict of each stage, as Markdown."""

from typing import TYPE_CHECKING, Any

from hpo.numbers import interval, number, present
from hpo.reports.text import MODEL_NAMES, records

if TYPE_CHECKING:
    from hpo.reports.frames import Results


def notes(results: "Results") -> dict[str, str]:
    """Markdown by the name of the Optuna study, for every stage of every study that searches."""
    found = {}
    for study in results.studies()["study"]:
        stages = records(results.stages(study))
        scores = records(results.scores(study))
        for stage in stages:
            if present(stage["optuna_study"]):
                found[str(stage["optuna_study"])] = note(stage, stages, scores)
    return found


def note(stage: dict[str, Any], stages: list[dict[str, Any]], scores: list[dict[str, Any]]) -> str:
    """One stage's verdict, then the way of the whole study, then the scores on the test rows once there are any."""
    given = present(stage["verdict"])
    lines = [f"## Verdict of {stage['stage']}: {stage['decision']}" if given else f"## {stage['stage']}: under way", ""]
    lines += [str(stage["verdict"]), ""] if given else []
    if present(stage["chosen_trial"]):
        chosen = f"Chosen: trial {stage['chosen_trial']} ({number(stage['chosen_value'])})."
        best = f"Optuna's best: trial {number(stage['best_trial'])} ({number(stage['best_value'])})."
        lines += [f"{chosen} {best}", ""]
    lines += ["| stage | trials | best | decision |", "|---|--:|--:|---|"]
    for s in stages:
        lines.append(f"| {s['stage']} | {number(s['trials'])} | {number(s['best_value'])} | {number(s['decision'])} |")
    if scores:
        lines += ["", "| model | test score |", "|---|---|"]
    for s in scores:
        score = f"{s['metric']} {interval(s['value'], s['low'], s['high'])}"
        lines.append(f"| {MODEL_NAMES.get(s['model'], s['model'])} | {score} |")
    return "\n".join(lines) + "\n"
