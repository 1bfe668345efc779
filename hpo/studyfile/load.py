"""From a study file, or the name of a bundled one, to a `StudySpec`."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hpo.errors import InputError
from hpo.studyfile.consistency import cautions, check_study
from hpo.studyfile.files import find, read_toml
from hpo.studyfile.reading import COMMAND_LINE, Report, shown
from hpo.studyfile.sections import read_budget, read_data, read_section, read_top, stated_keys, study_name
from hpo.studyfile.spacefile import read_space
from hpo.studyfile.spec import RecipeSpec, SearchSpec, StudySpec, TrainingSpec

_NONE: Mapping[str, Any] = MappingProxyType({})


def load_study(name_or_path: str, *, overrides: Mapping[str, Any] = _NONE) -> StudySpec:
    """The study in a TOML file, or in the bundled one of that name.

    overrides: dotted keys with values from the command line (`{"budget.trials": 20}`); None leaves the file's value.
    Raises InputError with every problem of the study file and its search space.
    """
    path = find(name_or_path, "studies", Path(), where=COMMAND_LINE, key="study")
    where = str(path) if path.name == Path(name_or_path).name else name_or_path
    return parse_study(read_toml(path, where), where=where, base=path.parent, fallback=path.stem, overrides=overrides)


def parse_study(
    table: Mapping[str, Any], *, where: str, base: Path, fallback: str, overrides: Mapping[str, Any] = _NONE
) -> StudySpec:
    """The study in a table of the file's form. `fallback` names it where it does not name itself."""
    document = copy.deepcopy(dict(table))
    given = {key: value for key, value in overrides.items() if value is not None}
    report = Report(where, from_command_line=frozenset(given))
    for key, value in given.items():
        _override(report, document, key, value)
    sections = stated_keys(report, document)
    stated = frozenset(f"{section}.{key}" for section, content in sections.items() for key in content)
    top = read_top(report, document, sections["objective"], study_name(fallback))
    data = read_data(report, sections["data"])
    budget = read_budget(report, sections["budget"])
    search = read_section(report, "search", sections["search"], SearchSpec)
    training = read_section(report, "training", sections["training"], TrainingSpec)
    recipe = read_section(report, "recipe", sections["recipe"], RecipeSpec)
    space = read_space(report, document.get("space"), base=base, key="space")
    check_study(report, data, top["metric"], budget, space, stated)
    if space is None or report.problems:
        raise InputError(report.problems)
    spec = StudySpec(
        space=space, data=data, budget=budget, search=search, training=training, recipe=recipe,
        base=str(base.resolve()), warnings=tuple(report.warnings), **top,
    )  # fmt: skip
    return replace(spec, warnings=(*spec.warnings, *cautions(spec, stated)))


def _override(report: Report, document: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key; where the file holds no table on the way, that is noted when the sections are read."""
    section, _, inner = key.rpartition(".")
    if not section:
        document[inner] = value
        return
    table = document.setdefault(section, {})
    if isinstance(table, dict):
        table[inner] = value
    else:
        report.add(key, f"a section [{section}] in {report.where}", shown(table), f"Write [{section}] there.")
