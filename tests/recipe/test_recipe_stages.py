"""What each stage varies, held against the whole catalogue."""

import pytest

from hpo.recipe.stages import OFF, SEARCHING, searched
from hpo.space import Fixed, Hyperparameter
from hpo.space.catalogue import CNN, MLP, Known

KNOWN = {k.name: k for k in (*MLP, *CNN)}


def stages_of(known: Known) -> list[str]:
    hyperparameter = Hyperparameter(
        known.name, known.section, known.kind, Fixed(known.default), known.default, known.when
    )
    return [stage for stage in SEARCHING if searched(stage, hyperparameter)]


@pytest.mark.parametrize("name", KNOWN)
def test_every_hyperparameter_is_searched_in_some_stage(name: str) -> None:
    assert stages_of(KNOWN[name])


@pytest.mark.parametrize("name", [k.name for k in KNOWN.values() if k.section == "regularization"])
def test_regularizers_wait_for_their_stage_and_are_off_before(name: str) -> None:
    assert "regularize" in stages_of(KNOWN[name])
    assert "overfit" not in stages_of(KNOWN[name])
    assert OFF[name] == 0
