"""From trained members to one Keras model of stock layers, and what it must predict.

Symbols: x encoded, unscaled rows, float32 (rows, *input_shape); each member sees (x - offset) * scale of its own fold.
For classes the answer is the mean of the members' softmax; for regression the mean of y * target_scale +
target_offset, which is in the target's own unit.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.errors import InputError, Problem
from hpo.space import SearchSpace
from hpo.training.backend import keras
from hpo.training.builder import build
from hpo.training.weights import set_exported_weights
from hpo.values import Array, Configuration, FloatArray, Fold, TaskFacts

_BATCH = 1024


@dataclass(frozen=True, eq=False)
class Member:
    """One trained network of an ensemble."""

    configuration: Configuration
    weights: tuple[Array, ...]
    """As in `RunResult.weights`."""
    fold_index: int
    """The fold it was trained on: decides its scaling."""


def predict_members(
    space: SearchSpace, members: Sequence[Member], facts: TaskFacts, folds: Mapping[int, Fold], x: Array
) -> FloatArray:
    """What the exported network predicts, member by member in NumPy: p (rows, classes) or (rows, 1), own unit.

    Raises ValueError without members.
    """
    if not members:
        raise ValueError("An ensemble has at least one member, not 0.")
    encoded = np.asarray(x, dtype=np.float32)
    total = np.zeros((len(encoded), facts.outputs))
    for member in members:
        fold = folds[member.fold_index]
        outputs = batched(_stock(space, member, facts), (encoded - fold.offset) * fold.scale, facts.outputs)
        if facts.task.classifies:
            exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            total += exponentials / exponentials.sum(axis=1, keepdims=True)
        else:
            total += outputs * fold.target_scale + fold.target_offset
    return np.asarray(total / len(members), dtype=np.float32)


def assemble(space: SearchSpace, members: Sequence[Member], facts: TaskFacts, folds: Mapping[int, Fold]) -> keras.Model:
    """All members, their scaling and their mean as one Keras model of stock layers: x to p.

    Raises ValueError without members, and InputError where a custom model is not made of Keras's own layers.
    """
    if not members:
        raise ValueError("An ensemble has at least one member, not 0.")
    with _full_precision():
        rows = keras.Input(facts.input_shape, name="encoded_rows")
        outputs = [
            _member(space, member, facts, folds[member.fold_index], rows, i) for i, member in enumerate(members, 1)
        ]
        mean = outputs[0] if len(outputs) == 1 else keras.layers.Average(name="mean")(outputs)
        return keras.Model(rows, mean, name="hpo_export")


def _member(space: SearchSpace, member: Member, facts: TaskFacts, fold: Fold, rows: Any, number: int) -> Any:
    network = _stock(space, member, facts)
    foreign = foreign_parts(network)
    if foreign:
        raise InputError(
            Problem(
                "search space", "model", f"{space.model} to be made of Keras's own layers, so that it can be exported",
                ", ".join(foreign), "Build it with keras.Model(inputs, outputs) from stock layers.",
            )
        )  # fmt: skip
    # First the difference, then the factor: rows * scale + offset in one layer would cancel away the digits of a column
    # whose mean is large against its deviation. (Normalization takes a square root and bounds it from below.)
    x = keras.layers.Rescaling(1.0, _plain(-fold.offset), name=f"offset_{number}")(rows)
    x = keras.layers.Rescaling(_plain(fold.scale), name=f"scale_{number}")(x)
    output = keras.Model(network.inputs[0], network.outputs[0], name=f"member_{number}")(x)
    if facts.task.classifies:
        return keras.layers.Softmax(name=f"probabilities_{number}")(output)
    return keras.layers.Rescaling(float(fold.target_scale), float(fold.target_offset), name=f"unit_{number}")(output)


def foreign_parts(model: keras.Model) -> tuple[str, ...]:
    """Names of what a process without this one's code could not load; empty for a model of stock parts."""
    if not getattr(model, "inputs", None):
        return (f"{type(model).__name__}, a subclass of keras.Model",)
    try:
        config = json.loads(model.to_json())
    except (OSError, TypeError, NotImplementedError) as error:  # What Keras raises for parts it cannot write down.
        return (f"a part that Keras cannot save ({error})",)
    return tuple(dict.fromkeys(_foreign(config)))


def frozen_hash(
    space: SearchSpace,
    members: Sequence[Member],
    facts: TaskFacts,
    folds: Mapping[int, Fold],
    preprocessing: Mapping[str, Any],
) -> str:
    """Sha256 (64 hexadecimal digits) of all that decides the predictions: networks, weights, scaling, preprocessing."""
    digest = hashlib.sha256()

    def add(*plain: object) -> None:
        digest.update(json.dumps(plain, sort_keys=True, default=str).encode())

    add(space.model, facts.task, facts.input_shape, facts.classes, preprocessing)
    for member in members:
        fold = folds[member.fold_index]
        add(dict(member.configuration), fold.target_offset, fold.target_scale)
        for array in (*member.weights, fold.offset, fold.scale):
            plain = np.ascontiguousarray(array, dtype=np.float32)
            add(plain.shape)
            digest.update(plain.tobytes())
    return digest.hexdigest()


def _stock(space: SearchSpace, member: Member, facts: TaskFacts) -> keras.Model:
    with _full_precision():
        model = build(space, member.configuration, facts, seed=0, runtime=False)
    set_exported_weights(model, member.weights)
    return model


def batched(model: keras.Model, x: Array, outputs: int) -> Array:
    """The model's answers in inference mode, float64 (rows, outputs), a bounded number of rows at a time."""
    parts = [np.empty((0, outputs), dtype=np.float64)]
    for i in range(0, len(x), _BATCH):
        batch = np.asarray(x[i : i + _BATCH], dtype=np.float32)
        parts.append(np.asarray(keras.ops.convert_to_numpy(model(batch, training=False)), dtype=np.float64))
    return np.concatenate(parts)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Networks trained in mixed precision keep float32 weights, and are exported to compute in float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _plain(array: Array) -> Any:
    """A scaling as Keras writes it exactly: a number where one serves all inputs, else a float32 array."""
    array = np.asarray(array, dtype=np.float32)
    return float(array) if array.ndim == 0 else array


def _foreign(config: object) -> list[str]:
    """Names in a serialised model whose code lies outside Keras, or is written into the file (Lambda)."""
    if isinstance(config, list):
        return [name for part in config for name in _foreign(part)]
    if not isinstance(config, dict):
        return []
    found = [name for part in config.values() for name in _foreign(part)]
    if "class_name" in config and "config" in config:
        module, name = config.get("module"), str(config["class_name"])
        stock = module is not None and (module == "keras" or str(module).startswith("keras."))
        if name in ("Lambda", "__lambda__", "function"):
            found.append("a function of your own")
        elif not stock and "module" in config and module != "builtins":
            found.append(name)
    return found
