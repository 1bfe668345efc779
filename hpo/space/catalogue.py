"""Every hyperparameter that the bundled models know: its section, kind, domain, default and meaning.

Keras's forms are ours: `l2` is the factor of the sum of squares (a textbook's lambda / 2), `momentum` is Keras's
(velocity = momentum * velocity - rate * gradient), `epsilon` is added outside the square root. Batch normalization's
place is relative to the activation.
"""

from dataclasses import dataclass
from enum import StrEnum

from hpo.space.ranges import Choice, FloatRange, IntRange
from hpo.values import Scalar


class Kind(StrEnum):
    """How a hyperparameter enters training: what must be compiled anew when it changes."""

    NUMBER = "number"
    """An input of the compiled program: free to change."""
    START = "start"
    """Decides the first weights only."""
    STRUCTURE = "structure"
    """Decides array shapes and the program itself."""
    DATA = "data"
    """Decides which arrays the program reads."""


@dataclass(frozen=True)
class Known:
    """What is known of a hyperparameter before any study: its widest sensible domain and its default."""

    name: str
    section: str
    kind: Kind
    domain: FloatRange | IntRange | Choice
    default: Scalar
    meaning: str
    when: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()
    """It matters only while each named hyperparameter has one of the values."""


ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "swish", "tanh", "sigmoid")
INITIALIZERS = (
    "match", "xavier_normal", "xavier_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "normal_0.01", "normal_1.0", "uniform", "orthogonal", "dropout_adjusted", "lsuv", "data_dependent", "constant",
    "zeros",
)  # fmt: skip
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "nadam", "lion")
SCHEDULES = (
    "constant", "exponential", "step", "polynomial", "cosine", "warm_restarts", "cyclic", "one_cycle",
)  # fmt: skip
BATCH_NORMALIZATION = ("none", "before", "after")
WEIGHT_NORMALIZATION = ("none", "centered")
LOSSES = {"cross_entropy": True, "focal": True, "mse": False, "mae": False, "huber": False}
"""Whether each is a loss of classes; the others are of numbers."""

_WITH_MOMENTUM = (("optimizer", ("momentum", "nesterov")),)
_ADAMS = (("optimizer", ("adam", "adamw", "nadam", "lion")),)
_DECOUPLED = (("optimizer", ("adamw", "lion")),)
_DECAYING = (("schedule", ("exponential", "step")),)
_FALLING = (("schedule", ("polynomial", "cosine", "warm_restarts", "cyclic", "one_cycle")),)

