"""Checks of the training skeleton on the study's own data: does what must hold for any network hold here?

They are Karpathy's ("A recipe for training neural networks", 2019), each judged against a number and not by eye.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from hpo.metrics import METRICS
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras
from hpo.training.builder import build
from hpo.training.engine import open_session
from hpo.training.losses import mean_loss, prior_loss, program_loss
from hpo.values import Array, Check, Configuration, Fold, RunRequest, RunResult, Scalar, Status, TaskFacts

_ROWS, _IMAGES = 2048, 512
_START_TOLERANCE = 0.05
_EPOCHS, _STEPS, _SIGHT = 3, 100, 0.99
_BATCH, _REPEATS, _BATCH_EPOCHS = 32, 40, 10
_BATCH_SHARE = 0.05
_GRADIENT_ROWS, _COORDINATES = 8, 96
_GRADIENT_TOLERANCE, _QUANTILE, _KINK = 1e-5, 0.9, 1e-3


@dataclass(frozen=True, eq=False)
class LayerGradient:
    """How the gradient of one layer's weights and bias compares with central differences."""

    layer: str
    weights: int
    """Numbers that the layer learns."""
    drawn: int
    """Coordinates looked at; one may be drawn twice."""
    errors: Array
    """Relative errors of those that cross no kink, float64, see `gradient_errors`."""

    @property
    def status(self) -> Status:
        """`warning`: every coordinate crosses a kink, so nothing was compared."""
        return _agreement(self.errors)


@dataclass(frozen=True)
class _Differentiated:
    """A model in 64 bits with its gradient on a few rows."""

    variables: list[keras.Variable]
    parts: list[Array]
    loss: Callable[[], float]


