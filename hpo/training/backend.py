"""The thin seam between Keras's backends, and the one place that imports Keras.

Keras is imported from here, so that the backend and the loudness of TensorFlow are settled first. Under
`KERAS_BACKEND=jax` TensorFlow is never imported. One process has one backend.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hpo.errors import InputError, Problem
from hpo.training.devices import growing, memory_limit
from hpo.training.quiet import without_chatter
from hpo.values import Array

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ |= growing()
with without_chatter():
    import keras
    import numpy as np
    from keras import ops


class _NoTensorFlow(MetaPathFinder):
    """Makes `import tensorflow` fail as if it were not installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "tensorflow":
            raise ModuleNotFoundError("TensorFlow is kept out of a process with KERAS_BACKEND=jax", name=fullname)


if keras.backend.backend() == "jax":
    # Keras's serialization asks whether TensorFlow is there by importing it, for seconds and half a gigabyte. An entry
    # of None in `sys.modules` would not do: Keras's Rescaling takes any entry for the module.
    sys.meta_path.insert(0, _NoTensorFlow())

__all__ = [
    "assign", "compiled_outputs", "device", "double_precision", "gradient", "host", "keras",
    "normalizes_in_double", "ops", "policy", "prepare", "step_source",
]  # fmt: skip

Loss = Callable[[Any, Any], Any]
"""(y, z) -> the mean loss of a batch as a tensor."""


def _jax() -> bool:
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise InputError(
            Problem("environment", "KERAS_BACKEND", "tensorflow or jax", str(name), "Set KERAS_BACKEND to one of them.")
        )
    return bool(name == "jax")


@cache
def prepare() -> str:
    """Settle the backend before its first use: how memory of GPUs is taken, one BLAS thread. Returns the device's name.

    Cohorts train in threads of their own. NumPy's small products beside them would be shared among BLAS's threads,
    which wait for the next by spinning: with them, reading the layers' health doubled the time of a cohort.
    """
    threadpool_limits(1, "blas")
    if not _jax():
        import tensorflow as tf

        limit = memory_limit()
        with without_chatter():
            for gpu in tf.config.list_physical_devices("GPU"):
                if limit is None:
                    tf.config.experimental.set_memory_growth(gpu, True)
                else:  # TensorFlow takes one or the other; growth within the limit is what the environment says
                    share = tf.config.LogicalDeviceConfiguration(memory_limit=limit)
                    tf.config.set_logical_device_configuration(gpu, [share])
    return device()


@cache
def device() -> str:
    """`cpu`, or the GPU's name."""
    if _jax():
        import jax

        first = jax.devices()[0]
        return "cpu" if first.platform == "cpu" else str(first.device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu")) if gpus else "cpu"


@contextmanager
def policy(name: str) -> Iterator[None]:
    """Layers made inside compute in `name`: `float32`, `float64`, or `mixed`: bfloat16 with float32 weights.

    bfloat16 has float32's exponents, so no loss needs scaling.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if name == "mixed" else name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def double_precision() -> Iterator[None]:
    """64-bit arithmetic, which JAX must be asked for."""
    if not _jax():
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def normalizes_in_double() -> bool:
    """Whether Keras's batch normalization computes in 64 bits when told to: not under JAX (Keras 3.15)."""
    return not _jax()


def host(variable: Any) -> Array:
    """A copy of a variable or tensor in NumPy: TensorFlow's own view would change with the variable.

    Not through `ops.convert_to_numpy`, which under TensorFlow 2.21 and NumPy 2 warns of a deprecated protocol.
    """
    tensor = ops.convert_to_tensor(variable)
    return np.array(tensor if _jax() else tensor.numpy())


def assign(variables: Sequence[Any], values: Sequence[Array]) -> None:
    """Write values into variables of the same shapes."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def step_source(steps: int) -> Any:
    """What `fit` is fed: the number of each step of an epoch, (1,) each. Rows are looked up inside the program."""
    numbers = np.arange(steps, dtype=np.int32)[:, None]
    if _jax():
        return numbers
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(numbers).repeat()


def compiled_outputs(network: keras.Model) -> Callable[[Any], Array]:
    """The network in inference mode as one compiled function of a batch."""
    if _jax():
        import jax

        run = jax.jit(lambda t, n, x: network.stateless_call(t, n, x, training=False)[0])
        return lambda x: host(run(*_values(network), x))
    import tensorflow as tf

    function = tf.function(lambda x: network(x, training=False), reduce_retracing=True)
    return lambda x: host(function(x))


def gradient(network: keras.Model, loss: Loss, x: Any, y: Any) -> tuple[float, list[Array]]:
    """The loss and its gradient by every trainable weight, in inference mode, uncompiled."""
    if _jax():
        value, parts = _jax_gradient(network, loss, *_values(network), x, y)
    else:
        value, parts = _tape_gradient(network, loss, x, y)
    return float(value), [host(p) for p in parts]


def _values(network: keras.Model) -> tuple[list[Any], list[Any]]:
    return [v.value for v in network.trainable_variables], [v.value for v in network.non_trainable_variables]


def _jax_gradient(network: keras.Model, loss: Loss, t: list[Any], n: list[Any], x: Any, y: Any) -> Any:
    import jax

    return jax.value_and_grad(lambda weights: loss(y, network.stateless_call(weights, n, x, training=False)[0]))(t)


def _tape_gradient(network: keras.Model, loss: Loss, x: Any, y: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(y, network(x, training=False))
    weights = [v.value for v in network.trainable_variables]
    return value, tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
