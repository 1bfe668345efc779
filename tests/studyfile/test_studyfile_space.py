"""Search spaces that are good: entries, conditions, code, custom models, and the way back to a file's form."""

import sys

import pytest

from hpo.space import Choice, Fixed, FloatRange, IntRange, Kind, SearchSpace, known
from hpo.studyfile import load_space, load_study
from hpo.studyfile.spacefile import document

OPTIMIZER = {"name": {"choice": ["adam", "momentum", "nesterov"]}}


def space(model="mlp", **sections):
    return load_space({"model": model, **sections})


ENTRIES = {
    "fixed": (("architecture", "units", 32), Fixed(32), 32),
    "fixed number becomes real": (("optimizer", "learning_rate", 1), Fixed(1.0), 1.0),
    "real": (("optimizer", "learning_rate", {"float": [1, 2]}), FloatRange(1.0, 2.0), 1.5),
    "real, log": (("optimizer", "learning_rate", {"float": [1e-4, 1e-2], "log": True}),
                  FloatRange(1e-4, 1e-2, log=True), 1e-3),
    "whole": (("architecture", "units", {"int": [1, 9]}), IntRange(1, 9), 5),
    "whole, log": (("architecture", "units", {"int": [4, 16], "log": True}), IntRange(4, 16, log=True), 8),
    "whole for a real one": (("schedule", "warmup_epochs", {"int": [0, 4]}), IntRange(0, 4), 0.0),
    "choice": (("architecture", "activation", {"choice": ["tanh", "relu"]}), Choice(("tanh", "relu")), "relu"),
    "choice without the known default": (("architecture", "activation", {"choice": ["tanh", "elu"]}),
                                         Choice(("tanh", "elu")), "tanh"),
    "choice of one": (("architecture", "activation", {"choice": ["tanh"]}), Fixed("tanh"), "tanh"),
    "choice of numbers": (("regularization", "l2", {"choice": [0, 1e-3]}), Choice((0.0, 1e-3)), 0.0),
    "default stated": (("optimizer", "learning_rate", {"float": [1, 9], "default": 2}), FloatRange(1.0, 9.0), 2.0),
    "known default": (("optimizer", "momentum", {"float": [0.5, 0.99]}), FloatRange(0.5, 0.99), 0.9),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "range_", "default"), ENTRIES.values(), ids=ENTRIES)
def test_entries(entry, range_, default):
    section, key, value = entry
    made = space(**{"optimizer": OPTIMIZER, section: {**(OPTIMIZER if section == "optimizer" else {}), key: value}})
    assert made[key].range == range_
    assert made[key].default == pytest.approx(default) if isinstance(default, float) else made[key].default == default
    assert type(made[key].default) is type(default)
    assert made.holds(made.default())


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_what_is_not_mentioned_is_there_fixed_and_unstated(model):
    made = space(model, optimizer=OPTIMIZER)
    catalogue = known(model)
    assert set(made.names) == set(catalogue)
    assert made.unstated == set(catalogue) - {"optimizer"}
    assert made["units" if model == "mlp" else "filters"].range == Fixed(64 if model == "mlp" else 16)
    for h in made.hyperparameters:
        assert h.kind is catalogue[h.name].kind
        assert h.when == catalogue[h.name].when


def test_known_conditions_apply_and_stated_ones_narrow_them():
    made = space(optimizer={**OPTIMIZER, "momentum": {"float": [0.5, 0.9], "when": {"name": "nesterov"}}})
    assert made["momentum"].when == (("optimizer", ("nesterov",)),)
    assert made["rho"].when == (("optimizer", ("rmsprop",)),)
    assert not made.active("momentum", {"optimizer": "momentum"})


def test_conditions_reach_over_sections_and_chain():
    made = space(
        architecture={"units": {"int": [8, 64], "when": {"hidden_layers": [1, 2], "optimizer": "adam"}}},
        optimizer={**OPTIMIZER, "momentum": {"float": [0.5, 0.9], "when": {"units": 8}}},
    )
    assert made["units"].when == (("hidden_layers", (1, 2)), ("optimizer", ("adam",)))
    names = made.names
    for h in made.hyperparameters:
        assert all(names.index(on) < names.index(h.name) for on, _ in h.when)
    # units matters under adam alone, momentum under momentum alone: the chain can never hold
    values = {"hidden_layers": 1, "optimizer": "momentum", "units": 8}
    assert not made.active("momentum", values)


def test_name_means_the_sections_own():
    made = space(
        optimizer=OPTIMIZER,
        schedule={
            "name": {"choice": ["constant", "step"]},
            "decay_rate": {"float": [0.1, 0.9], "when": {"name": "step"}},
        },
    )
    assert made["schedule"].range == Choice(("constant", "step"))
    assert made["decay_rate"].when == (("schedule", ("step",)),)


CUSTOM = {
    "model": "nets:build",
    "optimizer": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
    "heads": {
        "heads": {"int": [1, 8], "log": True},
        "gain": {"float": [0.5, 2.0], "kind": "number", "when": {"heads": [2, 4]}},
        "mode": {"value": "wide", "kind": "start"},
        "name": {"choice": ["a", "b"]},
        "depth": {"value": 2, "when": {"name": "a"}},
    },
}


def test_a_custom_model_has_its_own_hyperparameters():
    made = load_space(CUSTOM)
    assert made.model == "nets:build"
    assert (made["heads"].kind, made["gain"].kind, made["mode"].kind) == (Kind.STRUCTURE, Kind.NUMBER, Kind.START)
    assert (made["mode"].range, made["name"].range) == (Fixed("wide"), Choice(("a", "b")))
    assert made["gain"].when == (("heads", (2, 4)),)
    assert made["depth"].when == (("name", ("a",)),), "only a section that is a hyperparameter has a name of its own"
    assert "units" not in made
    assert "dropout" in made.unstated


@pytest.mark.parametrize("source", ["mlp", "cnn", CUSTOM], ids=["mlp", "cnn", "custom"])
def test_a_space_goes_into_its_files_form_and_back(source):
    made = load_space(source)
    assert load_space(document(made)) == made


@pytest.mark.parametrize("form", ["dict", "SearchSpace"])
def test_code_may_give_the_space(tmp_path, monkeypatch, form):
    module = f"my_space_{form.lower()}"
    made = space(optimizer=OPTIMIZER, architecture={"units": {"int": [2, 4]}})
    result = repr(document(made)) if form == "dict" else f"load_space({document(made)!r})"
    (tmp_path / f"{module}.py").write_text(
        f"from hpo.studyfile import load_space\n\n\ndef make():\n    return {result}\n"
    )
    monkeypatch.chdir("/")
    before = list(sys.path)
    assert load_space(f"{module}:make", base=str(tmp_path)) == made
    assert sys.path == before
    assert isinstance(made, SearchSpace)


def test_a_near_miss_in_a_custom_model_is_taken_but_said(tmp_path):
    text = 'model = "nets:build"\n[optimizer]\nlearning_rat = { float = [0.1, 1.0] }\n'
    (tmp_path / "space.toml").write_text(text)
    (tmp_path / "study.toml").write_text('space = "space.toml"\n[data]\nsource = "sklearn:wine"\n')
    (warning,) = load_study(str(tmp_path / "study.toml")).warnings
    assert "`learning_rate`?" in warning
