"""The layer picture of the design, held against the imports in the code. Nothing is imported: the source is read."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BOTTOM = ("values", "errors", "seeds", "clock", "metrics", "numbers", "importing", "bundled", "hiding")
ROWS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("commands",),
    ("run", "reports", "dashboard"),
    ("search", "training", "records", "data"),
    ("recipe",),
    ("studyfile", "portfolio"),
    ("space",),
    BOTTOM,
)
"""From the top down: a package imports from rows below its own only; the modules of the lowest row know each other."""

RESERVED = {
    "tensorflow": ("training",), "keras": ("training",), "jax": ("training",),
    "click": ("cli",), "rich": ("cli",),
    "optuna": ("search", "dashboard"), "optuna_dashboard": ("dashboard",),
    "sqlalchemy": ("records",), "alembic": ("records",),
    "matplotlib": ("reports",), "jinja2": ("reports",),
    "sklearn": ("training", "data", "search"), "pyarrow": ("data", "reports"), "ray": ("run",),
}  # fmt: skip
"""Packages of others, and who alone may import them."""

HEAVY = (*(name for name in RESERVED if name not in ("click", "rich")), "pandas", "scipy", "torch")
LONGEST = 600


@dataclass(frozen=True)
class Import:
    """One imported module as seen from a module of ours."""

    importer: str
    imported: str
    line: int
    at_start: bool
    """It happens when the importer is loaded: neither inside a function nor for types only."""


@dataclass(frozen=True)
class Code:
    """The modules of a package `hpo` by dotted name, with their source."""

    sources: dict[str, str]
    packages: frozenset[str]

    @classmethod
    def below(cls, root: Path) -> "Code":
        """Read `root`/hpo."""
        sources, packages = {}, set()
        for path in sorted((root / "hpo").rglob("*.py")):
            if "_bundled" in path.parts:
                continue
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            sources[name] = path.read_text(encoding="utf-8")
            if parts[-1] == "__init__":
                packages.add(name)
        return cls(sources, frozenset(packages))

    def imports(self, module: str) -> Iterator[Import]:
        """All imports of a module, inside functions too: hiding one there makes the layers no cleaner."""
        yield from self._walk(module, ast.parse(self.sources[module]), at_start=True)

    def _walk(self, module: str, node: ast.AST, *, at_start: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, at_start)
            elif isinstance(child, ast.ImportFrom):
                start = self._start(module, child)
                for alias in child.names:
                    full = f"{start}.{alias.name}" if start else alias.name
                    yield Import(module, full if full in self.sources else start, child.lineno, at_start)
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _for_types(child)
                yield from self._walk(module, child, at_start=at_start and not inside)

    def _start(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".") if module in self.packages else module.split(".")[:-1]
        kept = parts[: len(parts) - node.level + 1]
        return ".".join([*kept, node.module] if node.module else kept)

    def loaded_with(self, module: str) -> dict[str, tuple[str, ...]]:
        """Every module that loading one brings in, ours and others', each with the chain that leads to it."""
        chains: dict[str, tuple[str, ...]] = {}
        waiting: list[tuple[str, ...]] = [(module,)]
        while waiting:
            chain = waiting.pop()
            name = chain[-1]
            if name in chains:
                continue
            chains[name] = chain
            if name in self.sources:
                found = {i.imported for i in self.imports(name) if i.at_start}
                parents = {".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 1)}
                waiting.extend((*chain, other) for other in found | parents)
        return chains


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def layer(module: str) -> str:
    """The package or bottom module below `hpo` that a module belongs to; empty for `hpo` itself."""
    return module.split(".")[1] if "." in module else ""


def row(name: str) -> int:
    """The number of a layer's row, from the top."""
    return next(i for i, names in enumerate(ROWS) if name in names)


def strangers(code: Code) -> list[str]:
    """Packages that the picture does not show."""
    known = {name for names in ROWS for name in names} | {"", "__main__"}
    found = sorted({layer(m) for m in code.sources} - known)
    return [f"hpo/{name} has no row in the layer picture" for name in found]


def upward(code: Code) -> list[str]:
    """Imports that do not point down."""
    found = []
    for module in code.sources:
        own = layer(module)
        if own in ("", "__main__"):
            continue
        for i in code.imports(module):
            other = layer(i.imported)
            if i.imported.split(".")[0] != "hpo" or other in ("", own):
                continue
            if row(other) < row(own) or (row(other) == row(own) and own not in BOTTOM):
                how = "beside it" if row(other) == row(own) else "above it"
                found.append(f"{module}, line {i.line}: imports {i.imported}; hpo/{other} stands {how}")
    return found


def reserved(code: Code) -> list[str]:
    """Packages of others in the wrong hands."""
    found = []
    for module in code.sources:
        for i in code.imports(module):
            allowed = RESERVED.get(i.imported.split(".")[0])
            if allowed and layer(module) not in allowed:
                found.append(f"{module}, line {i.line}: imports {i.imported}, which belongs to {' and '.join(allowed)}")
    return found


def cycles(code: Code) -> list[str]:
    """Modules that come back to themselves by imports, those inside functions included."""
    graph = {m: sorted({i.imported for i in code.imports(m)} & set(code.sources) - {m}) for m in code.sources}
    # the top of the package gives names lazily: an arrow into it is no dependence on what it can give
    graph["hpo"] = []
    state: dict[str, str] = {}
    found: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if state.get(name) == "open":
            found.append(" -> ".join((*path[path.index(name) :], name)))
        if name not in state:
            state[name] = "open"
            for other in graph[name]:
                visit(other, (*path, name))
            state[name] = "done"

    for name in graph:
        visit(name, ())
    return found


def heavy(code: Code, module: str) -> list[str]:
    """What loads with a module but is too slow to."""
    if module not in code.sources:
        return []
    chains = code.loaded_with(module)
    return [" -> ".join(chain) for name, chain in chains.items() if name.split(".")[0] in HEAVY]


def too_long(code: Code) -> list[str]:
    """Modules over the limit."""
    counts = {module: source.count("\n") for module, source in code.sources.items()}
    return [f"{module}: {n} lines, at most {LONGEST}" for module, n in counts.items() if n > LONGEST]


TALKS = ("hpo.training.bundle_loader",)
"""Copied into exported bundles as a program of its own, it prints."""


def habits(code: Code) -> list[str]:
    """`assert` and `print` toward users, and a broad `except`, outside the one boundary in `cli`."""
    found = []
    for module, source in code.sources.items():
        if layer(module) == "cli":
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assert):
                found.append(f"{module}, line {node.lineno}: assert; raise a Fault")
            elif isinstance(node, ast.ExceptHandler) and _broad(node):
                found.append(f"{module}, line {node.lineno}: a broad except; name what can be raised")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "print" and module not in TALKS:
                found.append(f"{module}, line {node.lineno}: print; only hpo/cli talks to users")
    return found


