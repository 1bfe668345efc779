"""What only shows when several keys of a study are seen together: contradictions, and words of caution."""

import math
from collections.abc import Collection
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from hpo.metrics import METRICS
from hpo.space import FloatRange, SearchSpace
from hpo.studyfile.guidance import advice
from hpo.studyfile.reading import Report, is_code, shown
from hpo.studyfile.spec import BudgetSpec, DataSpec, StudySpec
from hpo.values import Task

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_WIDE = 100.0
_DECADES = ("learning_rate", "l1", "l2", "weight_decay", "epsilon")


def is_table(source: str) -> bool:
    """Whether a source is a file of rows and columns, whose target must be named: neither arrays nor code."""
    if source.startswith("sklearn:") or is_code(source):
        return False
    path = PurePosixPath(urlsplit(source).path)
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    return path.suffix != ".npz"


def _names_its_columns(source: str) -> bool:
    """scikit-learn's sets, and functions that return a data frame, have columns to name."""
    return source.startswith("sklearn:") or is_code(source)


def check_study(
    report: Report, data: DataSpec, metric: str | None, budget: BudgetSpec, space: SearchSpace | None,
    stated: Collection[str],
) -> None:  # fmt: skip
    """Note contradictions between keys; `stated`: the dotted keys that the file or the command line gives."""
    if metric and data.task and data.task not in METRICS[metric].tasks:
        _contradiction(report, metric, data.task, stated)
    if data.source:
        _check_table(report, data, stated)
    if "data.test_source" not in stated and data.valid + data.test >= 1:
        key = "data.test" if "data.test" in stated else "data.valid"
        got = f"{data.valid:g} and {data.test:g}"
        report.add(key, "valid and test below 1 together", got, "Leave rows to train on: 0.2 and 0.2 are usual.")
    if data.folds and data.rows and data.folds > data.rows:
        report.add("data.folds", f"no more folds than the {data.rows} rows", str(data.folds), "Use fewer folds.")
    if space and space.model == "cnn" and data.source and (is_table(data.source) or data.source.startswith("sklearn:")):
        remedy = 'Use space = "mlp" for rows of columns; cnn takes images, from npz files or a function.'
        report.add("space", "a model for rows of columns", "cnn", remedy)


def _contradiction(report: Report, metric: str, task: Task, stated: Collection[str]) -> None:
    suited = ", ".join(m.name for m in METRICS.values() if task in m.tasks)
    key = "objective.metric" if "objective.metric" in stated else "data.task"
    report.add(key, f"a metric for the task {task.value}", shown(metric), f"Use {suited}, or change data.task.")


def _check_table(report: Report, data: DataSpec, stated: Collection[str]) -> None:
    """A table needs a target, by position where there are no names."""
    if is_table(data.source) and data.target is None and "data.target" not in stated:
        remedy = 'Write target = "column", or its position: -1 is the last.'
        report.add("data.target", "the column to predict", "nothing", remedy)
    if not data.header and isinstance(data.target, str):
        remedy = "Write its position: 0 is the first column, -1 the last."
        report.add("data.target", "a position, as there is no header", shown(data.target), remedy)
    if isinstance(data.target, str) and data.target in data.drop:
        report.add("data.drop", "columns other than the target", shown(data.target), "Keep the target.")


def cautions(spec: StudySpec, stated: Collection[str]) -> tuple[str, ...]:
    """What practitioners would frown at, though it can be run: each a sentence that begins with its key."""
    return (*_data_cautions(spec.data, stated), *_budget_cautions(spec), *_space_cautions(spec))


def _data_cautions(data: DataSpec, stated: Collection[str]) -> list[str]:
    found = []
    if data.test_source and "data.test" in stated:
        found.append("data.test: has no effect beside test_source, which holds the test rows.")
    if data.folds and data.folds > 1 and "data.valid" in stated:
        found.append(f"data.valid: has no effect beside {data.folds} folds, each of which validates in turn.")
    if not data.test_source and data.valid + data.test > 0.6:
        found.append(f"data.test: only {1 - data.valid - data.test:.0%} of the rows are left to train on.")
    if data.target is not None and not is_table(data.source) and not _names_its_columns(data.source):
        found.append("data.target: has no effect, because the npz file says itself what to predict.")
    return found


def _budget_cautions(spec: StudySpec) -> list[str]:
    found, trials, space = [], spec.budget.trials, spec.space
    if spec.search.sampler == "gp" and (trials is None or trials > 200):
        found.append("search.sampler: gp takes half a second a trial and more as trials add up; tpe is quicker.")
    batches = [key for key in ("batch", "structures") if getattr(spec.search, key) is not None]
    if spec.search.halving:
        found += [f"search.{key}: has no effect beside halving, which fills slots one by one." for key in batches]
    if trials is not None and trials < 15:
        found.append(f"budget.trials: {trials} trials leave a searching stage fewer than six; ranges are hardly seen.")
    stopping = space["early_stopping"].range if "early_stopping" in space else None
    least = getattr(stopping, "low", None) or getattr(stopping, "value", 0)
    if isinstance(least, int) and least >= spec.budget.epochs:
        found.append(f"regularization.early_stopping: never acts within {spec.budget.epochs} epochs.")
    return found


def _space_cautions(spec: StudySpec) -> list[str]:
    found = list(advice(spec.space, spec.data.task))
    for h in spec.space.varying:
        if not isinstance(h.range, FloatRange):
            continue
        key = f"{h.section}.{h.name}"
        wide = h.range.low > 0 and h.range.high / h.range.low >= _WIDE
        if h.name in _DECADES and not h.range.log and (wide or h.range.low == 0):
            found.append(f"{key}: spans decades but is not log = true, so small values are hardly tried.")
        if h.name == "learning_rate" and h.range.high > 10:
            found.append(f"{key}: above 10 nearly every run diverges.")
        if h.name == "learning_rate" and math.isclose(h.range.low, h.range.high, rel_tol=0.5):
            found.append(f"{key}: is narrower than a factor of two; the optimum may lie outside.")
        if h.name == "dropout" and h.range.high > 0.8:
            found.append(f"{key}: above 0.8 hardly a unit is left to learn.")
    return found
