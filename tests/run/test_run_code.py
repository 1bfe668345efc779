"""A worker imports what a recorded study names only when told to, and never what a stage's row names."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_support import SPACE, FakeSession, bench, drain

import hpo.training.engine
from hpo.cli.main import main
from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.run.processes import Pool
from hpo.space.plain import space_to_plain
from hpo.studyfile.spec import DataSpec, StudySpec, to_plain

CODE = """
import pathlib
import sys

pathlib.Path(__file__).with_suffix(".imported").write_text("")


def rows():
    import numpy as np

    x = np.random.default_rng(0).normal(size=(80, 3))
    return x, (x[:, 0] > 0).astype(int)
"""


def recorded(folder: Path, *, source: str, model: str = "mlp", base: Path | None = None, state: str = "running") -> str:
    """The URL of a database with the study `shop`."""
    url = f"sqlite:///{folder / 'study.db'}"
    spec = StudySpec("shop", replace(SPACE, model=model), DataSpec(source, folds=1), base=str(base or folder))
    with connect(url) as db:
        study = Studies(db).open("shop", to_plain(spec), "f", 0)
        Studies(db).set_state(study.id, state)
    return url


def worker(url: str, *more: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "hpo", "worker", "shop", "--storage", url, *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("source", "model", "named"), [
    ("shop_code:rows", "mlp", "data.source: expected nothing that runs code of the study's own, got shop_code:rows"),
    ("sklearn:wine", "shop_code:build",
     "space.model: expected nothing that runs code of the study's own, got shop_code:build"),
])  # fmt: skip
def test_code_is_refused_before_anything_is_imported(tmp_path: Path, source: str, model: str, named: str) -> None:
    (tmp_path / "shop_code.py").write_text(CODE)
    done = worker(recorded(tmp_path, source=source, model=model))
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert "--allow-code" in done.stderr
    assert not (tmp_path / "shop_code.imported").exists()


@pytest.mark.parametrize("words", [("lr", "--steps", "20"), ("gradients",)])
def test_looking_at_a_recorded_study_imports_no_code_either(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_code.py").write_text(CODE)
    url = recorded(tmp_path, source="shop_code:rows", model="shop_code:build")
    name, *more = words
    done = CliRunner().invoke(main, ["inspect", name, "shop", "--storage", url, *more])
    assert done.exit_code == 2
    assert "space.model: expected nothing that runs code" in done.stderr
    assert "shop_code" not in sys.modules


def test_code_is_imported_when_allowed(tmp_path: Path) -> None:
    (tmp_path / "shop_code.py").write_text(CODE)
    done = worker(recorded(tmp_path, source="shop_code:rows", state="finished"), "--allow-code")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shop_code.imported").exists()


def test_the_folder_of_a_study_without_code_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names a folder of another machine: what lies there under the name of an optional package stays unread."""
    from hpo.run import joining

    seen: list[list[str]] = []

    class Watched(joining.Worker):
        def step(self) -> int:
            seen.append(list(sys.path))
            Studies(connect(url)).set_state(self._study_id, "finished")
            return 0

    monkeypatch.setattr(joining, "Worker", Watched)
    monkeypatch.setattr(joining.Succession, "look", lambda self: None)
    url = recorded(tmp_path, source="sklearn:wine")
    joining.work("shop", storage=url)
    assert seen
    assert all(str(tmp_path) not in path for path in seen)


def test_a_stage_trains_the_studys_model_whatever_its_row_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []

    def opened(*, space: Any, **more: Any) -> FakeSession:
        models.append(space.model)
        return FakeSession(**more)

    monkeypatch.setattr(hpo.training.engine, "open_session", opened)
    with bench(tmp_path) as here:
        plain = json.dumps(space_to_plain(SPACE) | {"model": "evil:build"})
        stage = here.studies.begin_stage(
            here.study.id, "tune", 1, 4, "f", "validation metric", "maximize", 9, plain, None
        )
        here.trial(stage, 0)
        assert drain(here.worker()) == 1
    assert models == ["mlp"]


@pytest.mark.parametrize(("model", "allowed"), [("mlp", False), ("nets:build", True)])
def test_local_workers_may_import_what_the_users_own_study_names(model: str, allowed: bool) -> None:
    spec = StudySpec("shop", replace(SPACE, model=model), DataSpec("sklearn:wine"))
    pool = Pool(spec, "sqlite://", 1, data_dir=None, artifacts="a", memory=None)
    assert ("--allow-code" in pool._command) == allowed
