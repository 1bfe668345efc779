"""Keras's optimizers with their coefficients as variables, and the rate of every step read from a table.

One compiled program so serves every learning rate, schedule, momentum, rho, beta, epsilon and weight decay. The variables
belong to the optimizer, because JAX's trainer hands an optimizer no others.
"""

from typing import Any

import numpy as np

from hpo.training.backend import keras, ops
from hpo.values import Configuration

_COEFFICIENTS = {
    "momentum": ("momentum",),
    "nesterov": ("momentum",),
    "rmsprop": ("rho", "epsilon"),
    "adam": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
}


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


class Momentum(keras.optimizers.SGD):  # type: ignore[misc]
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


_CLASSES: dict[str, Any] = {
    "momentum": lambda rate: Momentum(rate, momentum=0.5),
    "nesterov": lambda rate: Momentum(rate, momentum=0.5, nesterov=True),
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


class TunableOptimizer:
    """One of Keras's optimizers (`.keras`) with what can be changed between runs, and its state."""

    def __init__(self, name: str, steps: int, variables: list[Any]) -> None:
        table = _Table()
        self.keras = _CLASSES[name](table)
        self.coefficients: dict[str, Any] = {}
        with_weight_decay = self.keras.weight_decay
        self.keras.build(variables)
        for coefficient in _COEFFICIENTS[name]:
            self.coefficients[coefficient] = self.keras.add_variable((), dtype="float32", name=coefficient)
            setattr(self.keras, coefficient, self.coefficients[coefficient])
        if "weight_decay" not in self.coefficients:
            self.keras.weight_decay = with_weight_decay
        self.table = self.keras.add_variable((steps,), dtype="float32", name="rates")
        table.values = self.table
        settings = {id(v) for v in (self.table, *self.coefficients.values())}
        self.state = [v for v in self.keras.variables if id(v) not in settings]
        """The step count and the moments: what a run owns."""

    def configure(self, configuration: Configuration) -> None:
        """Take the configuration's coefficients."""
        for name, variable in self.coefficients.items():
            plain = name == "momentum" and configuration["optimizer"] == "sgd"
            variable.assign(0.0 if plain else float(configuration[name]))

    def set_rates(self, rates: Any) -> None:
        """The rates of the coming epoch's steps, (steps,)."""
        self.table.assign(np.asarray(rates, np.float32))


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
            kwargs = {k: number[k] for k in _COEFFICIENTS[str(name)]}
            return _CLASSES[str(name)](learning_rate, **kwargs)