def _broad(handler: ast.ExceptHandler) -> bool:
    """Catches anything, and does not pass it on."""
    caught = "" if handler.type is None else ast.unparse(handler.type)
    passed_on = any(isinstance(node, ast.Raise) for node in handler.body)
    return caught in ("", "Exception", "BaseException") and not passed_on


def no_stranger(code: Code) -> list[str]:
    """The loader that goes into bundles must run where there is no hpo."""
    module = "hpo.training.bundle_loader"
    if module not in code.sources:
        return []
    return [
        f"{module}, line {i.line}: imports {i.imported}" for i in code.imports(module) if i.imported.startswith("hpo")
    ]


KERAS_FROM = ("hpo.training.backend", "hpo.training.bundle_loader")
"""Keras is loaded by the backend alone, which settles first which backend it is and how loud."""


def keras_from_backend(code: Code) -> list[str]:
    """Keras loaded by somebody else, before the backend could settle anything."""
    return [
        f"{module}, line {i.line}: imports {i.imported}; take it from hpo.training.backend"
        for module in code.sources
        if module not in KERAS_FROM
        for i in code.imports(module)
        if i.imported.split(".")[0] == "keras"
    ]


RULES = (strangers, upward, reserved, cycles, too_long, habits, no_stranger, keras_from_backend)


