"""How the layers of any functional Keras model fare: what `hpo.training.health` reads of the `mlp`, with Keras.

Read of each layer with a kernel: h is the output of the activation that follows before the next kernel, else the
layer's own output. A unit is a channel, and each place of an image counts as a row. The model is called in inference
mode, without dropout and noise, but batch normalization goes by the rows' own statistics, as in training: the averages
it keeps say nothing yet of the first weights. Weights are handed in and updates thrown away, so that no variable of
the model is written to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.space import SearchSpace
from hpo.training import backend, seam
from hpo.training.backend import keras, ops
from hpo.training.builder import build
from hpo.training.health import ROWS, change, layer_health
from hpo.training.losses import program_loss
from hpo.training.weights import trained_variables
from hpo.values import Array, Configuration, LayerHealth, Task, TaskFacts

IMAGE_ROWS = 32
"""Rows of images, whose places add to them: with 64 three looks took 2 to 3 % of five epochs of 2,000 small images."""
_LONGEST_NAME = 128
"""Of a layer, in the records."""
_ACTIVATIONS = (
    "activation", "relu", "relu6", "leakyrelu", "prelu", "elu", "selu", "gelu", "silu", "softmax", "tanh", "sigmoid",
)  # fmt: skip
"""Layers and operations that are an activation, by the name of their class in small letters."""
_INPUTS_LAST = tuple(getattr(keras.layers, f"Conv{n}DTranspose") for n in (1, 2, 3))
_UNITS_IN_TWO_AXES = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_IMPOSSIBLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass
class _Seen:
    """A layer with a kernel in the model's graph."""

    layer: Any
    place: int
    """Of its kernel among the weights."""
    h: Any
    """A symbolic tensor (rows, ..., units)."""
    activation: str = "linear"


def reader_of(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, model: keras.Model
) -> "HealthReader | None":
    """What reads the health of `model`'s layers, a network in its runtime form; None where that is impossible.

    A custom model is impossible to read if it is not functional or has no layer with a kernel.
    """
    if ":" not in space.model:
        # Under weight normalization the exported kernel is none of the runtime form's variables.
        if configuration["weight_normalization"] == "centered":
            model = build(space, configuration, facts, seed=0, runtime=False)
        return HealthReader(model, facts.task, custom=False)
    try:
        reader = HealthReader(model, facts.task, custom=True)
    except _impossible():
        return None
    return reader if reader.seen else None


