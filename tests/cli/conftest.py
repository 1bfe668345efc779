"""A finished study in a database, for the commands that show results."""

import importlib.util
from pathlib import Path

import pytest

_WRITER = Path(__file__).parent.parent / "reports" / "finished_study.py"


@pytest.fixture(scope="session")
def study_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the finished study `digits`; for reading only."""
    # Loaded by its path: the folders of tests are no packages.
    found = importlib.util.spec_from_file_location("finished_study_of_reports", _WRITER)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    url = f"sqlite:///{tmp_path_factory.mktemp('study')}/hpo.db"
    module.write_finished_study(url)
    return url
