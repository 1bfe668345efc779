"""The study in the database is stock Optuna's."""

from pathlib import Path

import optuna
import pytest

from hpo.errors import Fault
from hpo.search import create_optuna_study


def test_stock_optuna_opens_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    create_optuna_study(url, "digits/tune", "maximize", {"stage": "tune"})
    create_optuna_study(url, "digits/tune", "maximize", {"stage": "tune"})
    create_optuna_study(url, "digits/overfit", "minimize")
    assert capfd.readouterr() == ("", "")
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="digits/tune", storage=storage)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs == {"stage": "tune"}
    assert len(storage.get_all_studies()) == 2
    study.add_trial(optuna.create_trial(value=0.5, params={}, distributions={}))
    create_optuna_study(url, "digits/tune", "maximize")
    assert len(study.trials) == 1
    storage.remove_session()
    storage.engine.dispose()


def test_another_direction_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    create_optuna_study(url, "a", "maximize")
    with pytest.raises(Fault, match="exists and is to maximize"):
        create_optuna_study(url, "a", "minimize")
