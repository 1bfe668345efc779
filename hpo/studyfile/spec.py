"""What a study file declares, as values that have been checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from hpo.space import SearchSpace, space_from_plain, space_to_plain
from hpo.values import Task


@dataclass(frozen=True)
class DataSpec:
    """`[data]`: where the rows come from and how they are divided."""

    source: str
    """`sklearn:NAME`, `module:function`, or a path or URL of csv, tsv, parquet or npz (also .gz)."""
    target: str | int | None = None
    """Column of the target: its name, or its position (negative from the end); None: the source says so itself."""
    task: Task | None = None
    """None: regression for a numeric target with many distinct values, else classification."""
    header: bool = True
    test_source: str | None = None
    """A separate file of test rows, in the same form."""
    scale: str = "standard"
    """`standard`, `minmax`, `robust` or `none`; fitted on the training rows alone."""
    valid: float = 0.2
    test: float = 0.2
    """Shares of all rows; `test` is ignored with a `test_source`."""
    folds: int | None = None
    """Folds of cross-validation instead of one validation split; None: three below 1,000 rows, else one split; 1: one
    split."""
    rows: int | None = None
    """Use only so many rows, drawn by the study's seed (stratified); the test rows of a `test_source` stay whole."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    missing: tuple[str, ...] = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
    """Texts that mean a missing value."""


@dataclass(frozen=True)
class BudgetSpec:
    """`[budget]`: trials over all searching stages, or seconds, or both: the first reached ends the search."""

    trials: int | None = 60
    seconds: float | None = None
    epochs: int = 15


@dataclass(frozen=True)
class SearchSpec:
    """`[search]`: how configurations are proposed."""

    sampler: str = "auto"
    """`auto`, `tpe`, `random`, `qmc`, `cmaes` or `gp`."""
    halving: bool = True
    """Whether slots are refilled as they come free, and runs of overfit and tune give theirs up at rungs."""
    factor: int = 3
    """Of the runs that come to a rung one in so many goes on; rungs lie so many times apart."""
    first_rung: int = 2
    """No rung before so many epochs."""
    portfolio: bool = True
    """Whether stages begin with configurations that did well elsewhere, too: see `hpo.portfolio`."""
    batch: int | None = None
    """Without halving: configurations proposed together. None: an eighth of the stage's planned trials, from 4 to 32;
    32 without a plan."""
    structures: int | None = None
    """Without halving: structures that a batch may open, at most. None: 2 in a stage of fewer than 64 planned trials,
    else 3."""
    plateau: int | None = None
    """A stage ends after so many trials without a better one; None: half of the stage's trials, at least ten."""


@dataclass(frozen=True)
class TrainingSpec:
    """`[training]`: how networks are trained."""

    engine: str = "auto"
    """`auto`, `compiled` or `fit`."""
    precision: str = "float32"
    """`float32` or `mixed`: 16-bit arithmetic with 32-bit weights, for GPUs."""
    memory: int | None = None
    """MiB that a process which trains may grow to before another takes its place. None: half of the machine's memory,
    divided among such processes."""


@dataclass(frozen=True)
class RecipeSpec:
    """`[recipe]`: the numbers that verdicts rest on."""

    gate: float = 0.02
    """The overfit stage passes below this share of the prior's training loss."""
    seeds: int = 5
    """Seeds of the small network that measure the noise; at least five."""
    proof_seeds: int = 4
    """Fresh seeds for each contender of a stage; at least two."""
    level: float = 0.05
    """Chance of calling equal contenders a gain."""
    ensemble: int = 5
    """Most members of the final ensemble; 1: none."""
    attempts: int = 2
    """How often `regularize` may send the study back to `overfit` for capacity."""


@dataclass(frozen=True)
class StudySpec:
    """A whole study: everything `hpo run` needs, besides the database."""

    name: str
    space: SearchSpace
    data: DataSpec
    seed: int = 0
    metric: str | None = None
    """None: accuracy for classification, rmse for regression."""
    budget: BudgetSpec = field(default_factory=BudgetSpec)
    search: SearchSpec = field(default_factory=SearchSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    recipe: RecipeSpec = field(default_factory=RecipeSpec)
    base: str = "."
    """Folder that relative paths of the file start from."""
    warnings: tuple[str, ...] = ()


def to_plain(spec: StudySpec) -> dict[str, Any]:
    """The study as plain JSON that a worker on another machine can read back with `from_plain`."""
    return {
        f.name: space_to_plain(spec.space) if f.name == "space" else _plain(getattr(spec, f.name)) for f in fields(spec)
    }


def from_plain(plain: Mapping[str, Any]) -> StudySpec:
    """The inverse of `to_plain`, also after a trip through JSON."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    values["space"] = space_from_plain(plain["space"])
    for section, into in _SECTIONS.items():
        content: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain[section].items()}
        if content.get("task") is not None:
            content["task"] = Task(content["task"])
        values[section] = into(**content)
    return StudySpec(**values)


def identity(spec: StudySpec) -> dict[str, Any]:
    """The part of `to_plain` that decides results: not where the file lies, what was warned of, and how much memory."""
    plain = {key: value for key, value in to_plain(spec).items() if key not in ("base", "warnings")}
    plain["training"] = {key: value for key, value in plain["training"].items() if key != "memory"}
    return plain


_SECTIONS: dict[str, Any] = {
    "data": DataSpec, "budget": BudgetSpec, "search": SearchSpec, "training": TrainingSpec, "recipe": RecipeSpec,
}  # fmt: skip


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.value if isinstance(value, Task) else value
