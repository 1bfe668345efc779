"""The update rule as Keras's `fit` takes it, and the same rules as Keras ships them.

One compiled program serves every optimizer, learning rate, schedule, momentum, beta, epsilon, decay and clipping: the
coefficients of an epoch's steps are a table (see `update_rule`) that is refilled at each epoch's begin. The variables
belong to the optimizer: JAX's trainer hands an optimizer no others.
"""

from typing import Any

import numpy as np

from hpo.training import update_rule
from hpo.training.backend import host, keras, ops
from hpo.values import Array, Configuration


class TableOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Follows a table of the update rule's coefficients, and adds up the squared norm of each step's gradient."""

    def __init__(self, steps: int, variables: list[Any], *, signs: bool) -> None:
        """`steps` an epoch; `signs`: whether the table may ask for steps that go by the sign."""
        super().__init__(learning_rate=0.0)
        self.build(variables)
        self._steps, self._signs = steps, signs
        count = len(update_rule.COEFFICIENTS)
        self._table = self.add_variable((steps, count), dtype="float32", name="coefficients")
        self._clip_norm = self.add_variable((), dtype="float32", name="clip_norm")
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
        factor = update_rule.clipping(square, ops.convert_to_tensor(self._clip_norm))
        row = ops.mod(ops.cast(self.iterations, "int32"), self._steps)
        table = ops.take(ops.convert_to_tensor(self._table), row, axis=0)
        coefficients = [table[i] for i in range(len(update_rule.COEFFICIENTS))]
        for g, variable, m, v in zip(
            grads, trainable_variables or self._trainable_variables, self._first, self._second, strict=True
        ):
            if g is None:
                continue
            kind = variable.dtype
            old = (variable, m, v)
            at, first, second = (ops.convert_to_tensor(a) for a in old)
            g = ops.cast(g, kind) * ops.cast(factor, kind)
            own = [ops.cast(c, kind) for c in coefficients]
            for held, new in zip(old, update_rule.step(at, first, second, g, own, signs=self._signs), strict=True):
                self.assign(held, new)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign_add(1)

    def begin_epoch(self, coefficients: Array, clip_norm: float) -> None:
        """The coefficients of the coming epoch's steps, (steps, 10)."""
        self._table.assign(np.asarray(coefficients, np.float32))
        self._clip_norm.assign(clip_norm)
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
