"""The report: one self-contained HTML file about a study."""

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hpo
from hpo.errors import Fault, InputError, Problem
from hpo.numbers import count, duration, interval, moment, number, present
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.reports import pictures
from hpo.reports.frames import Results
from hpo.reports.inspection_view import KEPT, Chosen, Look, chosen_trial, kind_of, looks
from hpo.reports.stage_view import Picture, Row, StageMaterial, StageView, picture, stage_view, words
from hpo.reports.text import MODEL_NAMES, records, score_decimals

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup


@dataclass(frozen=True)
class Headline:
    """One of the figures at the top of the page."""

    name: str
    figure: str
    detail: str


@dataclass(frozen=True)
class ScoreView:
    """One model in the comparison on the test rows."""

    name: str
    score: str
    ours: bool


@dataclass(frozen=True)
class PageView:
    """Everything that the template shows."""

    study: Row
    headlines: tuple[Headline, ...]
    summary: tuple[Row, ...]
    scores: tuple[ScoreView, ...]
    metric: str
    comparison: Picture | None
    outside: str
    """Which models lie outside the comparison's picture."""
    compared: str
    stages: tuple[StageView, ...]
    chosen: Chosen | None
    looks: tuple[Look, ...]


def write_report(storage_url: str, study: str, path: str | Path, artifacts: str | None = None) -> Path:
    """Writes the page about a study to a file and gives its path.

    `artifacts`: where the study's artifacts lie, beside the database unless named. Raises InputError for an unknown
    study and for a path that cannot be written. The file is whole or absent: it is written beside its place and moved
    there.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(Problem(str(path), "", "a file in a folder that exists", f"no folder {path.parent}",
                                 "Make it first, or name another file with --output."))  # fmt: skip
    with connect(storage_url, create=False) as database:
        kept = _kept_pictures(database, study, ArtifactStore(artifacts or default_store(database)))
        html = render(page_view(Results(database), study, kept))
    try:
        _put(html, path)
    except OSError as error:
        raise InputError(Problem(str(path), "", "a file that can be written", error.strerror or "an error",
                                 "Name another with --output.")) from error  # fmt: skip
    return path


def _kept_pictures(database: Database, study: str, store: ArtifactStore) -> dict[str, bytes]:
    """The pictures of `hpo inspect` by subcommand; one that the store lacks can be drawn again, and is no fault."""
    studies = Studies(database)
    study_id, found = studies.get(study).id, {}
    for name in KEPT:
        for ref in studies.artifacts(study_id, kind_of(name))[-1:]:
            with contextlib.suppress(Fault):
                found[name] = store.get(ref)
    return found


def _put(html: str, path: Path) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(html)
        # mkstemp gives the owner alone access; a report is for showing around.
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def render(view: PageView) -> str:
    """The page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hpo.reports", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "duration": duration, "moment": moment, "words": words, "code": code}
    return environment.get_template("page.html.j2").render(page=view, version=hpo.__version__)


