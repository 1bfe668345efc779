"""The documentation holds: its commands parse or run, its tables name what the code has, its links lead somewhere."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml
from click.testing import CliRunner

from hpo.cli.jsonlog import name as json_name
from hpo.cli.main import main
from hpo.records import schema
from hpo.run.events import Event
from hpo.space.catalogue import CNN, MLP, Known
from hpo.studyfile import load_study
from hpo.studyfile.entries import in_words
from hpo.studyfile.sections import KEYS
from hpo.studyfile.spec import BudgetSpec, DataSpec, RecipeSpec, SearchSpec, TrainingSpec

TOP = Path(__file__).parents[1]
PAGES = sorted([TOP / "README.md", TOP / "CHANGELOG.md", *(TOP / "docs").glob("*.md")])
SECTIONS = {
    "data": DataSpec,
    "budget": BudgetSpec,
    "search": SearchSpec,
    "training": TrainingSpec,
    "recipe": RecipeSpec,
}


def text(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def shell_lines() -> list[tuple[str, str]]:
    """Each line of each shell block, with its page."""
    return [
        (page.name, line)
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"), "sh")
        for line in block.splitlines()
    ]


def hpo_lines() -> list[tuple[str, str]]:
    return [(page, line) for page, line in shell_lines() if line.startswith("hpo ")]


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def section(page: str, title: str) -> str:
    """The text below a heading, to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def rows(page: str) -> dict[str, list[str]]:
    """The rows of tables whose first cell is a name in backticks, by that name."""
    found = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_every_line_of_a_shell_block_is_a_known_command() -> None:
    known = ("hpo ", "make demo", "make test", "pip install ")
    assert not [line for _, line in shell_lines() if not line.startswith(known)]
    targets = re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)


@pytest.mark.parametrize(("page", "line"), hpo_lines(), ids=lambda v: v)
def test_every_hpo_line_parses(page: str, line: str) -> None:
    """The command is there and takes those options and arguments; nothing is run."""
    words = shlex.split(line)[1:]
    group: click.Command = main
    context = click.Context(main, info_name="hpo")
    while isinstance(group, click.Group):
        if words == ["--help"]:
            return
        name, command, words = group.resolve_command(context, words)
        assert command is not None, (page, name)
        group, context = command, click.Context(command, info_name=name, parent=context)
    group.parse_args(context, words)


BUNDLED_CHECKS = sorted({line for _, line in hpo_lines() if re.match(r"hpo check (digits|adult --no-data)", line)})


@pytest.mark.parametrize("line", ["hpo --help", *BUNDLED_CHECKS])
def test_cheap_lines_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    assert not list(tmp_path.iterdir())


def test_init_and_check_of_the_readme_run_on_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{(i * 37) % 211},{(i * 17) % 97},{'north' if i % 3 else 'south'},{i * 3.5 + i % 7}" for i in range(300)]
    Path("houses.csv").write_text("\n".join(["area,age,side,price", *lines]))
    wanted = [line for page, line in hpo_lines() if page == "README.md" and re.match("hpo (init|check) houses", line)]
    assert [line.split()[1] for line in wanted] == ["init", "check"]
    for line in wanted:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    assert Path("houses.toml").is_file()


def test_every_command_has_a_section_with_every_option() -> None:
    page = text("docs/commands.md")
    shared = section(page, "Commands")
    for name, command in commands(main):
        parent = name.split()[0]
        told = section(page, f"hpo {name}".join("``")) + (page.partition("## `hpo db`")[2] if parent == "db" else "")
        for option in command.params:
            if isinstance(option, click.Option):
                assert any(flag in told for flag in option.opts), (name, option.opts)
        assert "Exit codes:" in told, name
        assert f"hpo {name}" in "\n".join(blocks(told, "sh")), name
    for flag in ("--storage URL", "--data-dir DIR", "--artifacts URL", "--debug", "--version"):
        assert flag in shared
    headings = re.findall(r"^##+ `hpo (.*)`$", page, re.MULTILINE)
    assert set(headings) == {name for name, _ in commands(main)} | {"db"}


def test_every_event_of_the_logs_is_told_with_its_fields() -> None:
    told = rows(section(text("docs/commands.md"), "Logs for programs"))
    assert list(told) == [json_name(kind) for kind in get_args(Event)]
    for kind in get_args(Event):
        names = {f.name for f in fields(kind)} - {"worker_id"}
        assert names <= set(re.findall(r"`(\w+)`", f"`{told[json_name(kind)][0]}`")), kind


def in_toml(value: object) -> str:
    """A default as the page writes it."""
    if value is MISSING:
        return "required"
    if value is None:
        return "none"
    shown = list(value) if isinstance(value, tuple) else value
    return f"`{json.dumps(shown)}`"


