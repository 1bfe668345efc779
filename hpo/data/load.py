"""From `[data]` of a study file to a `Dataset`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.columns import Column, number, number_column, parse_column
from hpo.data.contents import array_content
from hpo.data.dataset import Dataset
from hpo.data.encode import TableEncoder, as_images, fit_table
from hpo.data.places import Place
from hpo.data.prepared import Origin, Prepared
from hpo.data.problems import counted, listed, refuse, setting
from hpo.data.raw import RawArrays, RawTable
from hpo.data.roles import assign, resolve_target
from hpo.data.sources import read_source, read_test_source
from hpo.data.split import Division, divide, needed, sample, strata_of
from hpo.data.targets import Target, choose_metric, targets_of_test, understand
from hpo.errors import InputError
from hpo.studyfile.spec import DataSpec
from hpo.values import Array, TaskFacts, fingerprint, read_only


def load(
    spec: DataSpec, *, seed: int, metric: str | None, base: str, data_dir: str | None, allow_code: bool = True
) -> Dataset:
    """Reads, understands, divides and encodes the data. The same spec, seed and content give the same `Dataset`.

    base: folder of relative paths. data_dir: folder of `data-dir:` sources; None: the environment's HPO_DATA_DIR.
    Raises InputError for whatever the user can mend: see the modules for each kind.
    """
    place = Place(base, data_dir, allow_code)
    raw = read_source(spec, place)
    made = _from_arrays(raw, spec, seed) if isinstance(raw, RawArrays) else _from_table(raw, spec, seed, place)
    p = made.prepared
    chosen = choose_metric(metric, p.facts.task)
    read_only((p.x, p.y, p.x_test, p.y_test))
    rows = [array_content(made.rows, p.division.pool, p.division.test)]
    rows += [array_content(*pair) for pair in p.division.folds]
    settings = [p.scale, dict(p.preprocessing), p.facts.task, list(p.facts.classes), list(p.facts.input_shape)]
    whole = fingerprint([made.content, rows, settings])
    held_back = fingerprint([made.test_content, array_content(made.rows[p.division.test])])
    return Dataset(p, chosen, whole, held_back)


@dataclass(frozen=True, eq=False)
class _Made:
    prepared: Prepared
    rows: Array
    """Row numbers of the source that are used, ascending."""
    content: str
    test_content: str
    """Of whatever holds the test rows: the test file, or the source itself."""


@dataclass(frozen=True, eq=False)
class _TestPart:
    """Test rows that came on their own."""

    columns: Sequence[Column]
    y: Array
    raw: Any
    content: str


def _from_table(raw: RawTable, spec: DataSpec, seed: int, place: Place) -> _Made:
    frame = raw.frame
    if len(frame) == 0:
        got = "only a line of column names" if raw.header else "no row"
        raise refuse(spec.source, "", "a table with rows", got, "Name a file with data in it.")
    names = [str(name) for name in frame.columns]
    position = resolve_target(names, spec)
    columns = [parse_column(name, frame.iloc[:, i], spec.missing) for i, name in enumerate(names)]
    target_column = columns.pop(position)
    target = understand(target_column, spec)
    roles = assign(columns, spec)
    origin = Origin(
        spec.source, len(frame), len(columns), roles.dropped,
        {c.name: int(c.missing.sum()) for c in roles.kept if c.missing.any()},
        roles.mixed, target.name, target.guessed, header_note=_header_note(names) if raw.header else "",
    )  # fmt: skip
    test_frame, test_content = raw.test, raw.content
    if spec.test_source is not None:
        test_raw = read_test_source(spec, place)
        test_frame, test_content = test_raw.frame, test_raw.content
    test = None
    if test_frame is not None:
        source = spec.test_source or spec.source
        test, note = _test_table(test_frame, names, position, roles.kept, target, spec, source, test_content)
        origin = replace(origin, label_note=note)
    inputs = frame.drop(columns=frame.columns[position])

    def describe_encoding(encoder: TableEncoder) -> Mapping[str, Any]:
        return encoder.preprocessing(missing=spec.missing, header=raw.header, target=target.name,
                                     all_columns=[c.name for c in columns], dropped=list(roles.dropped),
                                     separator=raw.separator)  # fmt: skip

    return _from_columns(roles.kept, inputs, target, origin, spec, seed, test, raw.content, describe_encoding)


def _from_columns(kept: Sequence[Column], inputs: Any, target: Target, origin: Origin, spec: DataSpec, seed: int,
                  test: _TestPart | None, content: str, describe_encoding: Any) -> _Made:  # fmt: skip
    """inputs: the raw rows without the target, a DataFrame or an array, indexed by row."""
    rows, division = _divide(target, spec, seed, own_test=test is None)
    used, y = [c.take(rows) for c in kept], target.y[rows]
    pool = [c.take(division.pool) for c in used]
    fit_on = division.folds[0][0] if len(division.folds) == 1 else np.arange(len(division.pool))
    encoder = fit_table([c.take(fit_on) for c in pool])
    if test is None:
        test_rows = rows[division.test]
        raw_test = inputs[test_rows] if isinstance(inputs, np.ndarray) else inputs.iloc[test_rows]
        test = _TestPart([c.take(division.test) for c in used], y[division.test], raw_test, content)
    _within_float32([*used, *test.columns], spec.source)
    x, x_test = encoder.encode(pool), encoder.encode(test.columns)
    prepared = Prepared(
        TaskFacts(target.task, (encoder.features,), target.classes), origin, division, x, y[division.pool], x_test,
        test.y, test.raw, encoder.is_number, encoder.feature_names, tuple(pool), spec.scale, describe_encoding(encoder),
    )  # fmt: skip
    return _Made(prepared, rows, content, test.content)


def _divide(target: Target, spec: DataSpec, seed: int, *, own_test: bool) -> tuple[Array, Division]:
    """The rows of the source that are used, and their division."""
    classifies = target.task.classifies
    rows = sample(strata_of(target.y, classifies), spec.rows, seed, needed(own_test))
    return rows, divide(strata_of(target.y[rows], classifies), classifies, spec, seed, own_test)


def _test_table(frame: pd.DataFrame, names: Sequence[str], position: int, kept: Sequence[Column], target: Target,
                spec: DataSpec, source: str, content: str) -> tuple[_TestPart, str]:  # fmt: skip
    if len(frame) == 0:
        raise refuse(source, "", "a table with rows", "no row", "Name a test file with data in it.")
    found = [str(name) for name in frame.columns]
    if not spec.header and len(found) != len(names):
        expected = f"{len(names)} columns, as in {spec.source}"
        raise refuse(source, "", expected, str(len(found)), "Name a test file of the same form.")
    absent = [name for name in names if name not in found]
    if absent:
        remedy = "Name a test file with the same columns."
        raise refuse(source, "", f"the columns of {spec.source}", f"none named {listed(absent)}", remedy)
    frame = frame[list(names)]
    y, note = targets_of_test(parse_column(target.name, frame.iloc[:, position], spec.missing), target, source)
    columns = [_like(parse_column(c.name, frame[c.name], spec.missing), c, source) for c in kept]
    return _TestPart(columns, y, frame.drop(columns=frame.columns[position]), content), note


def _like(column: Column, train: Column, source: str) -> Column:
    """A test column read as its training column is. Raises InputError for texts among numbers."""
    if not train.is_number:
        return column.as_texts()
    if column.numbers is None:
        example = column.stray[0] if column.stray else (column.texts[0], int(np.argmax(column.codes >= 0)))
        remedy = "Mend the cell, or add its text to data.missing."
        raise refuse(source, column.name, "numbers, as in the training rows", f'"{example[0]}"', remedy)
    return column


def _from_arrays(raw: RawArrays, spec: DataSpec, seed: int) -> _Made:
    if spec.test_source is not None:
        remedy = "Leave it out: arrays bring their own test rows, or are split."
        raise InputError(setting("data.test_source", "none, as the source is arrays", f'"{spec.test_source}"', remedy))
    if spec.drop:
        remedy = "Leave it out, or give a table (csv, parquet, a DataFrame)."
        raise InputError(setting("data.drop", "nothing, as the source is arrays", f'"{spec.drop[0]}"', remedy))
    x = _checked_x(raw.x, spec.source, "x")
    target = understand(_target_column(raw.y, len(x), spec, "y"), spec, classifies=raw.classifies, labels=raw.labels)
    own = None
    if raw.test is not None:
        x_test = _checked_x(raw.test[0], spec.source, "x_test")
        if x_test.shape[1:] != x.shape[1:]:
            raise refuse(
                spec.source, "x_test", f"rows of shape {x.shape[1:]}", f"{x_test.shape[1:]}", "Mend the array."
            )
        column = _target_column(raw.test[1], len(x_test), spec, "y_test")
        own = (x_test, targets_of_test(column, target, spec.source, raw.labels)[0])
    if x.ndim > 2:
        return _from_images(x, target, own, spec, seed, raw.content)
    names = raw.names or tuple(f"x{i}" for i in range(x.shape[1]))
    columns = [number_column(name, x[:, i]) for i, name in enumerate(names)]
    missing = {c.name: int(c.missing.sum()) for c in columns if c.missing.any()}
    origin = Origin(spec.source, len(x), x.shape[1], missing=missing, target=target.name, guessed=target.guessed)
    test = None
    if own is not None:
        parts = [number_column(name, own[0][:, i]) for i, name in enumerate(names)]
        test = _TestPart(parts, own[1], own[0], raw.content)

    def describe_encoding(encoder: TableEncoder) -> Mapping[str, Any]:
        if not missing and not (test and any(c.missing.any() for c in test.columns)):
            return {"version": 1, "kind": "array", "features": encoder.features}
        return encoder.preprocessing(missing=spec.missing, header=False, target=None, all_columns=names, dropped=(),
                                     separator=None)  # fmt: skip

    return _from_columns(columns, x, target, origin, spec, seed, test, raw.content, describe_encoding)


def _from_images(x: Array, target: Target, own: tuple[Array, Array] | None, spec: DataSpec, seed: int,
                 content: str) -> _Made:  # fmt: skip
    x = as_images(x, spec.source)
    rows, division = _divide(target, spec, seed, own_test=own is None)
    y = target.y[rows]
    if own is None:
        x_test, y_test = x[rows[division.test]], y[division.test]
    else:
        x_test, y_test = as_images(own[0], spec.source), own[1]
    shape = tuple(int(n) for n in x.shape[1:])
    prepared = Prepared(
        TaskFacts(target.task, shape, target.classes),
        Origin(spec.source, len(x), int(np.prod(shape)), target=target.name, guessed=target.guessed),
        division, x[rows[division.pool]], y[division.pool], x_test, y_test, x_test, np.ones(shape[-1], bool), (), (),
        spec.scale, {"version": 1, "kind": "image", "shape": list(shape)},
    )  # fmt: skip
    return _Made(prepared, rows, content, content)


def _checked_x(x: Array, source: str, name: str) -> Array:
    """The same array, if it holds numbers in rows, and images no missing value. Raises InputError otherwise."""
    if x.dtype.kind not in "biuf":
        kind = "text" if x.dtype.kind in "USO" else str(x.dtype)
        remedy = "Turn texts into numbers, or give a table (csv, parquet, a DataFrame), which may hold texts."
        raise refuse(source, name, "an array of numbers", kind, remedy)
    if x.ndim < 2 or 0 in x.shape:
        expected = "rows of at least one feature: shape (rows, features) or images"
        raise refuse(source, name, expected, f"shape {x.shape}", "Mend the array.")
    if x.ndim > 2 and x.dtype.kind == "f" and not np.isfinite(x).all():
        raise refuse(source, name, "images without NaN or infinity", "some", "Mend or remove those images.")
    return x


def _target_column(y: Array, rows: int, spec: DataSpec, name: str) -> Column:
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim != 1 or len(flat) != rows:
        expected = f"one target a row: shape ({rows},)"
        raise refuse(spec.source, name, expected, f"shape {y.shape}", "Mend the array; classes are numbers or texts.")
    return parse_column("target", pd.Series(flat), spec.missing)


def _header_note(names: Sequence[str]) -> str:
    numeric = [name for name in names if number(name) is not None]
    return (
        f"{counted(len(numeric), 'column name')} of {len(names)} are numbers" if len(numeric) * 2 > len(names) else ""
    )


def _within_float32(columns: Sequence[Column], source: str) -> None:
    """Raises InputError where a number is too large to be encoded."""
    for column in columns:
        if column.numbers is not None and (np.abs(column.numbers) > np.finfo(np.float32).max).any():
            remedy = "Divide the column, or take its logarithm."
            raise refuse(source, column.name, "numbers below 3e38, the most that 32 bits hold", "larger ones", remedy)
