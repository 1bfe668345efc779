"""All optimizers as one update rule with coefficients, so that the optimizer is a number of the compiled program.

Symbols: w a weight, g its gradient, m and v the two moments (zero at first), t the step counted from 1, r its learning
rate. One step is

    m <- decay_m m + gain_m g
    v <- decay_v v + gain_v g^2
    u <- by_m m + by_g g
    w <- keep w + u / (sqrt(v + inside) + outside),    and where sign is not zero  w <- keep w + sign * signum(u)

| optimizer | decay_m | gain_m | decay_v | gain_v | keep | by_m | by_g | inside | outside | sign |
|---|---|---|---|---|---|---|---|---|---|---|
| sgd, momentum | momentum | -r | 0 | 0 | 1 | 1 | 0 | 1 | 0 | 0 |
| nesterov | momentum | -r | 0 | 0 | 1 | momentum | -r | 1 | 0 | 0 |
| rmsprop | 0 | 0 | rho | 1 - rho | 1 | 0 | -r | epsilon | 0 | 0 |
| adagrad | 0 | 0 | 1 | 1 | 1 | 0 | -r | epsilon + 0.1 | 0 | 0 |
| adam, adamw | b | 1 - b | c | 1 - c | 1 - r d | -r s / (1 - b^t) | 0 | 0 | epsilon | 0 |
| nadam | b | 1 - b | c | 1 - c | 1 | -r s n_t+1 / (1 - N_t+1) | -r s (1 - n_t) / (1 - N_t) | 0 | s epsilon | 0 |
| lion | c | 1 - c | 0 | 0 | 1 - r d | b / c | 1 - b / c | 1 | 0 | -r |

with b = beta_1, c = beta_2, d = weight_decay (zero for adam), s = sqrt(1 - c^t), n_t = b (1 - 0.96^t / 2) and
N_t = n_1 n_2 ... n_t. Each row is Keras's form: the rate inside the velocity (Sutskever et al. 2013), epsilon inside
the root for rmsprop and adagrad (Duchi et al. 2011, whose sum starts at 0.1), outside for Adam (Kingma and Ba 2014, the
formula before section 2.1), Nadam's momentum schedule (Dozat 2016), decoupled decay of all weights (Loshchilov and
Hutter 2019). Lion (Chen et al. 2023) takes the sign of b m + (1 - b) g with m from before its step: written here with
the m after it.

`clip_norm` c > 0 comes before all this: gradients of a norm above c, over all weights together, are scaled down to it.
"""

from typing import Any

import numpy as np

from hpo.training.backend import ops
from hpo.training.constants import MAX_NORM_EPSILON
from hpo.values import Array, Configuration

COEFFICIENTS = ("decay_m", "gain_m", "decay_v", "gain_v", "keep", "by_m", "by_g", "inside", "outside", "sign")
_PLAIN = {"keep": 1.0, "inside": 1.0}
_ADAGRAD_START = 0.1
_LONGEST_PRODUCT = 10_000
"""Steps after which Nadam's product, below 1e-6 for any beta_1, is left as it is."""


def coefficients(configuration: Configuration, rates: Array, first: int) -> Array:
    """The coefficients of the steps first + 1, first + 2, ..., float64, (steps, 10); `rates` (steps,)."""
    number = {k: float(v) for k, v in configuration.items() if isinstance(v, (int, float))}
    step = first + 1 + np.arange(len(rates), dtype=np.float64)
    row = _row(str(configuration["optimizer"]), number, rates, step)
    table = np.zeros((len(rates), len(COEFFICIENTS)))
    for i, coefficient in enumerate(COEFFICIENTS):
        table[:, i] = row.get(coefficient, 0.0)
    return table