class HealthReader:
    """Of one network: its graph is looked through once, its gradient compiled at the first look."""

    def __init__(self, model: keras.Model, task: Task, *, custom: bool) -> None:
        self._task, self._custom = task, custom
        self._variables = trained_variables(model)
        self.seen: list[_Seen] = []
        self._waiting: dict[int, tuple[Any, list[_Seen]]] = {}
        # A view first: neither a Sequential's graph nor that of a model that its owner compiled can be called anew.
        view = keras.Model(model.inputs, model.outputs)
        view = keras.models.clone_model(view, clone_function=lambda layer: layer, call_function=self._called)
        self._waiting = {}
        self._inner = keras.Model(view.inputs, [*(s.h for s in self.seen), *view.outputs])
        self._compiled = _compiled(self._gradients)

    def read(
        self, weights: Sequence[Array], x: Array, y: Array, *, epoch: int, before: Sequence[Array] | None = None
    ) -> tuple[LayerHealth, ...]:
        """As `hpo.training.health.examined`; nothing where a custom model turns out to be impossible to read."""
        rows = min(IMAGE_ROWS if x.ndim > 2 else ROWS, len(y))
        try:
            given = [ops.convert_to_tensor(w) for w in weights]
            found = self._compiled(given, *map(ops.convert_to_tensor, (x[:rows], y[:rows])))
        except _impossible():
            if not self._custom:
                raise
            return ()
        last = len(self.seen) - 1
        with np.errstate(all="ignore"):
            return tuple(
                layer_health(
                    self._name(n), epoch, _flat(s.layer, weights[s.place]), _flat(s.layer, backend.host(gradient)),
                    backend.host(h).reshape(-1, h.shape[-1]),
                    change(weights[s.place], None if before is None else before[s.place]),
                    None if n == last else s.activation,
                )
                for n, (s, gradient, h) in enumerate(zip(self.seen, *found, strict=True))
            )  # fmt: skip

    def _name(self, n: int) -> str:
        if n == len(self.seen) - 1:
            return "output"
        name = str(self.seen[n].layer.name)[:_LONGEST_NAME]
        return f"hidden {n + 1}" if not self._custom else f"{name} {n + 1}" if name == "output" else name

    def _called(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a layer or operation of the graph anew, and see which kernel's units its output belongs to."""
        if isinstance(operation, keras.layers.BatchNormalization) and operation.trainable:
            kwargs["training"] = True
        output = operation(*args, **kwargs)
        given = [self._waiting[id(t)][1] for t in keras.tree.flatten((args, kwargs)) if id(t) in self._waiting]
        reaching = [s for each in given for s in each if s.activation == "linear"]
        activation = _activation(operation)
        if (found := self._kernel_layer(operation, output)) is not None:
            self.seen.append(found)
            reaching = [found] if found.activation == "linear" else []
        elif activation is not None:
            for s in reaching:
                s.h, s.activation = output, activation
            reaching = []
        for t in keras.tree.flatten(output):
            # Held with the tensor, whose id another could have once it is gone.
            self._waiting[id(t)] = (t, [s for s in reaching if s.h.shape[-1] == t.shape[-1]])
        return output

    def _kernel_layer(self, operation: Any, output: Any) -> _Seen | None:
        """None also of a layer that was seen before, and where the output's last axis is not that of the units."""
        kernel = getattr(operation, "_kernel", getattr(operation, "kernel", None))
        place = next((i for i, v in enumerate(self._variables) if v is kernel), None)
        if kernel is None or place is None or any(s.place == place for s in self.seen) or not hasattr(output, "shape"):
            return None
        if getattr(operation, "data_format", None) == "channels_first":
            return None
        if len(kernel.shape) < 2 or _flat(operation, np.empty(kernel.shape, bool)).shape[-1] != output.shape[-1]:
            return None
        own = getattr(getattr(operation, "activation", None), "__name__", "linear")
        return _Seen(operation, place, output, own)

    def _gradients(self, weights: list[Any], x: Any, y: Any) -> Any:
        """(dL/dW of each layer seen, h of each)."""

        def loss(kernels: list[Any]) -> Any:
            given = list(weights)
            for s, kernel in zip(self.seen, kernels, strict=True):
                given[s.place] = kernel
            with keras.StatelessScope(state_mapping=list(zip(self._variables, given, strict=True))):
                *h, z = self._inner(x)
            return program_loss(self._task, y, ops.cast(z, "float32")), [ops.cast(a, "float32") for a in h]

        return seam.gradient(loss, [weights[s.place] for s in self.seen])


def _activation(operation: Any) -> str | None:
    """The name of what an activation computes; None of other operations, and of one that does nothing."""
    if type(operation).__name__.lower() not in _ACTIVATIONS:
        return None
    own = getattr(operation, "activation", None)
    name = type(operation).__name__.lower() if own is None else str(getattr(own, "__name__", "custom"))
    return None if name == "linear" else name


def _flat(layer: Any, kernel: Array) -> Array:
    """A kernel as (inputs, units)."""
    if isinstance(layer, _UNITS_IN_TWO_AXES):
        return kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])
    if isinstance(layer, _INPUTS_LAST):
        kernel = kernel.swapaxes(-1, -2)
    return kernel.reshape(-1, kernel.shape[-1])


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Not by XLA under TensorFlow, and with little effort under JAX: three looks a run never pay for more."""
    if keras.backend.backend() == "jax":
        import jax

        options = {"xla_backend_optimization_level": 0} if backend.device() == "cpu" else None
        return jax.jit(function, compiler_options=options)  # type: ignore[no-any-return]
    import tensorflow as tf

    return tf.function(function, autograph=False)  # type: ignore[no-any-return]


def _impossible() -> tuple[type[Exception], ...]:
    """What Keras and its backend raise of a model that cannot be called in this way."""
    if keras.backend.backend() == "jax":
        return _IMPOSSIBLE
    import tensorflow as tf

    return (*_IMPOSSIBLE, tf.errors.OpError)
