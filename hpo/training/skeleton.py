"""Checks of the training skeleton on the study's own data: does what must hold for any network hold here?

They are Karpathy's ("A recipe for training neural networks", 2019), each judged against a number and not by eye.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hpo.metrics import METRICS
from hpo.seeds import derive
from hpo.space import SearchSpace
from hpo.training import backend, gradient_check
from hpo.training.builder import build
from hpo.training.engine import open_session
from hpo.training.gradient_check import LayerGradient, agreement, differentiated, gradient_errors
from hpo.training.losses import mean_loss, prior_loss
from hpo.values import Array, Check, Configuration, Fold, RunRequest, RunResult, Scalar, Status, TaskFacts

_ROWS, _IMAGES = 2048, 512
_START_TOLERANCE = 0.05
_EPOCHS, _STEPS, _SIGHT = 3, 100, 0.99
_BATCH, _REPEATS, _BATCH_EPOCHS = 32, 40, 10
_BATCH_SHARE = 0.05


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
        **configuration, "l1": 0.0, "l2": 0.0, "dropout": 0.0, "input_noise": 0.0, "label_smoothing": 0.0,
        "clip_norm": 0.0, "early_stopping": 0, "batch_size": _BATCH,
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
    return gradient_check.by_layer(space, _unregularized(configuration), facts, _part(facts, fold, seed), seed)


def _gradient(space: SearchSpace, plain: Configuration, facts: TaskFacts, fold: Fold, seed: int) -> Check:
    """The analytic gradient agrees with central differences in float64, on coordinates that cross no kink."""
    with differentiated(space, plain, facts, fold, seed) as found:
        if found is None:
            return Check(
                "gradient", Status.WARNING, "a model that computes in 64 bits", "layers that compute in 32",
                "The gradient was not checked: under JAX, Keras computes batch normalization and tanh in 32 bits.",
            )  # fmt: skip
        errors = gradient_errors(found.variables, found.parts, found.loss, derive(seed, "gradient"))
    status = agreement(errors)
    if status is Status.WARNING:
        return Check("gradient", status, "coordinates to compare", "none", "Every coordinate crosses a kink.")
    seen = float(np.quantile(errors, gradient_check.QUANTILE))
    return Check(
        "gradient", status, f"at most {gradient_check.TOLERANCE:g}", f"{seen:.2g}",
        f"On {len(errors)} weights the gradient and central differences agree within {seen:.2g} in nine of ten."
        if status is Status.PASSED
        else f"The gradient and central differences part by {seen:.2g} on {len(errors)} weights.",
    )  # fmt: skip


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
