"""The target: its task, its classes, its values, and the metric that suits it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.data.columns import Column, label
from hpo.data.problems import counted, listed, nearest, refuse, setting
from hpo.data.roles import stray_problem
from hpo.errors import InputError
from hpo.metrics import METRICS
from hpo.studyfile.spec import DataSpec
from hpo.values import Array, Task

_FEW = 30
"""Up to so many different whole numbers are classes."""


@dataclass(frozen=True, eq=False)
class Target:
    """A target understood: y is int32 class numbers, or float64 in its own unit, (rows,)."""

    name: str
    task: Task
    classes: tuple[str, ...]
    y: Array
    guessed: bool
    """Whether the task was read off the values and not stated."""


def understand(column: Column, spec: DataSpec, *, classifies: bool | None = None, labels: Sequence[str] = ()) -> Target:
    """The task and values of a target column.

    `classifies` is what the source itself says; `labels` names the classes 0, 1, ... Raises InputError for missing
    targets, one class or value, and a stated task that the values contradict.
    """
    _complete(column, spec.source)
    stated = None if spec.task is None else spec.task.classifies
    is_class = next((s for s in (stated, classifies) if s is not None), None)
    if is_class is None:
        is_class = looks_like_classes(column)
    if not is_class:
        return _numbers(column, spec, guessed=spec.task is None and classifies is None)
    if spec.task is None and column.numeric_rows and len(column.texts) > _FEW:
        problem = stray_problem(column, spec)
        if problem:
            raise InputError(problem)
    texts = column.as_texts()
    names, y = class_numbers(texts, column.numbers)
    if labels and all(name.isdigit() and int(name) < len(labels) for name in names):
        names = tuple(labels[int(name)] for name in names)
    if len(names) < 2:
        remedy = "Name another target, or more rows."
        raise refuse(spec.source, column.name, "at least two classes", f'only "{listed(names)}"', remedy)
    task = Task.BINARY if len(names) == 2 else Task.MULTICLASS
    if spec.task is not None and spec.task is not task:
        remedy = f'Set data.task = "{task}", or leave it out.'
        raise InputError(setting("data.task", f'"{task}"', f'"{spec.task}" for {len(names)} classes', remedy))
    if len(names) * 2 > len(y):
        remedy = 'Set data.task = "regression", or name another target.'
        got = f"{len(names):,} classes in {counted(len(y), 'row')}"
        raise refuse(spec.source, column.name, "classes of several rows each", got, remedy)
    return Target(column.name, task, names, y, spec.task is None and classifies is None)


def looks_like_classes(column: Column) -> bool:
    """Texts are classes, and so are two numbers.

    More numbers are, if whole, with two rows each on average, and either few (30 at most) or counted through without a
    hole and each with at least a fifth of the even share of rows.
    """
    if column.numbers is None:
        return True
    values, counts = np.unique(column.numbers, return_counts=True)
    if len(values) <= 2:
        return True
    if not np.all(values == np.round(values)) or len(values) * 2 > len(column):
        return False
    even = len(column) / len(values)
    counted_through = values[-1] - values[0] == len(values) - 1 and values[0] in (0, 1)
    return len(values) <= _FEW or bool(counted_through and len(values) <= 1000 and counts.min() >= even / 5)


def class_numbers(texts: Column, numbers: Array | None) -> tuple[tuple[str, ...], Array]:
    """Class labels in order (texts by text, numbers by number) and each row's class, (rows,) int32."""
    if numbers is None:
        present = np.unique(texts.codes)
        return tuple(texts.texts[i] for i in present), np.searchsorted(present, texts.codes).astype(np.int32)
    values, inverse = np.unique(numbers, return_inverse=True)
    return tuple(label(v) for v in values), inverse.astype(np.int32)


def targets_of_test(column: Column, target: Target, source: str, labels: Sequence[str] = ()) -> tuple[Array, str]:
    """The test rows' target in the training rows' terms, and a note where labels were matched loosely, else "".

    A label that differs from a class only by a dot at its end is that class (as in the test file of `adult`).
    Raises InputError for missing targets and labels no training row has.
    """
    _complete(column, source)
    if not target.task.classifies:
        if column.numbers is None:
            raise refuse(source, column.name, "numbers", f'"{column.texts[0]}"', "Mend the test rows.")
        return column.numbers, ""
    names, y = class_numbers(column.as_texts(), column.numbers)
    if labels and all(name.isdigit() and int(name) < len(labels) for name in names):
        names = tuple(labels[int(name)] for name in names)
    position = {name: i for i, name in enumerate(target.classes)}
    bare = [name if name in position else name.rstrip(".").rstrip() for name in names]
    unknown = [name for name, plain in zip(names, bare, strict=True) if plain not in position]
    if unknown:
        expected = f"the classes of the training rows ({listed(target.classes)})"
        remedy = nearest(unknown[0], target.classes) + "Mend the labels of the test rows."
        raise refuse(source, column.name, expected, listed(f'"{name}"' for name in unknown), remedy)
    changed = [name for name, plain in zip(names, bare, strict=True) if plain != name]
    note = f"labels {listed(changed)} of the test file read without the dot at their end" if changed else ""
    return np.array([position[plain] for plain in bare], np.int32)[y], note


def choose_metric(name: str | None, task: Task) -> str:
    """The metric of a study: the one named, else accuracy or rmse. Raises InputError where it does not suit."""
    if name is None:
        return "accuracy" if task.classifies else "rmse"
    suited = [metric.name for metric in METRICS.values() if task in metric.tasks]
    if name in suited:
        return name
    if name not in METRICS:
        remedy = nearest(name, suited) + "Name one of these."
        raise InputError(setting("objective.metric", ", ".join(suited), f'"{name}"', remedy))
    tasks = " or ".join(METRICS[name].tasks)
    remedy = f"Name one of these, or state data.task if the target is meant otherwise ({tasks})."
    expected = f"a metric for {task} ({', '.join(suited)})"
    raise InputError(setting("objective.metric", expected, f'"{name}"', remedy))


def _numbers(column: Column, spec: DataSpec, *, guessed: bool) -> Target:
    if column.numbers is None:
        remedy = 'Name a target of numbers, or set data.task to "binary" or "multiclass".'
        example = column.stray[0][0] if column.stray else column.texts[0]
        raise refuse(spec.source, column.name, "numbers, as data.task is regression", f'"{example}"', remedy)
    if column.distinct < 2:
        got = f"only {label(column.numbers[0])}"
        raise refuse(spec.source, column.name, "a target that varies", got, "Name another target, or more rows.")
    return Target(column.name, Task.REGRESSION, (), column.numbers, guessed)


def _complete(column: Column, source: str) -> None:
    missing = column.missing
    if missing.any():
        got = f"{counted(int(missing.sum()), 'row')} without one, first row {int(np.argmax(missing)) + 1}"
        remedy = "Remove those rows or fill in their target; what counts as missing is data.missing."
        raise refuse(source, column.name, "a target in every row", got, remedy)
