"""All optimizers as one update rule with coefficients, so that the optimizer is a number of the compiled program.

Symbols: w a weight, g its gradient, m and v the two moments (zero at first), t the step counted from 1, r its learning
rate. One step is

    m <- decay_m m + gain_m g
    v <- decay_v v + gain_v g^2
    w <- keep w + (by_m m + by_g g) / (sqrt(v + inside) + outside)

| optimizer | decay_m | gain_m | decay_v | gain_v | keep | by_m | by_g | inside | outside |
|---|---|---|---|---|---|---|---|---|---|
| sgd, momentum | momentum | -r | 0 | 0 | 1 | 1 | 0 | 1 | 0 |
| nesterov | momentum | -r | 0 | 0 | 1 | momentum | -r | 1 | 0 |
| rmsprop | 0 | 0 | rho | 1 - rho | 1 | 0 | -r | epsilon | 0 |
| adam, adamw | beta_1 | 1 - beta_1 | beta_2 | 1 - beta_2 | 1 - r weight_decay | -a | 0 | 0 | epsilon |

with a = r sqrt(1 - beta_2^t) / (1 - beta_1^t), and weight_decay zero for adam. Each row is Keras's form: the rate
inside the velocity (Sutskever et al. 2013), epsilon inside the root for rmsprop and outside for Adam (Kingma and Ba
2014, the formula before section 2.1), decoupled decay of all weights (Loshchilov and Hutter 2019).
"""

from typing import Any

import numpy as np

from hpo.training.backend import ops
from hpo.values import Array, Configuration

COEFFICIENTS = ("decay_m", "gain_m", "decay_v", "gain_v", "keep", "by_m", "by_g", "inside", "outside")


def coefficients(configuration: Configuration, rates: Array, first: int) -> Array:
    """The coefficients of the steps first + 1, first + 2, ..., float64, (steps, 9); `rates` (steps,)."""
    number = {k: float(v) for k, v in configuration.items() if isinstance(v, (int, float))}
    name = str(configuration["optimizer"])
    step = first + 1 + np.arange(len(rates), dtype=np.float64)
    plain = {"keep": 1.0, "inside": 1.0}
    momentum = 0.0 if name == "sgd" else number["momentum"]
    match name:
        case "sgd" | "momentum":
            row: dict[str, Any] = plain | {"decay_m": momentum, "gain_m": -rates, "by_m": 1.0}
        case "nesterov":
            row = plain | {"decay_m": momentum, "gain_m": -rates, "by_m": momentum, "by_g": -rates}
        case "rmsprop":
            rho = number["rho"]
            row = plain | {"decay_v": rho, "gain_v": 1 - rho, "by_g": -rates, "inside": number["epsilon"]}
        case "adam" | "adamw":
            one, two = number["beta_1"], number["beta_2"]
            decay = number["weight_decay"] if name == "adamw" else 0.0
            alpha = rates * np.sqrt(1 - two**step) / (1 - one**step)
            row = {
                "decay_m": one, "gain_m": 1 - one, "decay_v": two, "gain_v": 1 - two, "keep": 1 - rates * decay,
                "by_m": -alpha, "outside": number["epsilon"],
            }  # fmt: skip
        case _:
            raise ValueError(f"there is no update rule for {name!r}")
    table = np.zeros((len(rates), len(COEFFICIENTS)))
    for i, coefficient in enumerate(COEFFICIENTS):
        table[:, i] = row.get(coefficient, 0.0)
    return table


def at_rest() -> Array:
    """The coefficients that change nothing but forget the moments, (9,): for a slot without a run."""
    return np.array([float(name in ("keep", "inside")) for name in COEFFICIENTS])


def step(w: Any, m: Any, v: Any, g: Any, table: Any) -> tuple[Any, Any, Any]:
    """One step of one array over all slots: w, m, v, g (slots, ...); the 9 of `table` broadcast against them."""
    decay_m, gain_m, decay_v, gain_v, keep, by_m, by_g, inside, outside = (table[i] for i in range(len(COEFFICIENTS)))
    m = decay_m * m + gain_m * g
    v = decay_v * v + gain_v * g * g
    return keep * w + (by_m * m + by_g * g) / (ops.sqrt(v + inside) + outside), m, v
