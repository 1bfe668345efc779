"""Keras's optimizers with their coefficients as variables, and the rate of every step read from a table.

One compiled program so serves every learning rate, schedule, momentum, rho, beta, epsilon and weight decay. The
variables belong to the optimizer: JAX's trainer hands an optimizer no others.
"""

from typing import Any

import numpy as np

from hpo.training.backend import host, keras, ops
from hpo.values import Array, Configuration

_COEFFICIENTS = {
    "momentum": ("momentum",),
    "nesterov": ("momentum",),
    "rmsprop": ("rho", "epsilon"),
    "adam": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
}

_LEFT = "_left"
_COMPLEMENTED = ("rho", "beta_1", "beta_2")
"""1 - beta has a variable of its own: subtracted in 32 bits, 1 - 0.999 is off by one part in 80,000."""


def family(optimizer: str) -> str:
    """The optimizer whose program serves: gradient descent is momentum with a factor of zero, to the bit."""
    return "momentum" if optimizer == "sgd" else optimizer


class _Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rate of a step: entry `step` modulo the steps of an epoch. Refilled at each epoch's begin."""

    def __init__(self) -> None:
        self.values: Any = None

    def __call__(self, step: Any) -> Any:
        if self.values is None:  # Keras asks once before the variable can exist
            return ops.convert_to_tensor(0.0)
        return ops.take(ops.convert_to_tensor(self.values), ops.mod(ops.cast(step, "int32"), self.values.shape[0]))

    def get_config(self) -> dict[str, Any]:
        return {}


class _Measured:
    """Adds up the squared norm of each step's gradient, which the learning curve is given."""

    gradient_square: Any

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        total = sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads)
        self.assign_add(self.gradient_square, total)
        super().apply(grads, trainable_variables)  # type: ignore[misc]


class Momentum(_Measured, keras.optimizers.SGD):  # type: ignore[misc]
    """velocity = momentum * velocity - rate * gradient; Keras's class asks in Python whether momentum is zero."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        step = ops.multiply(ops.cast(gradient, variable.dtype), rate)
        velocity = self.momentums[self._get_variable_index(variable)]
        factor = ops.cast(self.momentum, variable.dtype)
        self.assign(velocity, ops.subtract(ops.multiply(velocity, factor), step))
        if self.nesterov:
            self.assign_add(variable, ops.subtract(ops.multiply(velocity, factor), step))
        else:
            self.assign_add(variable, velocity)


class RMSprop(_Measured, keras.optimizers.RMSprop):  # type: ignore[misc]
    """w -= rate * g / sqrt(v + epsilon), v = rho * v + (1 - rho) * g**2, epsilon inside the root as in Keras."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        v = self._velocities[self._get_variable_index(variable)]
        self.assign(v, ops.add(ops.multiply(self.rho, v), ops.multiply(self.rho_left, ops.square(gradient))))
        self.assign_sub(variable, ops.divide(ops.multiply(rate, gradient), ops.sqrt(ops.add(v, self.epsilon))))


class _AdamRule(_Measured):
    """Adam (Kingma and Ba 2014) with Keras's epsilon: that of the formula just before the paper's section 2.1."""

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        m = self._momentums[self._get_variable_index(variable)]
        v = self._velocities[self._get_variable_index(variable)]
        alpha = rate * ops.sqrt(1 - ops.power(self.beta_2, step)) / (1 - ops.power(self.beta_1, step))
        self.assign_add(m, ops.multiply(ops.subtract(gradient, m), self.beta_1_left))
        self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), self.beta_2_left))
        self.assign_sub(variable, ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(v), self.epsilon)))


class Adam(_AdamRule, keras.optimizers.Adam):  # type: ignore[misc]
    """Adam, its coefficients variables."""


class AdamW(_AdamRule, keras.optimizers.AdamW):  # type: ignore[misc]
    """Adam after w -= rate * weight_decay * w, of all weights as in Keras (Loshchilov and Hutter 2019)."""


_CLASSES: dict[str, Any] = {
    "momentum": lambda rate: Momentum(rate, momentum=0.5),
    "nesterov": lambda rate: Momentum(rate, momentum=0.5, nesterov=True),
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


class TunableOptimizer:
    """One of Keras's optimizers (`.keras`) with what can be changed between runs, and its state."""

    def __init__(self, name: str, steps: int, variables: list[Any]) -> None:
        table = _Table()
        self.keras = _CLASSES[name](table)
        self.keras.build(variables)
        self._coefficients: dict[str, Any] = {}
        for coefficient in _COEFFICIENTS[name]:
            self._add(coefficient)
            if coefficient in _COMPLEMENTED:
                self._add(coefficient + _LEFT)
        self._table = self.keras.add_variable((steps,), dtype="float32", name="rates")
        table.values = self._table
        self.keras.gradient_square = self.keras.add_variable((), dtype="float32", name="gradient_square")
        self._steps = steps
        settings = {id(v) for v in (self._table, self.keras.gradient_square, *self._coefficients.values())}
        self.state = [v for v in self.keras.variables if id(v) not in settings]
        """The step count and the moments: what a run owns."""

    def _add(self, name: str) -> None:
        self._coefficients[name] = self.keras.add_variable((), dtype="float32", name=name)
        setattr(self.keras, name, self._coefficients[name])

    def configure(self, configuration: Configuration) -> None:
        """Take the configuration's coefficients."""
        for name, variable in self._coefficients.items():
            if name == "momentum" and configuration["optimizer"] == "sgd":
                variable.assign(0.0)
            elif name.endswith(_LEFT):
                variable.assign(1.0 - float(configuration[name.removesuffix(_LEFT)]))
            else:
                variable.assign(float(configuration[name]))

    def set_rates(self, rates: Array) -> None:
        """The rates of the coming epoch's steps, (steps,)."""
        self._table.assign(np.asarray(rates, np.float32))
        self.keras.gradient_square.assign(0.0)

    @property
    def gradient_norm(self) -> float:
        """Of the gradient, penalties included: root mean square over the steps since `set_rates`."""
        return float(np.sqrt(host(self.keras.gradient_square) / self._steps))


def stock(configuration: Configuration, learning_rate: float | Any) -> keras.optimizers.Optimizer:
    """The same update rule as Keras ships it."""
    number = {k: float(configuration[k]) for names in _COEFFICIENTS.values() for k in names}
    match configuration["optimizer"]:
        case "sgd":
            return keras.optimizers.SGD(learning_rate)
        case "momentum" | "nesterov" as name:
            return keras.optimizers.SGD(learning_rate, momentum=number["momentum"], nesterov=name == "nesterov")
        case "rmsprop":
            return keras.optimizers.RMSprop(learning_rate, rho=number["rho"], epsilon=number["epsilon"])
        case name:
            kind = keras.optimizers.AdamW if name == "adamw" else keras.optimizers.Adam
            return kind(learning_rate, **{k: number[k] for k in _COEFFICIENTS[str(name)]})
