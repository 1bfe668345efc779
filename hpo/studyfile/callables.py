"""The user's own Python code, named as `module:function`."""

import importlib
from pathlib import Path
from typing import Any

from hpo.errors import InputError, Problem
from hpo.importing import importable
from hpo.studyfile.reading import suggestion


def call(reference: str, base: Path, *, where: str, key: str) -> Any:
    """What the function gives when called without arguments; its module may lie in `base`.

    Raises InputError where it cannot be imported, found or called. What the function itself raises is passed on.
    """
    module_name, _, function_name = reference.partition(":")
    try:
        with importable(base):
            module = importlib.import_module(module_name)
    except ImportError as error:
        remedy = f"Put {module_name.split('.')[0]}.py into {base.resolve()}, or install the package that holds it."
        raise InputError(Problem(where, key, f"a module {module_name}", str(error), remedy)) from error
    except SyntaxError as error:
        got = f"{error.msg} in line {error.lineno} of {error.filename}"
        raise InputError(Problem(where, key, f"Python code in {module_name}", got, "Mend that line.")) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
        remedy = suggestion(function_name, names, f"Define {function_name} in that module.")
        got = "no such function" if function is None else type(function).__name__
        raise InputError(Problem(where, key, f"a function {function_name} in {module_name}", got, remedy))
    return function()
