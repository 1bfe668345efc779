"""The conditions of a search space: what the catalogue knows, what the file adds, and what cannot hold."""

from collections.abc import Iterable, Mapping

from hpo.space import Choice, Condition, Fixed, Hyperparameter, Known, Range, contains, order_by_conditions
from hpo.studyfile.entries import Entry, in_words
from hpo.studyfile.reading import Report, shown, suggestion
from hpo.values import Scalar

_FORM = 'Write when = { other = ["value", ...] }.'


def conditions(
    report: Report, name: str, section: str, entry: Entry, entries: Mapping[str, Entry], catalogue: Mapping[str, Known]
) -> Condition:
    """The catalogue's conditions of a hyperparameter, narrowed by those that the file states."""
    merged = dict(catalogue[name].when) if name in catalogue else {}
    for on, values in _stated(report, section, entry, entries, catalogue).items():
        common = tuple(v for v in values if on not in merged or v in merged[on])
        if not common:
            expected = f"{name} under {on} = {', '.join(map(str, merged[on]))}"
            remedy = "Leave the condition out: the known one applies by itself."
            report.add(entry.key, expected, f"when {on} = {', '.join(map(str, values))}", remedy)
        elif len(common) < len(values):
            unused = ", ".join(str(v) for v in values if v not in common)
            report.warnings.append(f"{report.prefix}{entry.key}: {name} has no meaning when {on} is {unused}.")
        merged[on] = common
    return tuple(merged.items())


def _stated(
    report: Report, section: str, entry: Entry, entries: Mapping[str, Entry], catalogue: Mapping[str, Known]
) -> dict[str, tuple[Scalar, ...]]:
    """What the file's `when` says, by the other's full name; names and values that cannot be are left out."""
    if entry.when is None:
        return {}
    if not isinstance(entry.when, Mapping) or not entry.when:
        report.add(entry.key, "a table after when", shown(entry.when), _FORM)
        return {}
    found: dict[str, tuple[Scalar, ...]] = {}
    for written, raw in entry.when.items():
        on = section if written == "name" and section in catalogue else written
        values = raw if isinstance(raw, list) else [raw]
        if on not in catalogue and on not in entries:
            names = {*catalogue, *entries}
            remedy = suggestion(on, names, "Name a hyperparameter of this space.")
            report.add(entry.key, "a condition on a hyperparameter of this space", shown(written), remedy)
        elif not values or not all(isinstance(v, (bool, int, float, str)) for v in values):
            report.add(entry.key, f"values of {on} after when", shown(raw), _FORM)
        elif wrong := [v for v in values if not _can_be(v, on, entries, catalogue)]:
            known = in_words(catalogue[on].domain) if on in catalogue else "a value from its range"
            options = _options(on, entries, catalogue)
            remedy = suggestion(wrong[0], options, "Name a value that it can have.")
            report.add(entry.key, f"{on} = {known}", shown(wrong[0]), remedy)
        else:
            found[on] = tuple(values)
    return found


def _can_be(value: Scalar, on: str, entries: Mapping[str, Entry], catalogue: Mapping[str, Known]) -> bool:
    return contains(catalogue[on].domain if on in catalogue else entries[on].range, value)


def _options(on: str, entries: Mapping[str, Entry], catalogue: Mapping[str, Known]) -> list[str]:
    range_: Range = catalogue[on].domain if on in catalogue else entries[on].range
    return [str(v) for v in range_.values] if isinstance(range_, Choice) else []


def ordered(
    report: Report, hyperparameters: Iterable[Hyperparameter], keys: Mapping[str, str]
) -> tuple[Hyperparameter, ...]:
    """In an order in which conditions only look back; a problem where they run in a circle."""
    members = tuple(hyperparameters)
    try:
        return order_by_conditions(members)
    except ValueError as error:
        first = str(error).split(" -> ", maxsplit=1)[0]
        report.add(keys.get(first, first), "conditions without a circle", str(error), "Take one `when` out.")
        return members


def never_active(hyperparameter: Hyperparameter, ranges: Mapping[str, Range]) -> str | None:
    """The condition that no configuration of the space can meet, in words; None where there is none."""
    for on, allowed in hyperparameter.when:
        range_ = ranges[on]
        possible = (
            any(v in allowed for v in range_.values)
            if isinstance(range_, Choice)
            else range_.value in allowed
            if isinstance(range_, Fixed)
            else any(contains(range_, v) for v in allowed)
        )
        if not possible:
            return f"{on} is never {' or '.join(map(str, allowed))}"
    return None
