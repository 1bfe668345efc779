"""What the compiled engine needs of a framework: gradient, loop, map over chunks, compile. TensorFlow or JAX."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpo.training.backend import keras
from hpo.training.session import OutOfMemory
from hpo.values import Array

Tensors = list[Any]


def _jax() -> bool:
    return bool(keras.backend.backend() == "jax")


def gradient(loss: Callable[[Tensors], tuple[Any, Any]], weights: Tensors) -> tuple[Tensors, Any]:
    """(gradients, what else was given) of `loss(weights) -> (scalar, anything else)`."""
    if _jax():
        import jax

        return jax.grad(loss, has_aux=True)(weights)  # type: ignore[no-any-return]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(weights)
        value, rest = loss(weights)
    return tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO), rest


def loop(count: int, body: Callable[[Any, Any], Any], state: Any) -> Any:
    """`state = body(i, state)` for i below count, as one operation of the program."""
    if _jax():
        import jax

        return jax.lax.fori_loop(0, count, body, state)
    import tensorflow as tf

    return tf.while_loop(
        lambda i, s: i < count, lambda i, s: (i + 1, body(i, s)), (tf.constant(0), state), maximum_iterations=count
    )[1]


def each(count: int, function: Callable[[Any], Any], dtype: str) -> Any:
    """`function(i)` for i below count, stacked, one after another: bounds the memory that they take."""
    if _jax():
        import jax

        return jax.lax.map(function, jax.numpy.arange(count))
    import tensorflow as tf

    return tf.map_fn(function, tf.range(count), fn_output_signature=dtype, parallel_iterations=1)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one XLA program."""
    if _jax():
        import jax

        return jax.jit(function)  # type: ignore[no-any-return]
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[no-any-return]


@contextmanager
def room() -> Iterator[None]:
    """Turns what a framework raises where the device has no memory left into OutOfMemory."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory from error
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error) or type(error).__name__ == "ResourceExhaustedError":
            raise OutOfMemory from error
        raise


def to_device(arrays: Sequence[Any]) -> Tensors:
    """Copies on the device: where a backend would rather share a host array's memory, it is copied first."""
    if _jax():
        import jax

        return [jax.numpy.array(a) for a in arrays]
    import tensorflow as tf

    return [tf.constant(a) for a in arrays]


def to_host(tensor: Any) -> Array:
    """The tensor in NumPy, not to be written to."""
    return np.asarray(tensor if _jax() else tensor.numpy())