@pytest.mark.parametrize("name", SECTIONS)
def test_study_file_keys_have_their_rows_in_order_with_their_defaults(name: str) -> None:
    told = rows(section(text("docs/study-files.md"), f"`[{name}]`"))
    assert {key: cells[1] for key, cells in told.items()} == {
        f.name: in_toml(f.default) for f in fields(SECTIONS[name])
    }
    assert list(told) == [f.name for f in fields(SECTIONS[name])]


def test_study_file_sections_are_complete() -> None:
    page = text("docs/study-files.md")
    top = rows(section(page, "Top of the file"))
    assert {*top, *re.findall(r"^## `\[(\w+)\]`$", page, re.MULTILINE)} == set(KEYS)
    assert list(rows(section(page, "`[objective]`"))) == ["metric"]


def as_cells(known: Known) -> list[str]:
    when = "".join(f"; only with {on} {' or '.join(map(str, values))}" for on, values in known.when)
    words = in_words(known.domain)
    return [known.section, known.kind.value, words, f"`{known.default}`", known.meaning + when]


def test_hyperparameters_are_told_as_the_catalogue_has_them() -> None:
    told = rows(section(text("docs/study-files.md"), "Hyperparameters"))
    assert told == {known.name: as_cells(known) for known in (*MLP, *CNN)}


def test_study_file_and_space_of_the_pages_load(tmp_path: Path) -> None:
    (study,) = blocks(text("README.md"), "toml")
    (space,) = blocks(text("docs/study-files.md"), "toml")
    (tmp_path / "space.toml").write_text(space)
    (tmp_path / "study.toml").write_text(study.replace('space = "mlp"', 'space = "space.toml"'))
    assert load_study(str(tmp_path / "study.toml")).name == "digits"
    bundled = tomllib.loads(text("studies/digits.toml"))
    assert tomllib.loads(study) == bundled


def test_examples_are_sound_and_their_hpo_lines_parse() -> None:
    folder = TOP / "docs" / "examples"
    assert {f"examples/{p.name}" for p in folder.iterdir()} <= set(
        re.findall(r"\]\((.*?)\)", text("docs/distributed.md"))
    )
    script = folder / "worker.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    line = re.search(r"^exec (hpo .*\\\n.*)$", script.read_text(), re.MULTILINE)
    job = yaml.safe_load((folder / "workers.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["kind"], pod["restartPolicy"]) == ("Job", "OnFailure")
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert {"HPO_STORAGE"} == {e["name"] for e in container["env"] if "secretKeyRef" in e.get("valueFrom", {})}
    assert line
    for words in (shlex.split(line[1].replace("\\\n", "")), container["command"]):
        assert words[:2] == ["hpo", "worker"]
        main.commands["worker"].make_context("worker", list(words[2:]))


def test_ten_studies_are_named() -> None:
    page = section(text("README.md"), "From a table to a network")
    names = [path.stem for path in (TOP / "studies").glob("*.toml")]
    assert len(names) == 10
    assert not [name for name in names if f"`{name}`" not in page]


def test_every_dependency_has_its_reason_once() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    page = text("docs/dependencies.md")
    needed, _, extras = page.partition("Extras")

    def name(requirement: str) -> str:
        return re.split(r"[\[<>=! ]", requirement)[0]

    assert list(rows(needed)) == [name(r) for r in project["dependencies"]]
    told = [tuple(cell.strip(" `") for cell in line.strip("|").split("|")[:2])
            for line in extras.splitlines() if line.startswith("| `")]  # fmt: skip
    wanted = [
        (extra, name(r)) for extra, needs in project["optional-dependencies"].items() for r in needs if name(r) != "hpo"
    ]
    assert told == wanted


@pytest.mark.parametrize("table", sorted(schema.metadata.tables))
def test_every_table_and_column_of_the_records_is_told(table: str) -> None:
    told = rows(section(text("docs/records.md"), f"`{table}`"))
    assert list(told) == [column.name for column in schema.metadata.tables[table].columns]
    assert len(re.findall("^## `hpo_", text("docs/records.md"), re.MULTILINE)) == len(schema.metadata.tables)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), (page.name, target)
            assert page.name != "README.md" or target != "README.md"
    assert not [p.name for p in PAGES if p.parent.name == "docs" and f"docs/{p.name}" not in text("README.md")]


def test_readme_names_every_stage_and_metric_is_listed() -> None:
    from hpo.metrics import METRICS
    from hpo.recipe.stages import STAGES

    assert [s.name for s in STAGES] == re.findall(r"^\| (\w+) \| .*\?", text("README.md"), re.MULTILINE)
    assert [s.name for s in STAGES] == re.findall(r"^## (\w+): ", text("docs/recipe.md"), re.MULTILINE)
    objective = section(text("docs/study-files.md"), "`[objective]`")
    assert not [name for name in METRICS if f"`{name}`" not in objective]