def code(text: str) -> "Markup":
    """Names in backticks as code; everything else escaped."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # escaped first


def page_view(results: Results, study: str, kept: Mapping[str, bytes]) -> PageView:
    """What the page shows, from the records and the kept pictures of `hpo inspect`."""
    stages = records(results.stages(study))
    row = next(r for r in records(results.studies()) if r["study"] == study)
    scores = records(results.scores(study))
    tables = {name: _by_stage(getattr(results, name)(study)) for name in
              ("trials", "runs", "curves", "figures", "checks", "params", "importance")}  # fmt: skip
    views = []
    spaces = results.spaces(study)
    for stage in stages:
        of = {name: table.get(stage["stage"], []) for name, table in tables.items()}
        views.append(
            stage_view(
                StageMaterial(stage, of["trials"], of["runs"], of["curves"], of["figures"], of["checks"], of["params"],
                              of["importance"], spaces.get(stage["stage"]), number(row["metric"]))
            )
        )  # fmt: skip
    searching = {s["stage"] for s in stages if present(s["optuna_study"])}
    new = sum(t["origin"] != "carried" for stage in searching for t in tables["trials"].get(stage, []))
    chosen = chosen_trial(results, study, stages, tables["trials"])
    compared, outside = _comparison(scores, str(row["direction"]))
    return PageView(
        study=row,
        headlines=_headlines(row, stages, scores, new),
        summary=tuple(stages),
        scores=tuple(_score_views(scores)),
        metric=number(scores[0]["metric"]) if scores else number(row["metric"]),
        comparison=compared,
        outside=outside,
        compared=_compared(scores, row),
        stages=tuple(views),
        chosen=chosen,
        looks=looks(results, row, chosen, kept),
    )


def _by_stage(frame: "pd.DataFrame") -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in records(frame):
        found.setdefault(row["stage"], []).append(row)
    return found


def _headlines(study: Row, stages: list[Row], scores: list[Row], trials: int) -> tuple[Headline, ...]:
    by_model = {s["model"]: s for s in scores}
    found = []
    if (final := by_model.get("final")) is not None:
        found.append(_score_headline("final model", final))
        rivals = [s for s in scores if s["model"] not in ("final", "prior") and present(s["value"])]
        if rivals:
            rival = _ranked(rivals, str(study["direction"]))[0]
            found.append(_score_headline(f"best baseline: {_named(rival)}", rival))
    found.append(Headline("searched", count(trials, "trial"), f"in {count(len(stages), 'stage')}"))
    seconds = sum(float(s["seconds"]) for s in stages if present(s["seconds"]))
    found.append(Headline("time", duration(seconds), "all stages together"))
    return tuple(found)


def _score_headline(name: str, score: Row) -> Headline:
    value, _, bounds = interval(score["value"], score["low"], score["high"]).partition(" ")
    # An interval is one word: it is not to be broken over two lines.
    return Headline(name, value, f"test {score['metric']} {bounds.replace(' ', chr(0xA0))}")


def _named(score: Row) -> str:
    return MODEL_NAMES.get(score["model"], str(score["model"]))


def _ranked(scores: list[Row], direction: str) -> list[Row]:
    """Best first; a score that is missing last."""
    sign = -1 if direction == "maximize" else 1
    there = [s for s in scores if present(s["value"])]
    return sorted(there, key=lambda s: sign * float(s["value"])) + [s for s in scores if not present(s["value"])]


def _score_views(scores: list[Row]) -> list[ScoreView]:
    decimals = score_decimals(scores)
    return [
        ScoreView(_named(s), interval(s["value"], s["low"], s["high"], decimals), s["model"] == "final") for s in scores
    ]


def _comparison(scores: list[Row], direction: str) -> tuple[Picture | None, str]:
    """The picture, without a prior that would squeeze all the others into a corner; that is then said in words."""
    drawn = [s for s in _ranked(scores, direction) if all(present(s[k]) for k in ("value", "low", "high"))]
    others = [s for s in drawn if s["model"] != "prior"]
    outside = ""
    if len(others) >= 2 and len(others) < len(drawn):
        low, high = min(s["low"] for s in others), max(s["high"] for s in others)
        prior = next(s for s in drawn if s["model"] == "prior")
        if max(low - prior["value"], prior["value"] - high) > 2 * (high - low):
            drawn = others
            outside = f"The prior, at {number(prior['value'], 3)}, lies outside the picture."
    if not drawn:
        return None, ""
    bars = [
        pictures.Bar(_named(s), float(s["value"]), float(s["low"]), float(s["high"]),
                     s["model"] == "final")
        for s in drawn
    ]  # fmt: skip
    svg = pictures.comparison(bars, str(drawn[0]["metric"]))
    return picture(svg, "Test scores of the models with their intervals"), outside


def _compared(scores: list[Row], study: Row) -> str:
    if not scores:
        return "The test set has not been opened yet: that is the last stage's part."
    rows, look = int(scores[0]["rows"]), int(scores[0]["look"])
    told = f"All models were frozen, then scored in one opening of the {rows} test rows; intervals are 95 % bootstrap. "
    better = "more" if study["direction"] == "maximize" else "less"
    told += f"For {scores[0]['metric']}, {better} is better."
    if look > 1:
        told += f" This was look number {look} at the test rows of this data, so the scores flatter a little."
    return told
