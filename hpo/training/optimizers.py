"""The update rule as Keras's `fit` takes it, and the same rules as Keras ships them.

One compiled program serves every optimizer, learning rate, schedule, momentum, beta, epsilon, decay and clipping: the
coefficients of an epoch's steps are a table (see `update_rule`) that is refilled at each epoch's begin. The variables
belong to the optimizer: JAX's trainer hands an optimizer no others.
"""

from typing import Any

import numpy as np

from hpo.training import update_rule
from hpo.training.backend import host, keras, ops
from hpo.training.constants import GRADIENT_NOISE
from hpo.training.layers import hashed_normal, noise_deviation
from hpo.values import Array, Configuration

_NUMBERS = ("clip_norm", "gradient_noise", "max_norm")


def optional_parts(configuration: Configuration) -> frozenset[str]:
    """What of a step a run may not need: it is compiled only where it does."""
    parts = {name for name in ("gradient_noise", "max_norm") if float(configuration[name]) > 0}
    return frozenset(parts | {"signs"} if update_rule.signed(configuration) else parts)


class TableOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Follows a table of the update rule's coefficients, and adds up the squared norm of each step's gradient."""

    def __init__(self, steps: int, variables: list[Any], *, parts: frozenset[str]) -> None:
        """`steps` an epoch; `parts`: see `optional_parts`."""
        super().__init__(learning_rate=0.0)
        self.build(variables)
        self._steps, self._parts = steps, parts
        count = len(update_rule.COEFFICIENTS)
        self._table = self.add_variable((steps, count), dtype="float32", name="coefficients")
        self._numbers = {name: self.add_variable((), dtype="float32", name=name) for name in _NUMBERS}
        self._run_seed = self.add_variable((), dtype="int32", name="run_seed")
        self._square = self.add_variable((), dtype="float32", name="gradient_square")

    def build(self, variables: list[Any]) -> None:
        """Make the moments."""
        if not self.built:
            super().build(variables)
            self._first = self.add_optimizer_variables(variables, "first")
            self._second = self.add_optimizer_variables(variables, "second")

    @property
    def state(self) -> list[Any]:
        """What a run owns: the count of steps, the first moments of all weights, then the second."""
        return [self.iterations, *self._first, *self._second]

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One step. A weight that the loss does not reach has no gradient.

        Keras's own would call `update_step` for each weight: what all share is worked out once here.
        """
        square = sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads if g is not None)
        self.assign_add(self._square, square)
        number = {name: ops.convert_to_tensor(variable) for name, variable in self._numbers.items()}
        factor = update_rule.clipping(square, number["clip_norm"])
        step = ops.cast(self.iterations, "int32")
        row = ops.mod(step, self._steps)
        table = ops.take(ops.convert_to_tensor(self._table), row, axis=0)
        coefficients = [table[i] for i in range(len(update_rule.COEFFICIENTS))]
        deviation = noise_deviation(number["gradient_noise"], ops.cast(step, "float32"))
        for n, (g, variable, m, v) in enumerate(zip(
            grads, trainable_variables or self._trainable_variables, self._first, self._second, strict=True
        )):  # fmt: skip
            if g is None:
                continue
            kind = variable.dtype
            old = (variable, m, v)
            at, first, second = (ops.convert_to_tensor(a) for a in old)
            g = ops.cast(g, kind) * ops.cast(factor, kind)
            if "gradient_noise" in self._parts:
                noise = hashed_normal(tuple(g.shape), self._run_seed, step, GRADIENT_NOISE + 2 * n)
                g = g + ops.cast(deviation * noise, kind)
            own = [ops.cast(c, kind) for c in coefficients]
            w, *moments = update_rule.step(at, first, second, g, own, signs="signs" in self._parts)
            if "max_norm" in self._parts and variable.name == "kernel":
                axes = tuple(range(len(w.shape) - 1))
                w = update_rule.bounded(w, ops.cast(number["max_norm"], kind), axis=axes)
            for held, new in zip(old, (w, *moments), strict=True):
                self.assign(held, new)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign_add(1)

    def begin(self, configuration: Configuration, seed: int) -> None:
        """Take over a run's numbers."""
        for name, variable in self._numbers.items():
            variable.assign(float(configuration[name]))
        self._run_seed.assign(seed)

    def begin_epoch(self, coefficients: Array) -> None:
        """The coefficients of the coming epoch's steps, (steps, 10)."""
        self._table.assign(np.asarray(coefficients, np.float32))
        self._square.assign(0.0)

    @property
    def gradient_norm(self) -> float:
        """Of the gradient, penalties included, before clipping: root mean square over the steps since `begin_epoch`."""
        return float(np.sqrt(host(self._square) / self._steps))


def stock(configuration: Configuration, learning_rate: float | Any) -> keras.optimizers.Optimizer:
    """The same update rule as Keras ships it."""

    def of(*names: str) -> dict[str, float]:
        return {name: float(configuration[name]) for name in names}

    clip = float(configuration["clip_norm"]) or None
    shipped, optimizer = keras.optimizers, str(configuration["optimizer"])
    kind, numbers = {
        "sgd": (shipped.SGD, {}),
        "momentum": (shipped.SGD, of("momentum")),
        "nesterov": (shipped.SGD, of("momentum") | {"nesterov": True}),
        "rmsprop": (shipped.RMSprop, of("rho", "epsilon")),
        "adagrad": (shipped.Adagrad, of("epsilon")),
        "adam": (shipped.Adam, of("beta_1", "beta_2", "epsilon")),
        "adamw": (shipped.AdamW, of("beta_1", "beta_2", "epsilon", "weight_decay")),
        "nadam": (shipped.Nadam, of("beta_1", "beta_2", "epsilon")),
        "lion": (shipped.Lion, of("beta_1", "beta_2", "weight_decay")),
    }[optimizer]
    return kind(learning_rate, global_clipnorm=clip, **numbers)