SHARED = (
    Known("activation", "architecture", Kind.NUMBER, Choice(ACTIVATIONS), "relu", "of the hidden layers"),
    Known("initializer", "architecture", Kind.START, Choice(INITIALIZERS), "match",
          "of the kernels; match: He for relu and its kin, Xavier for tanh and sigmoid, LeCun for selu; "
          "uniform: +-1/sqrt(fan_in); constant: 0.1; lsuv and data_dependent look at training rows"),
    Known("batch_normalization", "architecture", Kind.STRUCTURE, Choice(BATCH_NORMALIZATION), "none",
          "before or after the activation; per channel in convolutions"),
    Known("weight_normalization", "architecture", Kind.STRUCTURE, Choice(WEIGHT_NORMALIZATION), "none",
          "centered: each hidden unit's weights are a gain times a direction of mean zero"),
    Known("optimizer", "optimizer", Kind.NUMBER, Choice(OPTIMIZERS), "adam", "the update rule, in Keras's form"),
    Known("learning_rate", "optimizer", Kind.NUMBER, FloatRange(1e-8, 1e4, log=True), 1e-3,
          "before the schedule's multiplier"),
    Known("momentum", "optimizer", Kind.NUMBER, FloatRange(0.0, 0.999), 0.9, "Keras's momentum", _WITH_MOMENTUM),
    Known("rho", "optimizer", Kind.NUMBER, FloatRange(0.0, 0.9999), 0.9, "decay of the mean square",
          (("optimizer", ("rmsprop",)),)),
    Known("beta_1", "optimizer", Kind.NUMBER, FloatRange(0.0, 0.9999), 0.9, "decay of the mean", _ADAMS),
    Known("beta_2", "optimizer", Kind.NUMBER, FloatRange(0.1, 0.99999), 0.999,
          "decay of the mean square; of the mean for lion, where 0.99 is customary", _ADAMS),
    Known("epsilon", "optimizer", Kind.NUMBER, FloatRange(1e-12, 1.0, log=True), 1e-7,
          "keeps the divisor from zero: inside the root for rmsprop and adagrad, outside for the others",
          (("optimizer", ("rmsprop", "adagrad", "adam", "adamw", "nadam")),)),
    Known("weight_decay", "optimizer", Kind.NUMBER, FloatRange(0.0, 1.0), 0.004, "decoupled, a step, times the rate",
          _DECOUPLED),
    Known("clip_norm", "optimizer", Kind.NUMBER, FloatRange(0.0, 1e6), 0.0,
          "gradients of a larger norm, over all weights together, are scaled down to it; 0: off"),
    Known("batch_size", "optimizer", Kind.STRUCTURE, IntRange(1, 65536, log=True), 32,
          "rows a step; clipped to the training rows"),
    Known("schedule", "schedule", Kind.NUMBER, Choice(SCHEDULES), "constant", "how the rate moves over the epochs"),
    Known("decay_rate", "schedule", Kind.NUMBER, FloatRange(1e-6, 1.0, log=True), 0.5,
          "factor every decay_epochs: smooth for exponential, at once for step", _DECAYING),
    Known("decay_epochs", "schedule", Kind.NUMBER, FloatRange(0.1, 10000.0, log=True), 10.0, "see decay_rate",
          _DECAYING),
    Known("alpha", "schedule", Kind.NUMBER, FloatRange(0.0, 1.0), 0.0, "lowest multiplier, or the last", _FALLING),
    Known("power", "schedule", Kind.NUMBER, FloatRange(0.1, 10.0), 1.0, "of the polynomial; 1 falls in a line",
          (("schedule", ("polynomial",)),)),
    Known("first_cycle", "schedule", Kind.NUMBER, FloatRange(0.1, 10000.0, log=True), 5.0,
          "epochs of the first cycle; of each cycle for cyclic", (("schedule", ("warm_restarts", "cyclic")),)),
    Known("cycle_growth", "schedule", Kind.NUMBER, FloatRange(1.0, 10.0), 2.0,
          "each cycle is this many times as long as the one before", (("schedule", ("warm_restarts",)),)),
    Known("warmup_epochs", "schedule", Kind.NUMBER, FloatRange(0.0, 10000.0), 0.0,
          "epochs of linear rise from zero, before any schedule"),
    Known("l1", "regularization", Kind.NUMBER, FloatRange(0.0, 100.0), 0.0, "factor of the kernels' absolute sum"),
    Known("l2", "regularization", Kind.NUMBER, FloatRange(0.0, 100.0), 0.0, "factor of the kernels' sum of squares"),
    Known("dropout", "regularization", Kind.NUMBER, FloatRange(0.0, 0.95), 0.0,
          "share of hidden units silenced; inverted, never before a batch normalization"),
    Known("input_noise", "regularization", Kind.NUMBER, FloatRange(0.0, 10.0), 0.0,
          "deviation of Gaussian noise added to the scaled inputs"),
    Known("activation_noise", "regularization", Kind.NUMBER, FloatRange(0.0, 10.0), 0.0,
          "deviation of Gaussian noise added behind hidden layers, where dropout stands"),
    Known("weight_noise", "regularization", Kind.NUMBER, FloatRange(0.0, 10.0), 0.0,
          "deviation of Gaussian noise added to the kernels of each step"),
    Known("gradient_noise", "regularization", Kind.NUMBER, FloatRange(0.0, 100.0), 0.0,
          "deviation of Gaussian noise added to the first step's gradients; it falls as (1 + step)^-0.275"),
    Known("max_norm", "regularization", Kind.NUMBER, FloatRange(0.0, 1e6), 0.0,
          "incoming weights of a unit of a larger norm are scaled down to it after each step; 0: off"),
    Known("label_smoothing", "regularization", Kind.NUMBER, FloatRange(0.0, 0.9), 0.0,
          "share of the loss that goes to all classes alike; of classes only"),
    Known("early_stopping", "regularization", Kind.NUMBER, IntRange(0, 10000), 0,
          "epochs without a better validation loss before a run ends and its best weights are kept; 0: off"),
    Known("loss", "loss", Kind.STRUCTURE, Choice(("match", *LOSSES)), "match",
          "what training lowers; match: cross_entropy of classes, mse of numbers. Curves hold those two in any case"),
    Known("focal_gamma", "loss", Kind.NUMBER, FloatRange(0.0, 10.0), 2.0,
          "how much rows that are answered well already count less; 0: cross_entropy", (("loss", ("focal",)),)),
    Known("huber_delta", "loss", Kind.NUMBER, FloatRange(1e-3, 1e3, log=True), 1.0,
          "error, in deviations of the target, beyond which the loss grows in a line", (("loss", ("huber",)),)),
    Known("class_weight", "loss", Kind.NUMBER, FloatRange(0.0, 1.0), 0.0,
          "rows weigh as their class's share to the power of minus this; 0: alike, 1: classes balanced"),
)  # fmt: skip

MLP = (
    Known("hidden_layers", "architecture", Kind.STRUCTURE, IntRange(0, 64), 2, "dense layers before the output"),
    Known("units", "architecture", Kind.STRUCTURE, IntRange(1, 65536, log=True), 64, "width of each hidden layer"),
    *SHARED,
)

CNN = (
    Known("blocks", "architecture", Kind.STRUCTURE, IntRange(1, 8), 2,
          "convolution, activation and pooling; a block has twice the filters of the one before"),
    Known("filters", "architecture", Kind.STRUCTURE, IntRange(1, 4096, log=True), 16, "of the first block"),
    Known("kernel_size", "architecture", Kind.STRUCTURE, IntRange(1, 15), 3, "side of the square kernels"),
    Known("pooling", "architecture", Kind.STRUCTURE, Choice(("max", "average")), "max", "two by two, each block"),
    Known("dense_units", "architecture", Kind.STRUCTURE, IntRange(0, 65536), 64, "of the dense head; 0: none"),
    *SHARED,
)  # fmt: skip

MODELS: dict[str, tuple[Known, ...]] = {"mlp": MLP, "cnn": CNN}


def known(model: str) -> dict[str, Known]:
    """The hyperparameters of a bundled model by name; of a custom one (`module:function`), those shared by all."""
    return {k.name: k for k in MODELS.get(model, SHARED)}
