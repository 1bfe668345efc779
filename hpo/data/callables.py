"""Arrays or a table from a user's own `module:function`."""

import importlib
import re
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.contents import array_content, frame_content
from hpo.data.places import Place
from hpo.data.problems import nearest, refuse, setting
from hpo.data.raw import Raw, RawArrays, RawTable
from hpo.errors import InputError
from hpo.importing import importable

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_FORMS = "(x, y), (x_train, y_train, x_test, y_test) or a pandas DataFrame"


def is_callable_name(source: str) -> bool:
    """Whether a source has the form `module:function`."""
    return _NAME.fullmatch(source) is not None


def call(source: str, place: Place, key: str, target: str | int | None) -> Raw:
    """What the function returns, called without arguments; modules beside the study file are found first."""
    if not place.allow_code:
        expected, remedy = "a source that runs no code", "Allow code only from people you trust."
        raise InputError(setting(key, expected, f'"{source}"', remedy))
    module_name, function_name = source.split(":")
    with importable(place.base):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            remedy = f"Python found no module named {error.name!r}; put it beside the study file or install it."
            raise InputError(setting(key, "a module that can be imported", f'"{source}"', remedy)) from error
        function = getattr(module, function_name, None)
        if not callable(function):
            remedy = nearest(function_name, vars(module)) + "Name a function of the module."
            raise InputError(setting(key, f"a function in {module_name}", f'"{source}"', remedy))
        return _understood(function(), source, target)


def _understood(result: Any, source: str, target: str | int | None) -> Raw:
    if isinstance(result, pd.DataFrame):
        return RawTable(result, True, frame_content(result))
    if not isinstance(result, tuple) or len(result) not in (2, 4):
        got = f"{type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple) else "")
        raise refuse(source, "", _FORMS, got, "Change what the function returns.")
    if isinstance(result[0], pd.DataFrame):
        name = target if isinstance(target, str) else "target"
        train = result[0].assign(**{name: np.asarray(result[1])})
        test = result[2].assign(**{name: np.asarray(result[3])}) if len(result) == 4 else None
        content = frame_content(train) + (frame_content(test) if test is not None else "")
        return RawTable(train, True, content, test=test)
    arrays = [np.asarray(part) for part in result]
    test = (arrays[2], arrays[3]) if len(arrays) == 4 else None
    return RawArrays(arrays[0], arrays[1], array_content(*arrays), test)
