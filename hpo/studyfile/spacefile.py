"""A search space: from a bundled name, a file, an inline table or Python code to a `SearchSpace`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import InputError
from hpo.space import Fixed, Hyperparameter, Known, SearchSpace, contains, known, range_to_plain
from hpo.space.catalogue import MODELS
from hpo.studyfile.callables import call
from hpo.studyfile.conditions import conditions, never_active, ordered
from hpo.studyfile.entries import Entry, read_entry
from hpo.studyfile.files import find, read_toml
from hpo.studyfile.reading import Report, is_code, shown, suggestion

SECTIONS = ("architecture", "optimizer", "schedule", "regularization", "loss")


def load_space(source: str | Mapping[str, Any], *, base: str = ".", where: str = "search space") -> SearchSpace:
    """The space behind a bundled name, a path (from `base`), `module:function`, or a table in the file's form.

    Raises InputError with every problem found; `where` names whoever gave the source.
    """
    report = Report(where)
    space = read_space(report, source, base=Path(base), key="space")
    if space is None or report.problems:
        raise InputError(report.problems)
    return space


def read_space(report: Report, source: object, *, base: Path, key: str) -> SearchSpace | None:
    """Like `load_space`, with problems noted in the report; None where none can be built."""
    if isinstance(source, Mapping):
        return parse_space(report.inside(report.where, f"{key}."), source)
    if not isinstance(source, str) or not source.strip():
        remedy = 'Write space = "mlp", the path of a file, or a table [space].'
        report.add(key, "a search space", shown(source), remedy)
        return None
    try:
        if is_code(source):
            made = call(source, base, where=report.where, key=key)
            if isinstance(made, SearchSpace):
                made = document(made)
            if not isinstance(made, Mapping):
                remedy = "Return a SearchSpace, or a dict in the form of a search-space file."
                report.add(key, "a search space from the function", type(made).__name__, remedy)
                return None
            return parse_space(report.inside(source), made)
        path = find(source, "search_spaces", base, where=report.where, key=key)
        table = read_toml(path, str(path))
    except InputError as error:
        report.problems.extend(error.problems)
        return None
    return parse_space(report.inside(str(path)), table)


def document(space: SearchSpace) -> dict[str, Any]:
    """A space in the form of its file; what the user did not state is left out. `parse_space` is the inverse."""
    catalogue = known(space.model)
    sections: dict[str, Any] = {"model": space.model}
    for h in space.hyperparameters:
        if h.name in space.unstated:
            continue
        entry: dict[str, Any] = range_to_plain(h.range)
        if h.varies:
            entry["default"] = h.default
        if not entry.get("log", True):
            del entry["log"]
        if h.name not in catalogue:
            entry["kind"] = h.kind.value
        own = dict(catalogue[h.name].when) if h.name in catalogue else {}
        if stated := {on: list(values) for on, values in h.when if own.get(on) != values}:
            entry["when"] = stated
        sections.setdefault(h.section, {})[h.name] = entry
    return sections


def parse_space(report: Report, table: Mapping[str, Any]) -> SearchSpace | None:
    """The space in a table of the file's form; problems are noted, and None returned where no space can be built."""
    before = len(report.problems)
    model = table.get("model")
    if not isinstance(model, str) or (model not in MODELS and not is_code(model)):
        expected = f"{', '.join(MODELS)}, or module:function"
        report.add("model", expected, shown(model), suggestion(model, MODELS, 'Write model = "mlp", at the top.'))
        return None
    catalogue = known(model)
    entries, sections = _entries(report, model, table, catalogue)
    hyperparameters = []
    for name in (*catalogue, *(n for n in entries if n not in catalogue)):
        entry, section = entries.get(name), sections.get(name, "")
        if entry is None:
            k = catalogue[name]
            hyperparameters.append(Hyperparameter(name, k.section, k.kind, Fixed(k.default), k.default, k.when))
        else:
            when = conditions(report, name, section, entry, entries, catalogue)
            hyperparameters.append(Hyperparameter(name, section, entry.kind, entry.range, entry.default, when))
    keys = {name: entry.key for name, entry in entries.items()}
    space = SearchSpace(model, ordered(report, hyperparameters, keys), frozenset(catalogue) - frozenset(entries))
    if len(report.problems) > before:
        return None
    _whole(report, space, keys)
    return space if len(report.problems) == before else None


def _entries(
    report: Report, model: str, table: Mapping[str, Any], catalogue: Mapping[str, Known]
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Each entry, and the section it stands in, by the hyperparameter's full name."""
    entries: dict[str, Entry] = {}
    sections: dict[str, str] = {}
    for section, content in table.items():
        if section == "model":
            continue
        if not isinstance(content, Mapping):
            home = catalogue[section].section if section in catalogue else ""
            remedy = f"Move it below [{home}]." if home else f"Write [{section}] and its entries below."
            report.add(section, "a section of hyperparameters", shown(content), remedy)
        elif model in MODELS and section not in SECTIONS:
            report.add(section, "a known section", f"[{section}]", suggestion(section, SECTIONS))
        else:
            for written, value in content.items():
                key, name = f"{section}.{written}", _name(section, written, catalogue)
                if _misplaced(report, key, name, section, model, catalogue):
                    continue
                if name in entries:
                    report.add(key, f"{name} once", f"it here and at {entries[name].key}", "Leave one out.")
                elif entry := read_entry(report, key, value, catalogue.get(name)):
                    entries[name], sections[name] = entry, section
    return entries, sections


def _name(section: str, written: str, catalogue: Mapping[str, Known]) -> str:
    """`name` in [optimizer] and [schedule] is the section's own hyperparameter."""
    return section if written == "name" and section in catalogue else written


def _misplaced(report: Report, key: str, name: str, section: str, model: str, catalogue: Mapping[str, Known]) -> bool:
    """Note a name that the model does not know, or that stands in another section than its own."""
    if name in catalogue:
        home = catalogue[name].section
        if home == section:
            return False
        report.add(key, f"{name} in [{home}]", f"it in [{section}]", f"Move it below [{home}].")
        return True
    if model in MODELS:
        written = [_written(k) for k in catalogue.values() if k.section == section]
        remedy = suggestion(name, {*catalogue, *written}, f"[{section}] knows {', '.join(written)}.")
        report.add(key, f"a hyperparameter of {model}", shown(name), remedy)
        return True
    if section in SECTIONS:
        near = suggestion(name, catalogue, " ")
        if near.strip():
            report.warnings.append(f"{report.prefix}{key} is taken as a hyperparameter of the model's own. {near}")
    return False


def _written(entry: Known) -> str:
    return "name" if entry.name == entry.section else entry.name


def _whole(report: Report, space: SearchSpace, keys: Mapping[str, str]) -> None:
    """What only shows when the space is seen as a whole."""
    if not space.varying:
        remedy = "Give one a range, e.g. [optimizer] learning_rate = { float = [1e-4, 0.1], log = true }."
        report.add("", "at least one hyperparameter that varies", "fixed values only", remedy)
    ranges = {h.name: h.range for h in space.hyperparameters}
    for h in space.varying:
        if why := never_active(h, ranges):
            report.warnings.append(f"{report.prefix}{keys[h.name]}: {h.name} is never used, because {why}.")
    batch, placed = ranges["batch_size"], ranges["batch_normalization"]
    if contains(batch, 1) and any(contains(placed, place) for place in ("before", "after")):
        remedy = "Begin batch_size at 2, or fix batch_normalization at none: a batch of one has no deviation."
        key = keys.get("batch_size", "optimizer.batch_size")
        report.add(key, "no batch of one with batch normalization", "batch_size = 1", remedy)
