"""From a source's name to what it holds."""

import importlib
import io
import zipfile
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.callables import call, is_callable_name
from hpo.data.contents import array_content, bytes_content
from hpo.data.places import Location, Place, fetch, locate
from hpo.data.problems import listed, nearest, refuse, setting
from hpo.data.raw import Raw, RawArrays, RawTable
from hpo.data.textfiles import read_text_table
from hpo.errors import InputError
from hpo.studyfile.spec import DataSpec
from hpo.values import Array

SKLEARN = "sklearn:"
_CLASSES = ("digits", "breast_cancer", "wine", "iris")
_NUMBERS = ("diabetes",)
_ARRAYS = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y"))


def read_source(spec: DataSpec, place: Place) -> Raw:
    """What `source` holds. Raises InputError where it cannot be found, read or understood."""
    key = "data.source"
    if spec.source.startswith(SKLEARN):
        return _sklearn(spec.source)
    if is_callable_name(spec.source):
        return call(spec.source, place, key, spec.target)
    return _file(locate(spec.source, place, key), spec.header, key)


def read_test_source(spec: DataSpec, place: Place) -> RawTable:
    """What `test_source` holds, a table in the same form. Raises InputError otherwise."""
    key, source = "data.test_source", spec.test_source or ""
    raw = _file(locate(source, place, key), spec.header, key)
    if isinstance(raw, RawTable):
        return raw
    remedy = "Put x_train, y_train, x_test and y_test into one npz file and leave test_source out."
    raise InputError(setting(key, "a table", f'"{source}"', remedy))


def _file(location: Location, header: bool, key: str) -> Raw:
    content = fetch(location, key)
    if location.form == "npz":
        return _npz(content, location.shown)
    if location.form == "parquet":
        try:
            frame = pd.read_parquet(io.BytesIO(content))
        except (ValueError, OSError) as error:
            remedy = "Check that it is a parquet file, whole."
            raise refuse(location.shown, "", "a parquet file", str(error).splitlines()[0], remedy) from error
        return RawTable(frame.set_axis([str(name) for name in frame.columns], axis=1), True, bytes_content(content))
    frame, separator = read_text_table(content, location.form, header, location.shown)
    return RawTable(frame, header, bytes_content(content), separator)


def _npz(content: bytes, where: str) -> RawArrays:
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays: dict[str, Array] = {name.lower(): loaded[name] for name in getattr(loaded, "files", ())}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        remedy = "Save plain arrays with numpy.savez; arrays of objects are not read, as they can run code."
        raise refuse(where, "", "an npz file of plain arrays", str(error), remedy) from error
    for names in _ARRAYS:
        if all(name in arrays for name in names):
            x, y, *rest = (arrays[name] for name in names)
            return RawArrays(x, y, bytes_content(content), (rest[0], rest[1]) if rest else None)
    expected = "arrays named x_train, y_train, x_test, y_test, or x and y"
    raise refuse(where, "", expected, listed(arrays) or "none", "Save them under these names.")


def _sklearn(source: str) -> RawArrays:
    name = source.removeprefix(SKLEARN)
    known = (*_CLASSES, *_NUMBERS)
    if name not in known:
        remedy = nearest(name, known) + "Other sets of scikit-learn are downloads: name a file or a function instead."
        raise InputError(setting("data.source", "sklearn: and one of " + ", ".join(known), f'"{source}"', remedy))
    bunch: Any = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
    labels = tuple(str(label) for label in bunch.target_names) if name in _CLASSES else ()
    x, y = np.asarray(bunch.data), np.asarray(bunch.target)
    names = tuple(str(n) for n in bunch.feature_names)
    return RawArrays(x, y, array_content(x, y), names=names, classifies=name in _CLASSES, labels=labels)
