"""What practice says of a space, and losses that a task does not have."""

import pytest

from hpo.errors import InputError
from hpo.studyfile import load_space
from hpo.studyfile.guidance import advice, check_loss
from hpo.values import Task

QUIET = {"hidden_layers": {"int": [1, 3]}}


def space(**sections):
    return load_space({"model": "mlp", **{name: dict(entries) for name, entries in sections.items()}})


@pytest.mark.parametrize(
    ("sections", "task", "word"),
    [
        ({"architecture": {**QUIET, "activation": "tanh", "batch_normalization": {"choice": ["none", "before"]}}}, None,
         "before tanh"),
        ({"architecture": {**QUIET, "activation": "relu", "batch_normalization": "after"}}, None, "after relu"),
        ({"architecture": {**QUIET, "batch_normalization": {"choice": ["before", "after"]}}}, Task.REGRESSION,
         "absolute scale"),
        ({"architecture": {**QUIET, "batch_normalization": "before"}, "regularization": {"dropout": 0.2}}, None,
         "behind the last"),
        ({"architecture": {"hidden_layers": {"int": [1, 8]}}}, None, "8 layers"),
        ({"architecture": {"units": {"int": [512, 1024]}}, "regularization": {"dropout": {"float": [0.0, 0.3]}}}, None,
         "0.5 to 0.8"),
    ],
)  # fmt: skip
def test_practice_is_told(sections, task, word):
    (sentence,) = advice(space(**sections), task)
    assert word in sentence
    key = sentence.split(":")[0]
    assert key.split(".")[0] in ("architecture", "regularization")


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_bundled_spaces_follow_practice(name):
    assert list(advice(load_space(name), Task.MULTICLASS)) == []


def test_what_the_other_choice_covers_is_not_told():
    both = {**QUIET, "activation": {"choice": ["relu", "tanh"]}, "batch_normalization": {"choice": ["none", "before"]}}
    assert list(advice(space(architecture=both), None)) == []
    centered = {"hidden_layers": {"int": [1, 8]}, "weight_normalization": {"choice": ["none", "centered"]}}
    assert list(advice(space(architecture=centered), None)) == []


def test_a_loss_that_the_task_does_not_have_is_refused():
    losses = space(architecture=QUIET, loss={"name": {"choice": ["match", "mae", "focal"]}})
    with pytest.raises(InputError, match=r"loss\.name: .*cross_entropy, focal.* mae"):
        check_loss(losses, Task.BINARY, "study 'x'")
    with pytest.raises(InputError, match="focal"):
        check_loss(losses, Task.REGRESSION, "study 'x'")
    check_loss(space(architecture=QUIET, loss={"name": "huber"}), Task.REGRESSION, "study 'x'")
