"""The wheel works on its own: nothing of the checkout is in reach, and a bundled study runs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_alone_runs_a_bundled_study(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    for needed in ("studies/digits.toml", "search_spaces/mlp.toml", "alembic/env.py", "alembic/versions/0001_first.py"):
        assert f"hpo/_bundled/{needed}" in names
    assert not any(name.startswith(("tests/", "alembic/", "studies/")) for name in names)
    code = "import hpo, sys; print(hpo.__file__); from hpo.cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "run", "digits", "--trials", "3", "--epochs", "1"], cwd=tmp_path, text=True,
        capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "digits-bundle" / "model.keras").is_file()