@pytest.fixture(scope="module")
def code() -> Code:
    return Code.below(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(code, rule):
    found = rule(code)
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


@pytest.mark.parametrize("module", ["hpo", "hpo.cli.main", "hpo.studyfile", "hpo.errors", "hpo.training"])
def test_loads_nothing_heavy(code, module):
    found = heavy(code, module)
    assert not found, f"loading {module} brings in, by these chains:\n" + "\n".join(found)


def test_packages_that_import_nothing_of_training(code):
    """TensorFlow comes only when something trains: the package itself must stay empty."""
    assert not list(code.imports("hpo.training")), "hpo/training/__init__.py must import nothing"


def test_alembic_has_no_init():
    assert not (ROOT / "alembic" / "__init__.py").exists(), "it would shadow the installed package alembic"


BREAKS = {
    "upward": ("space/a.py", "from hpo.studyfile import load\n", upward, "stands above it"),
    "upward, hidden in a function": ("data/a.py", "def f():\n    import hpo.run.x\n", upward, "line 2"),
    "upward, for types": (
        "data/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hpo.cli import main\n",
        upward,
        "stands above it",
    ),
    "relative and upward": ("records/a.py", "from ..run import x\n", upward, "hpo/run stands above it"),
    "beside": ("search/a.py", "from hpo import records\n", upward, "hpo/records stands beside it"),
    "a stranger": ("helpers/a.py", "", strangers, "hpo/helpers"),
    "TensorFlow in recipe": ("recipe/a.py", "import tensorflow as tf\n", reserved, "belongs to training"),
    "optuna in records": ("records/a.py", "def f():\n    from optuna.trial import Trial\n", reserved, "optuna.trial"),
    "click in commands": ("commands/a.py", "import click\n", reserved, "belongs to cli"),
    "sqlalchemy in run": ("run/a.py", "from sqlalchemy import select\n", reserved, "belongs to records"),
    "a circle": ("data/a.py", "from hpo.data.b import x\n", cycles, "hpo.data.a -> hpo.data.b -> hpo.data.a"),
    "a long module": ("data/a.py", "x = 1\n" * 601, too_long, "601 lines"),
    "print": ("data/a.py", "print('x')\n", habits, "print"),
    "assert": ("data/a.py", "assert 1\n", habits, "assert"),
    "a broad except": ("data/a.py", "try:\n    x = 1\nexcept Exception:\n    x = 2\n", habits, "broad"),
    "Keras past the backend": ("training/a.py", "import keras\n", keras_from_backend, "hpo.training.backend"),
    "a bundle that needs hpo": ("training/bundle_loader.py", "from hpo import values\n", no_stranger, "hpo"),
}


@pytest.mark.parametrize(("path", "source", "rule", "message"), BREAKS.values(), ids=BREAKS)
def test_a_break_is_seen(tmp_path, path, source, rule, message):
    files = {
        "__init__.py": "", "values.py": "", "space/__init__.py": "", "studyfile/__init__.py": "", "run/__init__.py": "",
        "data/__init__.py": "", "data/b.py": "def f():\n    from . import a\n", "records/__init__.py": "",
        "cli/__init__.py": "", "cli/main.py": "import click\n", "training/__init__.py": "", path: source,
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "hpo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hpo" / name).write_text(content)
    assert message in "\n".join(rule(Code.below(tmp_path)))


def test_heavy_chains_are_followed_but_not_into_functions(tmp_path):
    files = {
        "__init__.py": "def __getattr__(name):\n    import pandas\n", "a.py": "from hpo import b\n",
        "b.py": "import pandas.core\n", "c/__init__.py": "import optuna\n", "c/d.py": "",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "hpo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hpo" / name).write_text(content)
    code = Code.below(tmp_path)
    assert heavy(code, "hpo") == []
    assert heavy(code, "hpo.a") == ["hpo.a -> hpo.b -> pandas.core"]
    assert heavy(code, "hpo.c.d") == ["hpo.c.d -> hpo.c -> optuna"]