def check_skeleton(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> list[Check]:
    """`loss_at_start`, `zero_input`, `one_batch`, `gradient` and `repeatability`, in this order.

    A check fails where training would be meaningless: a loss that is no number, a wrong gradient, numbers that do not
    repeat. It warns where a network merely learns less than it should.
    """
    plain = _unregularized(configuration)
    part = _part(facts, fold, seed)
    zero, repeat = _zero_and_repeat(space, plain, facts, part, seed)
    return [
        _loss_at_start(space, plain, facts, part, seed),
        zero,
        _one_batch(space, plain, facts, part, seed),
        _gradient(space, plain, facts, part, seed),
        repeat,
    ]


def _unregularized(configuration: Configuration) -> dict[str, Scalar]:
    """Without what is meant to make the training loss worse, and in batches of a size that suits the checks."""
    return {
        **configuration, "l1": 0.0, "l2": 0.0, "dropout": 0.0, "input_noise": 0.0, "early_stopping": 0,
        "batch_size": _BATCH,
    }  # fmt: skip


def _part(facts: TaskFacts, fold: Fold, seed: int) -> Fold:
    """As many rows as a check needs, drawn by the seed."""
    most = _ROWS if len(facts.input_shape) == 1 else _IMAGES
    generator = np.random.default_rng(derive(seed, "skeleton"))
    train, valid = (generator.permutation(len(x))[:most] for x in (fold.x_train, fold.x_valid))
    return replace(
        fold, x_train=fold.x_train[train], y_train=fold.y_train[train], x_valid=fold.x_valid[valid],
        y_valid=fold.y_valid[valid],
    )  # fmt: skip


def _loss_at_start(space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int) -> Check:
    """With a small output kernel and the output bias at the prior, the first loss is the prior's entropy."""
    model = build(space, plain, facts, seed=seed, runtime=False)
    with_kernel = [layer for layer in model.layers if hasattr(layer, "kernel") and hasattr(layer, "bias")]
    last = with_kernel[-1] if with_kernel else None
    if last is None or last.bias is None or last.bias.shape != (facts.outputs,):
        return Check(
            "loss_at_start", Status.WARNING, "an output layer with kernel and bias", "none",
            "The loss at initialization was not checked: the model's last layer has no kernel and bias.",
        )  # fmt: skip
    last.kernel.assign(backend.host(last.kernel) * 1e-2)
    if facts.task.classifies:
        last.bias.assign(np.log(np.maximum(fold.prior, 1e-6)).astype(np.float32))
    expected = prior_loss(facts.task, fold)
    seen = float(mean_loss(facts.task, fold.y_train, backend.compiled_outputs(model)(fold.x_train)))
    passed = abs(seen - expected) <= _START_TOLERANCE * max(expected, 0.1)
    failed = not np.isfinite(seen)
    return Check(
        "loss_at_start", Status.FAILED if failed else Status.PASSED if passed else Status.WARNING,
        f"{expected:.4g}", f"{seen:.4g}",
        f"With a small output layer set to the prior, the first loss is {seen:.4g}; "
        + (f"the prior's is {expected:.4g}." if passed else f"it should be the prior's, {expected:.4g}."),
    )  # fmt: skip


def _zero_and_repeat(
    space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> tuple[Check, Check]:
    """A network that sees zeros does worse than one that sees the data, and the same seed gives the same numbers."""
    # With the training rows as validation rows too, both networks are measured on the same rows.
    seeing = replace(fold, x_valid=fold.x_train, y_valid=fold.y_train)
    nothing = np.zeros_like(fold.x_train)
    blind = replace(seeing, x_train=nothing, x_valid=nothing)
    epochs = max(_EPOCHS, -(-_STEPS * _BATCH // len(fold.x_train)))
    train = _trainer(space, plain, facts, [seeing, blind], seed)
    sighted, zeros, again = (train(i, epochs) for i in (0, 1, 0))
    a, b = sighted.validation_loss, zeros.validation_loss
    learns = a < _SIGHT * b
    zero = Check(
        "zero_input", Status.PASSED if learns else Status.WARNING, f"below {_SIGHT * b:.4g}", f"{a:.4g}",
        f"After {epochs} epochs the training loss is {a:.4g} with the data and {b:.4g} with zeros in its place"
        + ("." if learns else ": the network learns nothing from the data at this learning rate."),
    )  # fmt: skip
    pairs = [*zip(sighted.weights, again.weights, strict=True), (sighted.predictions, again.predictions)]
    different = sum(int(np.sum(_bits(p) != _bits(q))) for p, q in pairs)
    repeat = Check(
        "repeatability", Status.FAILED if different else Status.PASSED, "0 numbers that differ", str(different),
        "Two runs with the same seed give "
        + (f"{different} different numbers." if different else "the same numbers, bit for bit."),
    )  # fmt: skip
    return zero, repeat


def _one_batch(space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int) -> Check:
    """One batch of rows, no two of them alike, can be learned by heart."""
    flat = fold.x_train.reshape(len(fold.x_train), -1)
    batch = np.sort(np.unique(flat, axis=0, return_index=True)[1])[:_BATCH]
    x, y = fold.x_train[batch], fold.y_train[batch]
    tiled = replace(
        fold, x_train=np.concatenate([x] * _REPEATS), y_train=np.concatenate([y] * _REPEATS), x_valid=x, y_valid=y
    )
    quick: dict[str, Scalar] = {
        **plain, "optimizer": "adam", "learning_rate": 3e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
        "schedule": "constant", "warmup_epochs": 0.0, "batch_size": len(batch),
    }  # fmt: skip
    quick = {**quick, "batch_normalization": "none"} if len(batch) == 1 else quick
    seen = _trainer(space, quick, facts, [tiled], seed)(0, _BATCH_EPOCHS).validation_loss
    bound = _BATCH_SHARE * prior_loss(facts.task, fold)
    passed = seen <= bound
    return Check(
        "one_batch", Status.PASSED if passed else Status.WARNING if np.isfinite(seen) else Status.FAILED,
        f"at most {bound:.3g}", f"{seen:.3g}",
        f"One batch of {len(batch)} rows is learned to a loss of {seen:.3g} in {_REPEATS * _BATCH_EPOCHS} steps"
        + ("." if passed else f", not the {bound:.3g} that learning by heart gives: the network may be too small."),
    )  # fmt: skip


def gradient_by_layer(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> list[LayerGradient] | None:
    """The check `gradient` with as many coordinates for each layer with weights, in the order of the layers.

    Penalties, dropout and noise are left out, as in all checks. None where the model cannot compute in 64 bits.
    """
    backend.prepare()
    part = _part(facts, fold, seed)
    with _differentiated(space, _unregularized(configuration), facts, part, seed) as found:
        if found is None:
            return None
        return [
            LayerGradient(
                name, sum(found.parts[i].size for i in own), _COORDINATES,
                gradient_errors(
                    [found.variables[i] for i in own], [found.parts[i] for i in own], found.loss,
                    derive(seed, "gradient", n),
                ),
            )
            for n, (name, own) in enumerate(_layers(found.variables, bundled=":" not in space.model))
        ]  # fmt: skip


def _layers(variables: list[keras.Variable], *, bundled: bool) -> list[tuple[str, list[int]]]:
    """(name, positions of its variables) of each layer.

    Keras numbers unnamed layers through a whole process: those of a bundled model are named as in a fresh one.
    """
    paths: dict[str, list[int]] = {}
    for i, variable in enumerate(variables):
        paths.setdefault(str(variable.path).rpartition("/")[0] or str(variable.name), []).append(i)
    named, seen = [], Counter[str]()
    for path, own in paths.items():
        kind = re.sub(r"_\d+$", "", path) if bundled else path
        named.append((f"{kind}_{seen[kind]}" if seen[kind] else kind, own))
        seen[kind] += 1
    return named


def _gradient(space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int) -> Check:
    """The analytic gradient agrees with central differences in float64, on coordinates that cross no kink."""
    with _differentiated(space, plain, facts, fold, seed) as found:
        if found is None:
            return Check(
                "gradient", Status.WARNING, "a model that computes in 64 bits", "batch normalization in 32 bits",
                "The gradient was not checked: under JAX, Keras normalizes batches in 32 bits.",
            )  # fmt: skip
        errors = gradient_errors(found.variables, found.parts, found.loss, derive(seed, "gradient"))
    status = _agreement(errors)
    if status is Status.WARNING:
        return Check("gradient", status, "coordinates to compare", "none", "Every coordinate crosses a kink.")
    seen = float(np.quantile(errors, _QUANTILE))
    return Check(
        "gradient", status, f"at most {_GRADIENT_TOLERANCE:g}", f"{seen:.2g}",
        f"On {len(errors)} weights the gradient and central differences agree within {seen:.2g} in nine of ten."
        if status is Status.PASSED
        else f"The gradient and central differences part by {seen:.2g} on {len(errors)} weights.",
    )  # fmt: skip


@contextmanager
def _differentiated(
    space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int
) -> Iterator[_Differentiated | None]:
    """The network in float64 and its gradient on the first rows; None where it cannot compute so."""
    with backend.double_precision(), backend.policy("float64"):
        if not backend.normalizes_in_double():
            plain = {**plain, "batch_normalization": "none"}
        model = build(space, plain, facts, seed=seed, runtime=False)
        if not backend.normalizes_in_double() and _normalized(model):
            yield None
            return
        x, y = fold.x_train[:_GRADIENT_ROWS].astype(np.float64), fold.y_train[:_GRADIENT_ROWS]
        _, parts = backend.gradient(model, lambda t, z: program_loss(facts.task, t, z), x, y)
        outputs = backend.compiled_outputs(model)
        yield _Differentiated(
            list(model.trainable_variables), parts, lambda: float(mean_loss(facts.task, y, outputs(x)))
        )


def _agreement(errors: Array) -> Status:
    """Whether nine of ten coordinates agree; a warning where there is none to compare."""
    if not len(errors):
        return Status.WARNING
    return Status.PASSED if np.quantile(errors, _QUANTILE) <= _GRADIENT_TOLERANCE else Status.FAILED


def _normalized(model: keras.Model) -> bool:
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers())


def gradient_errors(variables: list[keras.Variable], parts: list[Array], loss: Callable[[], float], seed: int) -> Array:
    """Relative errors |a - n| / max(|a| + |n|, 1e-6) of the gradient a at coordinates drawn by `seed`.

    n = (f(w + h) - f(w - h)) / 2h, h = 1e-5. A coordinate is left out where |f(w + h) - 2 f(w) + f(w - h)| / 2h, which
    shrinks with h for a smooth f, stays above a thousandth of |n|: a kink lies between.
    """
    generator, h, errors = np.random.default_rng(seed), 1e-5, []
    middle = loss()
    sizes = np.array([p.size for p in parts])
    picked = generator.choice(len(parts), _COORDINATES, p=np.sqrt(sizes) / np.sqrt(sizes).sum())
    for i in picked:
        start = backend.host(variables[i])
        at = np.unravel_index(int(generator.integers(parts[i].size)), parts[i].shape)
        around = []
        for side in (h, -h):
            moved = start.copy()
            moved[at] += side
            variables[i].assign(moved)
            around.append(loss())
        variables[i].assign(start)
        analytic, numeric = float(parts[i][at]), (around[0] - around[1]) / (2 * h)
        if abs(around[0] - 2 * middle + around[1]) / (2 * h) <= _KINK * max(abs(numeric), 1e-3):
            errors.append(abs(analytic - numeric) / max(abs(analytic) + abs(numeric), 1e-6))
    return np.array(errors)


def _trainer(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, folds: list[Fold], seed: int
) -> Callable[[int, int], RunResult]:
    """(fold, epochs) -> the result of a run from the same seed, all of one session."""
    metric = METRICS["log_loss" if facts.task.classifies else "mse"]
    session = open_session(space=space, structure=configuration, facts=facts, folds=folds, metric=metric)

    def train(fold: int, epochs: int) -> RunResult:
        session.put(0, RunRequest(configuration, seed, fold, epochs))
        session.advance(epochs)
        result = session.result(0)
        session.free(0)
        return result

    return train


def _bits(array: Array) -> Array:
    """As whole numbers, so that NaN equals itself and -0 is not 0."""
    array = np.ascontiguousarray(array)
    return array.view(f"u{array.itemsize}") if array.ndim else array.reshape(1).view(f"u{array.itemsize}")
