"""Tests of the data: what was expected, what was seen, and what it means."""

from collections.abc import Iterator

from hpo.data.dataset import Dataset
from hpo.data.describe import OUTLIER_DEVIATIONS, DataDescription
from hpo.data.problems import counted, listed
from hpo.values import Check, Status

LEAK_CLASSES = 0.8
LEAK_NUMBERS = 0.9
"""A single column that explains so much of the target is taken for a leak."""

_PASSED, _WARNING, _FAILED = Status.PASSED, Status.WARNING, Status.FAILED


def checks(dataset: Dataset) -> list[Check]:
    """All checks of the data, in a fixed order. One that failed means that training on this data is meaningless."""
    d, classifies = dataset.description, dataset.facts.task.classifies
    found = [_rows(d, len(dataset.facts.classes)), _target(dataset)]
    if classifies:
        found += [_balance(d, dataset.metric), _rare(d)]
    else:
        found.append(_cap(d))
    found += [_missing(d), _constant(d, dataset.feature_names), _dropped(d), _leak(d, classifies), _duplicates(d)]
    found += [_splits(d), _conflicts(d), _outliers(d)]
    return found + list(_notes(d))


def _rows(d: DataDescription, classes: int) -> Check:
    wanted = max(100, 20 * classes)
    seen = f"{counted(d.train_rows, 'row')} to train on, {d.valid_rows:,} to validate, {d.test_rows:,} for the test"
    if d.folds > 1:
        seen += f"; {d.folds} folds"
    if d.train_rows < 10:
        status, sentence = _FAILED, "So few rows teach nothing that could be told from chance."
    elif d.train_rows < wanted:
        status, sentence = _WARNING, "Few rows: scores will be uncertain, and strong regularization is likely to pay."
    else:
        status, sentence = _PASSED, "There are rows enough to learn from."
    return Check("rows", status, f"at least {wanted} training rows", seen, sentence)


def _target(dataset: Dataset) -> Check:
    origin, facts = dataset.description.origin, dataset.facts
    low, high = dataset.description.target_range
    kind = f"{len(facts.classes)} classes" if facts.task.classifies else f"numbers from {low:g} to {high:g}"
    how = "read off its values; data.task states it otherwise" if origin.guessed else "as stated"
    return Check("task", _PASSED, "a target that can be learned", f"{facts.task}: {kind}",
                 f"`{origin.target}` makes this {facts.task} ({how}); the metric is {dataset.metric}.")  # fmt: skip


def _balance(d: DataDescription, metric: str) -> Check:
    name = max(d.classes, key=lambda c: d.classes[c])
    seen = f"`{name}` has {d.majority:.1%} of the rows, the rarest class {min(d.classes.values()):,}"
    if d.majority > 0.8 and metric == "accuracy":
        sentence = f"Always saying `{name}` reaches {d.majority:.1%} accuracy; balanced_accuracy would show more."
        return Check("class balance", _WARNING, "no class above 80 %", seen, sentence)
    many = max(d.classes.values()) > 20 * max(1, min(d.classes.values()))
    sentence = "Some classes are far rarer than others." if many else "The classes are balanced well enough."
    return Check("class balance", _WARNING if many else _PASSED, "no class above 80 %", seen, sentence)


def _rare(d: DataDescription) -> Check:
    expected = "rows enough of each class for every part"
    if not d.rare:
        return Check("rare classes", _PASSED, expected, "enough", "Every class is in every part of the data.")
    seen = listed(f"`{name}` {counted(rows, 'row')}" for name, rows in d.rare.items())
    sentence = f"Too rare to split: {seen}. These rows are in training only, so no score tells how they are predicted."
    return Check("rare classes", _WARNING, expected, seen, sentence)


def _cap(d: DataDescription) -> Check:
    expected = "no value that many rows share at the end of the target's range"
    if not d.capped:
        return Check("target cap", _PASSED, expected, "none", "The target is not cut off.")
    sentence = (
        f"The target looks cut off at {d.capped_at:g}: what lies beyond cannot be learned, and errors there mislead."
    )
    return Check("target cap", _WARNING, expected, f"{d.capped:.1%} of the rows at {d.capped_at:g}", sentence)


def _missing(d: DataDescription) -> Check:
    missing = d.origin.missing
    if not missing:
        return Check("missing values", _PASSED, "none", "none", "No value is missing.")
    worst = sorted(missing, key=lambda name: -missing[name])
    seen = listed(f"`{name}` {missing[name]:,}" for name in worst)
    many = [name for name in worst if missing[name] * 2 > d.origin.rows]
    sentence = "Missing numbers become the column's median, missing texts a category of their own."
    if many:
        sentence += f" More than half is missing in {listed(many)}."
    return Check("missing values", _WARNING if many else _PASSED, "few", seen, sentence)


