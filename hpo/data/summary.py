"""The data in a few lines of plain text, and a first look at a file nobody has described yet."""

from hpo.data.callables import is_callable_name
from hpo.data.checks import checks
from hpo.data.dataset import Dataset
from hpo.data.load import load
from hpo.data.places import Place, fetch, locate
from hpo.data.problems import listed
from hpo.data.raw import RawTable
from hpo.data.roles import target_position
from hpo.data.sources import SKLEARN, read_source
from hpo.data.textfiles import head, sniff_header, sniff_separator
from hpo.hiding import hidden
from hpo.studyfile.spec import DataSpec
from hpo.values import Status

_USUAL_TARGETS = ("target", "label", "class", "y")


def summary_lines(dataset: Dataset) -> list[str]:
    """What the data is: source, sizes, task, classes or range, columns left out, missing values."""
    d, facts = dataset.description, dataset.facts
    how = f"{d.folds} folds of {d.valid_rows:,} validation rows" if d.folds > 1 else f"{d.valid_rows:,} to validate"
    shape = " x ".join(str(n) for n in facts.input_shape)
    lines = [
        f"{hidden(d.origin.source)}: {d.origin.rows:,} rows, {d.origin.columns:,} columns besides the target",
        f"{d.train_rows:,} rows to train on, {how}, {d.test_rows:,} held back for the test",
        f"target {d.origin.target}: {facts.task}, metric {dataset.metric}",
        f"input of a network: {shape} numbers a row",
    ]
    if facts.task.classifies:
        shares = (f"{name} {rows / sum(d.classes.values()):.1%}" for name, rows in d.classes.items())
        lines.append("classes: " + listed(shares, 12))
    else:
        lines.append("target from {:g} to {:g}".format(*d.target_range))
    lines += [f"left out: {name} ({reason})" for name, reason in d.origin.dropped.items()]
    if d.origin.missing:
        lines.append("missing values: " + listed(f"{name} {rows:,}" for name, rows in d.origin.missing.items()))
    return lines


def describe_file(source: str, target: str | None, *, data_dir: str | None = None) -> tuple[DataSpec, list[str]]:
    """A `DataSpec` for a source nobody has described: header, target and task are read off it; and lines on what was
    seen, warnings included.

    target: a column's name or position as text; None: a column named as targets usually are, else the last one.
    Paths count from the working folder. Raises InputError as `load` does.
    """
    place = Place(".", data_dir)
    spec, notes = DataSpec(source), []
    if not source.startswith(SKLEARN) and not is_callable_name(source):
        location = locate(source, place, "data.source")
        if location.form in ("csv", "tsv"):
            lines = head(fetch(location, "data.source"), source)
            separator = "\t" if location.form == "tsv" else sniff_separator(lines)
            spec = DataSpec(source, header=sniff_header(lines, separator))
            notes += [] if spec.header else ["the first line holds data, not column names: header = false"]
    raw = read_source(spec, place)
    if isinstance(raw, RawTable):
        names = [str(name) for name in raw.frame.columns]
        chosen, note = _target(names, target, spec)
        spec = DataSpec(source, target=chosen, header=spec.header)
        notes += [note] if note else []
    dataset = load(spec, seed=0, metric=None, base=".", data_dir=data_dir)
    spec = DataSpec(source, target=spec.target, task=dataset.facts.task, header=spec.header)
    warnings = [check.sentence for check in checks(dataset) if check.status is not Status.PASSED]
    return spec, summary_lines(dataset) + notes + warnings


def _target(names: list[str], target: str | None, spec: DataSpec) -> tuple[str | int, str]:
    """The target as a study file names it, and a note where it was chosen for the user."""
    if target is not None:
        is_position = target not in names and target.lstrip("-").isdigit()
        chosen: str | int = int(target) if is_position else target
        target_position(names, DataSpec(spec.source, target=chosen, header=spec.header))
        return chosen, ""
    usual = next((name for name in names if name.lower() in _USUAL_TARGETS), None)
    if usual is not None:
        return usual, f"target: {usual}, by its name"
    last: str | int = names[-1] if spec.header else -1
    return last, f"target: the last column ({names[-1]}), as none was named"