def _row(name: str, number: dict[str, float], rates: Array, step: Array) -> dict[str, Any]:
    momentum, epsilon = number.get("momentum", 0.0), number.get("epsilon", 0.0)
    one, two = number.get("beta_1", 0.0), number.get("beta_2", 0.0)
    match name:
        case "sgd":
            return _PLAIN | {"gain_m": -rates, "by_m": 1.0}
        case "momentum":
            return _PLAIN | {"decay_m": momentum, "gain_m": -rates, "by_m": 1.0}
        case "nesterov":
            return _PLAIN | {"decay_m": momentum, "gain_m": -rates, "by_m": momentum, "by_g": -rates}
        case "rmsprop":
            rho = number["rho"]
            return {"keep": 1.0, "decay_v": rho, "gain_v": 1 - rho, "by_g": -rates, "inside": epsilon}
        case "adagrad":
            return {"keep": 1.0, "decay_v": 1.0, "gain_v": 1.0, "by_g": -rates, "inside": epsilon + _ADAGRAD_START}
        case "lion":
            ratio = one / two
            return _PLAIN | {
                "decay_m": two, "gain_m": 1 - two, "by_m": ratio, "by_g": 1 - ratio, "sign": -rates,
                "keep": 1 - rates * number["weight_decay"],
            }  # fmt: skip
        case "adam" | "adamw" | "nadam":
            root = np.sqrt(1 - two**step)
            moments = {"decay_m": one, "gain_m": 1 - one, "decay_v": two, "gain_v": 1 - two, "keep": 1.0}
            if name == "nadam":
                now, after, product = _nadam(one, step)
                return moments | {
                    "by_m": -rates * root * after / (1 - product * after),
                    "by_g": -rates * root * (1 - now) / (1 - product), "outside": root * epsilon,
                }  # fmt: skip
            decay = number["weight_decay"] if name == "adamw" else 0.0
            return moments | {
                "by_m": -rates * root / (1 - one**step), "keep": 1 - rates * decay, "outside": epsilon
            }  # fmt: skip
    raise ValueError(f"there is no update rule for {name!r}")


def _nadam(beta_1: float, step: Array) -> tuple[Array, Array, Array]:
    """(n_t, n_t+1, N_t) at the steps."""
    all_steps = np.arange(1, min(step[-1], _LONGEST_PRODUCT) + 1)
    products = np.cumprod(beta_1 * (1 - 0.5 * 0.96**all_steps))
    product = products[np.minimum(step, len(products)).astype(int) - 1]
    return beta_1 * (1 - 0.5 * 0.96**step), beta_1 * (1 - 0.5 * 0.96 ** (step + 1)), product


def signed(configuration: Configuration) -> bool:
    """Whether the configuration's optimizer goes by the sign: a part of the program that others do without."""
    return configuration["optimizer"] == "lion"


def at_rest() -> Array:
    """The coefficients that change nothing but forget the moments, (10,): for a slot without a run."""
    return np.array([float(name in ("keep", "inside")) for name in COEFFICIENTS])


def step(w: Any, m: Any, v: Any, g: Any, table: Any, *, signs: bool = False) -> tuple[Any, Any, Any]:
    """One step of one array over all slots: w, m, v, g (slots, ...); the 10 of `table` broadcast against them.

    `signs`: whether the program has the part that goes by the sign.
    """
    decay_m, gain_m, decay_v, gain_v, keep, by_m, by_g, inside, outside, sign = (
        table[i] for i in range(len(COEFFICIENTS))
    )
    m = decay_m * m + gain_m * g
    v = decay_v * v + gain_v * g * g
    u = by_m * m + by_g * g
    change = u / (ops.sqrt(v + inside) + outside)
    if signs:
        change = ops.where(sign != 0, sign * ops.sign(u), change)
    return keep * w + change, m, v


def clipping(square: Any, clip_norm: Any) -> Any:
    """What gradients of squared norm `square` are multiplied with, so that the norm is at most `clip_norm`; 0: one.

    Keras's `global_clipnorm`. Where the norm is no number, neither is the factor.
    """
    norm = ops.sqrt(square)
    return ops.where(clip_norm > 0, clip_norm / ops.maximum(norm, clip_norm), ops.ones_like(norm))


def bounded(kernel: Any, max_norm: Any, axis: int | tuple[int, ...]) -> Any:
    """The kernel with the incoming weights of each unit, along `axis`, scaled down to `max_norm`; 0: as they are.

    Srivastava et al. (2014), in the form of Keras's `MaxNorm`.
    """
    norm = ops.sqrt(ops.sum(ops.square(kernel), axis=axis, keepdims=True))
    factor = ops.minimum(norm, max_norm) / (norm + MAX_NORM_EPSILON)
    return kernel * ops.where(max_norm > 0, factor, ops.ones_like(norm))
