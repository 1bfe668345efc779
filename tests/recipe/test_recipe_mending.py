"""What a stage does about the configuration it began with."""

from dataclasses import replace

import pytest

from hpo.recipe.mending import Round, next_configuration, told
from hpo.recipe.remedies import ROUNDS
from hpo.recipe.stages import stage_space
from hpo.space import SearchSpace
from hpo.studyfile import load_space
from hpo.values import Configuration, Diagnosis

HOSTILE = {
    "model": "mlp",
    "architecture": {
        "hidden_layers": {"int": [1, 10], "default": 10},
        "activation": {"choice": ["relu", "sigmoid"], "default": "sigmoid"},
        "initializer": {"choice": ["match", "normal_1.0"], "default": "normal_1.0"},
    },
    "optimizer": {"name": {"choice": ["adam", "sgd"], "default": "sgd"},
                  "learning_rate": {"float": [1e-4, 1.0], "log": True, "default": 1.0}},
    "regularization": {"dropout": {"float": [0.0, 0.5], "default": 0.0}},
}  # fmt: skip


def whole() -> SearchSpace:
    return load_space(HOSTILE)


def overfits(space: SearchSpace) -> SearchSpace:
    return stage_space("overfit", space, space.default())


def round_(number: int, configuration: Configuration, name: str, value: float | None = 1.0) -> Round:
    return Round(number, configuration, Diagnosis(name, "", {}), value)


def chain(*names: str) -> list[Round]:
    """The default of the hostile space and its remedies, each diagnosed as told."""
    space, rounds = overfits(whole()), []
    configuration: Configuration | None = space.default()
    for number, name in enumerate(names):
        assert configuration is not None
        rounds.append(round_(4 * number, configuration, name, 2.0 - number))
        configuration = next_configuration(rounds, "overfit", space)
    return rounds


def test_what_ails_is_mended_round_by_round() -> None:
    rounds = chain("saturated", "vanishing gradient", "diverged", "overfit")
    assert [r.configuration["initializer"] for r in rounds] == ["normal_1.0", "match", "match", "match"]
    assert [r.configuration["activation"] for r in rounds] == ["sigmoid", "sigmoid", "relu", "relu"]
    assert rounds[3].configuration["learning_rate"] < 0.2
    assert all(overfits(whole()).holds(r.configuration) for r in rounds)
    assert next_configuration(rounds, "overfit", overfits(whole())) is None
    sentence = told(rounds, "overfit", overfits(whole()), whole(), "training loss")
    assert sentence.startswith(" The configuration it began with (trial 0) was saturated; changed: initializer")
    assert "normal_1.0 to match (trial 4, then vanishing gradient)" in sentence
    assert "sigmoid to relu (trial 8, then diverged)" in sentence
    assert "training loss went from 2 to -1" in sentence
    assert "fixes" not in sentence


@pytest.mark.parametrize("name", ["healthy", "overfit"])
def test_what_overfit_wants_is_not_mended(name: str) -> None:
    rounds = chain(name)
    assert next_configuration(rounds, "overfit", overfits(whole())) is None
    assert told(rounds, "overfit", overfits(whole()), whole(), "training loss") == ""


def test_a_gap_asks_regularize_for_stronger_regularization() -> None:
    space = stage_space("regularize", whole(), whole().default())
    rounds = [round_(0, space.default(), "overfit")]
    mended = next_configuration(rounds, "regularize", space)
    assert mended is not None
    changed = {name for name in mended if mended[name] != rounds[0].configuration[name]}
    assert changed == {"dropout"}  # all that this stage varies here
    assert float(mended["dropout"]) > 0


def test_what_the_user_fixed_is_complained_of_and_what_another_stage_varies_is_not() -> None:
    fixed = {**HOSTILE, "architecture": {**HOSTILE["architecture"], "activation": "sigmoid",  # type: ignore[dict-item]
                                         "initializer": "normal_1.0"}}  # fmt: skip
    stated = load_space(fixed)
    space = overfits(stated)
    rounds = [round_(0, space.default(), "vanishing gradient")]
    mended = next_configuration(rounds, "overfit", space)
    assert mended is None or mended["initializer"] == "normal_1.0"
    sentence = told(rounds, "overfit", space, stated, "training loss")
    assert "Trial 0 is diagnosed with vanishing gradient, and the study fixes what would mend it: " in sentence
    assert "initializer = match in place of normal_1.0" in sentence
    assert "batch_normalization" not in sentence


def test_it_ends_after_some_rounds_and_never_returns() -> None:
    rounds = chain("saturated")
    space = overfits(whole())
    while (mended := next_configuration(rounds, "overfit", space)) is not None:
        assert mended not in [r.configuration for r in rounds]
        rounds.append(round_(len(rounds), mended, "vanishing gradient"))
    assert 1 < len(rounds) <= ROUNDS + 1
    assert next_configuration([], "overfit", space) is None
    assert next_configuration([replace(rounds[0])] * (ROUNDS + 1), "overfit", space) is None
