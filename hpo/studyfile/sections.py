"""The sections of a study file: which keys there are, what each may hold, and what to do otherwise."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from hpo.metrics import METRICS
from hpo.studyfile.reading import (
    Report,
    Rule,
    flag,
    integer,
    is_whole,
    number,
    one_of,
    shown,
    suggestion,
    texts,
)
from hpo.studyfile.spec import BudgetSpec, DataSpec
from hpo.values import Task

S = TypeVar("S")

SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""What `sklearn:` may be followed by: the sets that scikit-learn carries within itself."""

SAMPLERS = ("auto", "tpe", "random", "qmc", "cmaes", "gp")


def _source(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    kind, _, rest = value.partition(":")
    if kind == "sklearn" and rest not in SKLEARN:
        raise ValueError(suggestion(rest, SKLEARN, f"Write sklearn: and one of {', '.join(SKLEARN)}."))
    if kind == "data-dir" and not rest.strip("/ "):
        raise ValueError("Write the file's path in the data folder after data-dir:.")
    return value


def _target(value: Any) -> str | int:
    if isinstance(value, str) and value:
        return value
    if is_whole(value):
        return int(value)
    raise ValueError


_SOURCE_REMEDY = 'Write source = "data.csv", a URL, "sklearn:digits" or "module:function".'
_SHARE = "Write a share such as 0.2."

DATA: dict[str, Rule] = {
    "source": Rule("where the data comes from", _source, _SOURCE_REMEDY),
    "target": Rule("a column's name or its position", _target, "Write the name in quotes, or a number such as -1."),
    "task": one_of(*(task.value for task in Task)),
    "header": flag("Write header = false where the first line is data already."),
    "test_source": Rule("where the test rows come from", _source, _SOURCE_REMEDY),
    "scale": one_of("standard", "minmax", "robust", "none"),
    "valid": number(0, 1, _SHARE),
    "test": number(0, 1, _SHARE),
    "folds": integer(1, 50, "Write 1 for a single split, 3 or more for cross-validation, or leave folds out."),
    "rows": integer(10, remedy="Write how many rows to use, or leave rows out to use all."),
    "drop": texts('Write drop = ["column", "another"].'),
    "missing": texts('Write missing = ["", "?"].'),
}
BUDGET: dict[str, Rule] = {
    "trials": integer(
        3, remedy="Give at least one trial to each of the three searching stages: overfit, regularize, tune."
    ),
    "seconds": number(0, remedy="Write how long to search in seconds, or leave seconds out."),
    "epochs": integer(1, 100_000, "Write how many epochs to train each run, e.g. 15."),
}
SEARCH: dict[str, Rule] = {
    "sampler": one_of(*SAMPLERS),
    "halving": flag("Write halving = true or halving = false."),
    "factor": integer(2, 100, "Write of how many runs one goes on at a rung, e.g. 3."),
    "first_rung": integer(1, remedy="Write the epoch before which no run is compared, e.g. 2."),
    "portfolio": flag("Write portfolio = true or portfolio = false."),
    "batch": integer(1, 1024, "Write how many configurations to propose together, e.g. 4, or leave it out."),
    "structures": integer(1, 1024, "Write how many structures a batch may open, e.g. 2, or leave it out."),
    "plateau": integer(1, remedy="Write after how many trials without a better one a stage ends, or leave it out."),
}
TRAINING: dict[str, Rule] = {
    "engine": one_of("auto", "compiled", "fit"),
    "precision": one_of("float32", "mixed"),
    "memory": integer(1, remedy="Write how many MiB a process that trains may grow to, e.g. 4096, or leave it out."),
}
RECIPE: dict[str, Rule] = {
    "gate": number(0, 1, "Write a share of the prior's training loss, e.g. 0.02."),
    "seeds": integer(5, 1000, "The noise needs five seeds or more."),
    "proof_seeds": integer(2, 1000, "A comparison in pairs needs two seeds or more."),
    "level": number(0, 0.5, "Write the chance of calling equal contenders a gain, e.g. 0.05."),
    "ensemble": integer(1, 100, "Write the most members of the final ensemble; 1 for none."),
    "attempts": integer(0, 2, "Write how often more capacity may be tried: 0, 1 or 2."),
}
OBJECTIVE: dict[str, Rule] = {"metric": one_of(*METRICS)}

_SECTIONS: dict[str, dict[str, Rule]] = {
    "data": DATA, "objective": OBJECTIVE, "budget": BUDGET, "search": SEARCH, "training": TRAINING, "recipe": RECIPE,
}  # fmt: skip
TOP = ("name", "space", "seed")
KEYS = (*TOP, *_SECTIONS)


def stated_keys(report: Report, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sections of a study file as tables; unknown sections and keys are noted, absent sections empty."""
    found: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    homes = {key: section for section, rules in _SECTIONS.items() for key in rules}
    for key, value in document.items():
        if key in _SECTIONS:
            if not isinstance(value, dict):
                report.add(key, "a section", shown(value), f"Write [{key}] and its keys below.")
                continue
            found[key] = value
            for inner in value:
                if inner not in _SECTIONS[key]:
                    report.unknown(f"{key}.{inner}", list(_SECTIONS[key]), key)
        elif key in homes and not isinstance(value, dict):
            report.add(key, f"it in [{homes[key]}]", "it at the top of the file", f"Move it below [{homes[key]}].")
        elif key not in TOP:
            report.unknown(key, KEYS)
    return found


def read_data(report: Report, table: Mapping[str, Any]) -> DataSpec:
    """`[data]`."""
    if "source" not in table:
        report.add("data.source", DATA["source"].expected, "nothing", _SOURCE_REMEDY)
    values = _values(report, "data", table, DATA, DataSpec)
    task = values.pop("task")
    return DataSpec(task=Task(task) if task else None, **values)


def read_budget(report: Report, table: Mapping[str, Any]) -> BudgetSpec:
    """`[budget]`; seconds alone mean no bound on trials."""
    values = _values(report, "budget", table, BUDGET, BudgetSpec)
    if "seconds" in table and "trials" not in table:
        values["trials"] = None
    return BudgetSpec(**values)


def read_section(report: Report, section: str, table: Mapping[str, Any], into: type[S]) -> S:
    """A section whose keys are read one by one: `search`, `training`, `recipe`."""
    return into(**_values(report, section, table, _SECTIONS[section], into))


def read_top(
    report: Report, document: Mapping[str, Any], objective: Mapping[str, Any], fallback: str
) -> dict[str, Any]:
    """Name (the file's own where none is stated), seed and metric."""
    remedy = "Begin with a letter or digit; letters, digits, dot, dash and underscore may follow, 100 in all."
    name = Rule("a short name", _study_name, remedy)
    seed = integer(0, 2**31 - 1, "Write any whole number from zero on.")
    return {
        "name": name(report, "name", document.get("name", fallback), fallback),
        "seed": seed(report, "seed", document["seed"], 0) if "seed" in document else 0,
        "metric": OBJECTIVE["metric"](report, "objective.metric", objective["metric"], None)
        if "metric" in objective
        else None,
    }


def _study_name(value: Any) -> str:
    if not isinstance(value, str) or value != study_name(value):
        raise ValueError
    return value


def study_name(wish: str) -> str:
    """The nearest text that can name a study: Optuna studies are called `<study>/<stage>`, so it has no slash."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in wish).lstrip("._-")
    return kept[:100] or "study"


def _values(
    report: Report, section: str, table: Mapping[str, Any], rules: Mapping[str, Rule], into: Any
) -> dict[str, Any]:
    """A value for each key: as stated where it obeys its rule, else the dataclass's default."""
    defaults = {f.name: "" if f.default is MISSING else f.default for f in fields(into)}
    return {
        key: rule(report, f"{section}.{key}", table[key], defaults[key]) if key in table else defaults[key]
        for key, rule in rules.items()
    }
