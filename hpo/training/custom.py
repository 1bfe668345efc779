"""Models of the user's own: a function, found by name, that builds a Keras model."""

import importlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpo.errors import InputError, Problem
from hpo.space import SearchSpace
from hpo.training.backend import keras
from hpo.training.layers import set_strengths
from hpo.values import Configuration, TaskFacts


def custom_model(space: SearchSpace, configuration: Configuration, facts: TaskFacts, seed: int) -> keras.Model:
    """The model of `module:function`, called as build(structure, input_shape, outputs), with first weights from `seed`.

    Strengths are the non-trainable variables that it names after hyperparameters; they get the configuration's values.
    Raises InputError where the function cannot be found or gives something else.
    """
    function = _function(space.model)
    with _seeded(seed):
        model = function(space.structure(configuration), facts.input_shape, facts.outputs)
    expected = (None, facts.outputs)
    if not isinstance(model, keras.Model) or tuple(getattr(model, "output_shape", ())) != expected:
        got = type(model).__name__ if not isinstance(model, keras.Model) else f"outputs of shape {model.output_shape}"
        raise InputError(
            Problem(
                "search space", "model", f"{space.model} to return a keras.Model with outputs of shape {expected}",
                got, "Build the model with keras.Input(input_shape) and a last layer of `outputs` units.",
            )
        )  # fmt: skip
    set_strengths(model, configuration, seed)
    return model


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            Problem(
                "search space", "model", "mlp, cnn, or module:function that can be imported", f"{path} ({error})",
                "Install the module or put it on PYTHONPATH, and check the function's name.",
            )
        ) from error  # fmt: skip
    if not callable(function):
        raise InputError(
            Problem("search space", "model", "a function", f"{path}, which cannot be called", "Name a function.")
        )
    return function  # type: ignore[no-any-return]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Keras draws the seeds of unseeded layers from Python's generator: set for the time of a build, then put back."""
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