def _constant(d: DataDescription, features: tuple[str, ...]) -> Check:
    dropped = [name for name, reason in d.origin.dropped.items() if reason.startswith(("constant", "empty"))]
    still = list(d.constant)
    expected = "columns that vary"
    if features and len(still) == len(features):
        return Check("constant columns", _FAILED, expected, "none varies", "Every row is the same to a network.")
    if not dropped and not still:
        return Check("constant columns", _PASSED, expected, "all vary", "Every column varies.")
    parts = [f"{listed(dropped)} left out"] if dropped else []
    parts += [f"{listed(still)} kept without effect"] if still else []
    seen = "; ".join(parts)
    return Check("constant columns", _WARNING, expected, seen, f"Columns that do not vary teach nothing: {seen}.")


def _dropped(d: DataDescription) -> Check:
    found = {name: reason for name, reason in d.origin.dropped.items() if reason.startswith("like")}
    expected = "none"
    if not found:
        return Check("identifier-like columns", _PASSED, expected, "none", "No column only names its row.")
    sentence = "; ".join(f"`{name}` is left out: {reason}" for name, reason in found.items()) + "."
    return Check("identifier-like columns", _WARNING, expected, listed(found), sentence)


def _leak(d: DataDescription, classifies: bool) -> Check:
    limit = LEAK_CLASSES if classifies else LEAK_NUMBERS
    expected = f"no single column that explains more than {limit:.0%} of the target"
    if not d.single:
        return Check("leaking column", _PASSED, expected, "not looked at", "Images have no columns to look at.")
    best = max(d.single, key=lambda name: d.single[name])
    seen = f"`{best}` explains {d.single[best]:.0%}"
    found = [name for name, score in d.single.items() if score > limit]
    if not found:
        return Check("leaking column", _PASSED, expected, seen, f"No column gives the target away; {seen}, the most.")
    names = listed(f"`{name}` ({d.single[name]:.0%})" for name in found)
    sentence = f"{names} predicts the target nearly alone. If it is not known when predicting, add it to data.drop."
    return Check("leaking column", _WARNING, expected, seen, sentence)


def _duplicates(d: DataDescription) -> Check:
    share = d.duplicates / (d.rows - d.test_rows)
    sentence = "Rows that repeat count more than others." if share > 0.01 else "Hardly any row repeats another."
    status = _WARNING if share > 0.01 else _PASSED
    return Check("duplicates", status, "under 1 %", f"{counted(d.duplicates, 'row')} ({share:.1%})", sentence)


def _splits(d: DataDescription) -> Check:
    seen = f"{d.valid_seen:,} of {d.valid_rows:,} validation rows, {d.test_seen:,} of {d.test_rows:,} test rows"
    expected = "under 1 % of either"
    if d.valid_seen <= 0.01 * d.valid_rows and d.test_seen <= 0.01 * d.test_rows:
        return Check("same row in two splits", _PASSED, expected, seen, "Validation and test rows are new to training.")
    sentence = f"{seen} stand in the training data too: scores are too good by what learning by heart gives."
    return Check("same row in two splits", _WARNING, expected, seen, sentence)


def _conflicts(d: DataDescription) -> Check:
    seen = f"{counted(d.conflicts, 'row')}; training loss cannot fall below {d.conflict_floor:.3g}"
    expected = "no equal rows with different targets"
    if not d.conflicts:
        return Check("conflicting targets", _PASSED, expected, "none", "No two equal rows have different targets.")
    status = _WARNING if d.conflict_floor > 0.01 * d.prior_loss else _PASSED
    sentence = f"{counted(d.conflicts, 'row')} equal others that have another target; no network can tell them apart."
    return Check("conflicting targets", status, expected, seen, sentence)


def _outliers(d: DataDescription) -> Check:
    expected = f"values within {OUTLIER_DEVIATIONS:g} standard deviations"
    if not d.outliers:
        return Check("outliers", _PASSED, expected, "none further out", "No value lies far out.")
    seen = listed(f"`{name}` {rows:,}" for name, rows in d.outliers.items())
    sentence = "Values far out become large inputs; a logarithm of such columns may help."
    return Check("outliers", _WARNING, expected, seen, sentence)


def _notes(d: DataDescription) -> Iterator[Check]:
    origin = d.origin
    if origin.label_note:
        yield Check("test labels", _PASSED, "the labels of the training rows", origin.label_note,
                    f"The {origin.label_note}, as no training label has one.")  # fmt: skip
    for name, (example, rows) in origin.mixed.items():
        sentence = f"`{name}` is read as text; if `{example}` means a missing value, add it to data.missing."
        seen = f"`{name}`: {rows:,} numbers, and texts as `{example}`"
        yield Check("mixed column", _WARNING, "numbers or texts", seen, sentence)
    if origin.header_note:
        yield Check("header", _WARNING, "a first line of column names", origin.header_note,
                    "The first line may be a row of data: then set header = false in [data].")  # fmt: skip
