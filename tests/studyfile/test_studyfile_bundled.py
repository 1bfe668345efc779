"""Bundled files are found in a checkout and in an installed wheel alike."""

import importlib.util
import shutil
from pathlib import Path

import pytest

import hpo.bundled
from hpo.errors import Fault


def installed(folder, *, inside):
    """`hpo.bundled` as it would lie in `folder`, with its files inside the package or beside it."""
    package = folder / "hpo"
    (package / "_bundled" / "studies" if inside else folder / "studies").mkdir(parents=True)
    package.mkdir(exist_ok=True)
    shutil.copy(hpo.bundled.__file__, package / "bundled.py")
    spec = importlib.util.spec_from_file_location("bundled_elsewhere", package / "bundled.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("inside", "place"), [(True, "hpo/_bundled/studies"), (False, "studies")])
def test_both_places_are_found(tmp_path, inside, place):
    assert installed(tmp_path, inside=inside).bundled("studies") == tmp_path / Path(place)


def test_a_damaged_installation_is_said_so(tmp_path):
    with pytest.raises(Fault, match="alembic"):
        installed(tmp_path, inside=True).bundled("alembic")


def test_every_folder_is_there():
    for folder in ("studies", "search_spaces", "alembic"):
        assert hpo.bundled.bundled(folder).is_dir()
