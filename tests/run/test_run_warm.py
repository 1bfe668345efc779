"""Stages begin with what did well elsewhere: moved into their space, no two alike, few in a small stage."""

from pathlib import Path

import pytest
from run_support import SPACE, bench

from hpo.run.warm import MOST, chosen_elsewhere, warm_starts
from hpo.values import Verdict

DEFAULT = SPACE.default()


@pytest.mark.parametrize(("planned", "most"), [(7, 0), (24, 3), (400, MOST), (None, MOST)])
def test_there_are_few_in_a_small_stage_and_all_lie_in_the_space(planned: int | None, most: int) -> None:
    found = warm_starts(SPACE, [DEFAULT], planned, None, elsewhere=(), bundled=True)
    assert len(found) <= most
    assert bool(found) == bool(most)
    assert all(SPACE.holds(c) for _, c in found)
    varying = [SPACE.active_varying(c) for _, c in found]
    assert all(v not in varying[:k] and v != SPACE.active_varying(DEFAULT) for k, v in enumerate(varying))


def test_other_studies_come_first_and_are_moved_into_the_space() -> None:
    other = {**DEFAULT, "learning_rate": 5.0, "units": 16, "dropout": 0.25, "strange": 3}
    found = warm_starts(SPACE, [DEFAULT], 24, None, elsewhere=(other, other), bundled=True)
    assert [origin for origin, _ in found] == ["warm_start", "portfolio"]
    assert {**SPACE.active_varying(found[0][1])} == {"units": 16, "learning_rate": 0.1, "dropout": 0.25}
    assert warm_starts(SPACE, [DEFAULT], 24, None, elsewhere=(DEFAULT,), bundled=False) == []


def test_only_finished_studies_of_the_same_task_and_model_are_asked(tmp_path: Path) -> None:
    with bench(tmp_path) as here:
        for name, model, task, state in (
            ("old", "mlp", "binary", "finished"), ("new", "mlp", "binary", "finished"),
            ("other", "cnn", "binary", "finished"), ("numbers", "mlp", "regression", "finished"),
            ("cut", "mlp", "binary", "stopped"),
        ):  # fmt: skip
            study = here.studies.open(name, {"name": name, "space": {"model": model}}, "f", 0)
            here.studies.describe_data(study.id, task, "accuracy", "maximize", "s", "d")
            stage = here.studies.begin_stage(
                study.id, "tune", 1, 4, "f", "validation metric", "maximize", 9, None, None
            )
            here.studies.end_stage(stage.id, Verdict("go on", "Done.", {}, {"configuration": {"units": len(name)}}), ())
            here.studies.set_state(study.id, state)  # type: ignore[arg-type]
        assert chosen_elsewhere(here.studies, "mine", "binary", "mlp") == ({"units": 3}, {"units": 3})
        assert len(chosen_elsewhere(here.studies, "new", "binary", "mlp")) == 1
