"""Reading a learning curve and the layers behind it: one name, one sentence, the numbers behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.values import Curve, Diagnosis, LayerHealth

NAMES = (
    "healthy", "overfit", "underfit", "diverged", "exploding gradient", "vanishing gradient", "dead units", "saturated",
    "symmetric", "oscillating", "too slow", "still improving", "label or data fault suspected",
)  # fmt: skip
"""All that `diagnose` can say."""
GAP_IN_NOISE = 2.0
"""A gap counts above so many deviations of the noise, and above `GAP_SHARE` of the prior's loss."""
GAP_SHARE = 0.01
IMPROVING = 0.05
"""Still improving: the last fifth of the epochs lowers the validation loss by more than this share, and the noise."""
SLOW_PACE = 0.85
"""Too slow: the training loss falls all along, in the second half by more than this part of the first half's fall."""
STANDING = 1e-3
"""Too slow as well: the first epoch moves every hidden layer's weights by less than this share of their norm."""
FALLING = 0.5
"""Still improving, of a network that has learned too little: the training loss falls all along at this pace or more."""
RISES = 0.15
"""Oscillating: in more than this share of the epochs after the first the training loss rises by more than `SWING` of
the prior's loss, or of its own best value where that is greater. On the developed sets healthy trainings had none,
overfit ones 0.05 at most, those with a planted high rate 0.26 or more."""
SWING = 0.05
VANISHING, EXPLODING = 1e-3, 1e3
"""Gradient of the first hidden layer's kernel as a multiple of the last one's, with the first weights."""
THROWN = 1e3
"""Exploding as well: with the first weights a hidden layer's gradient is so many times its weights, by their norms.
Where activations and gradients grow alike, no layer's gradient is far from another's. On the developed sets at most 19
without the fault, and at least 5e5 with it."""
DEAD, SATURATED, ALIKE = 0.5, 0.5, 0.99
"""Shares of a hidden layer from which on it is held to be dead, saturated or symmetric."""
RISEN = 2.0
"""Overfit: the kept weights' validation loss lies so many deviations of the noise above that of its best epoch."""
LOST = 1 / 3
"""Overfit as well: the gap is more than this share of what was learned of the training rows. On the developed sets
healthy trainings had 0.27 at most, wide networks without any regularization 0.41 or more where nothing rose."""
BEHIND = 3.0
"""So many deviations of the noise behind the best baseline a settled network is underfit, or overfit as well where its
training loss lies before it. On the developed sets healthy trainings were behind by 2.3 at most."""
LEARNED = 0.75
"""The training rows were learned: in some epoch their loss was below this share of the prior's."""
SHRUNK = 0.2
"""Every hidden layer's weights have less than this share of their first norm left: a penalty has taken them."""


_WILD = ("exploding gradient", "dead units", "saturated")
"""Ailments of a network that may have learned its training rows and yet answers wildly."""


@dataclass(frozen=True)
class Scale:
    """What the losses of a study are held against."""

    noise: float
    """Deviation of the validation loss between equal runs."""
    prior: float
    """Loss of always predicting the prior."""
    reference: float
    """Best validation loss among the baselines."""


def has_gap(training_loss: float, validation_loss: float, scale: Scale) -> bool:
    """Whether validation loss exceeds training loss by more than chance explains."""
    return validation_loss - training_loss > max(GAP_IN_NOISE * scale.noise, GAP_SHARE * scale.prior)


def still_improving(curve: Curve, noise: float = 0.0) -> bool:
    """Whether training was cut off on the way down: the last epochs are the best and the fall has not flattened.

    Compares the mean validation loss of the last fifth of the epochs with that of the fifth before it.
    """
    losses = curve.validation_loss
    part = max(1, len(losses) // 5)
    if len(losses) < 3 or not np.isfinite(losses).all():
        return False
    before, last = losses[-2 * part : -part].mean(), losses[-part:].mean()
    return bool(int(np.argmin(losses)) >= len(losses) - part and before - last > max(IMPROVING * abs(before), noise))


def pace(curve: Curve) -> float:
    """How steadily the training loss falls: its fall over the second half of the epochs as a share of the first half's.

    Near 1: as fast at the end as at the beginning, the mark of a learning rate that is far too low. An exponential fall
    that has gone three quarters of its way has 0.5. Zero where the loss does not fall all along.
    """
    losses = curve.training_loss
    if len(losses) < 3 or not np.isfinite(losses).all() or not (np.diff(losses) < 0).all():
        return 0.0
    half = (len(losses) - 1) // 2
    return float((losses[-1 - half] - losses[-1]) / (losses[0] - losses[half]))


def swings(curve: Curve, prior: float) -> float:
    """The share of epochs after the first in which the training loss rose by `SWING` or more, see `RISES`.

    prior: the prior's loss, without which the small rises of a loss near zero would count.
    """
    losses = curve.training_loss
    if len(losses) < 4 or not np.isfinite(losses).all():
        return 0.0
    return float((np.diff(losses) > SWING * np.maximum(prior, np.minimum.accumulate(losses)[:-1])).mean())


def promise(curve: Curve) -> float:
    """By how much as many epochs again would lower the training loss, at the pace of the last fifth of them.

    Zero where the loss does not fall all along.
    """
    losses = curve.training_loss
    part = max(1, len(losses) // 5)
    if len(losses) < 3 or not np.isfinite(losses).all() or not (np.diff(losses) < 0).all():
        return 0.0
    return float((losses[-1 - part] - losses[-1]) / part * len(losses))


def rise(curve: Curve, validation_loss: float) -> float:
    """By how much the validation loss of the kept weights lies above that of the best epoch.

    Zero under early stopping, which keeps the best epoch: what came after it was thrown away. A mean over runs that is
    given with one run's curve is taken for no more than the curve's last value.
    """
    losses = curve.validation_loss
    if not len(losses) or not np.isfinite(losses).all():
        return 0.0
    return max(0.0, float(min(losses[-1], validation_loss) - losses.min()))


def has_overfit(training_loss: float, validation_loss: float, risen: float, scale: Scale) -> bool:
    """Whether a gap is one that a practitioner would act on: nearly every good training has some gap beyond the noise.

    Besides the gap one of: of what was learned of the training rows (prior's loss minus training loss) more than `LOST`
    is not found again in the validation rows; validation loss has turned up by more than the noise (`RISEN`, at least
    `GAP_SHARE` of the prior); the best baseline lies between the two losses, far below the validation loss (`BEHIND`).
    """
    learned = scale.prior - training_loss
    if learned <= 0 or not has_gap(training_loss, validation_loss, scale):
        return False
    turned = risen > max(RISEN * scale.noise, GAP_SHARE * scale.prior)
    behind = training_loss < scale.reference < validation_loss - BEHIND * scale.noise
    return turned or behind or validation_loss - training_loss > LOST * learned


def diagnose(
    curve: Curve, health: Sequence[LayerHealth] = (), *, diverged: bool, training_loss: float, validation_loss: float,
    scale: Scale,
) -> Diagnosis:  # fmt: skip
    """The first that holds: exploding gradient, diverged, symmetric; of a network that has learned less than the best
    baseline vanishing or exploding gradient, underfit by shrunken weights, dead units, saturated, too slow; of any
    label or data fault suspected, oscillating, overfit, still improving, underfit, healthy.

    training_loss and validation_loss are those of the kept weights; a mean over a trial's runs where it has several.
    health: of one run; without it layers are not asked.
    """
    if diverged or not np.isfinite([training_loss, validation_loss]).all():
        return _diverged(curve, health)
    risen = rise(curve, validation_loss)
    evidence = {
        "training_loss": training_loss, "validation_loss": validation_loss, "epochs": float(len(curve)),
        "gap": validation_loss - training_loss,
        "pace": pace(curve), "rise": risen, "prior": scale.prior, "reference": scale.reference, "noise": scale.noise,
    }  # fmt: skip
    if (layer := _alike(health)) is not None:
        return Diagnosis(
            "symmetric",
            f"All units of {layer.layer} have the same weights and count as one: a random initializer.",
            {**evidence, "alike_share": layer.alike_share},
        )
    # Both losses: a regularized network may learn less of its training rows than a baseline and still be level with it.
    poor = min(training_loss, validation_loss) > scale.reference + GAP_IN_NOISE * scale.noise
    # A rate that throws weights far off and kills units may leave enough of them to learn few rows by heart.
    wild = validation_loss > scale.prior + GAP_IN_NOISE * scale.noise or swings(curve, scale.prior) > RISES
    asked = (a for a in _ailments(curve, health) if poor or (wild and a[0] in _WILD))
    if (ailment := next(asked, None)) is not None:
        name, number, sentence = ailment
        return Diagnosis(name, sentence, {**evidence, **number})
    for name, holds, sentence in _of_losses(curve, training_loss, validation_loss, scale, risen=risen, poor=poor):
        if holds:
            return Diagnosis(name, sentence, evidence)
    return Diagnosis("healthy", f"Training loss {training_loss:.3g}, validation loss {validation_loss:.3g}: no gap "
                     "that matters, and the fall has flattened.", evidence)  # fmt: skip


def _of_losses(
    curve: Curve, training_loss: float, validation_loss: float, scale: Scale, *, risen: float, poor: bool
) -> tuple[tuple[str, bool, str], ...]:
    """(name, whether it holds, sentence) of what the losses alone tell, causes first."""
    gap = validation_loss - training_loss
    behind = min(training_loss, validation_loss) > scale.reference + BEHIND * scale.noise
    falling = max(GAP_IN_NOISE * scale.noise, GAP_SHARE * scale.prior)
    return (
        _data_fault(curve, validation_loss, scale),
        (
            "oscillating", (share := swings(curve, scale.prior)) > RISES,
            f"The training loss rose in {share:.0%} of the epochs: a lower rate, or larger batches.",
        ),
        (
            "overfit",
            (not poor or risen > falling) and has_overfit(training_loss, validation_loss, risen, scale),
            f"Validation loss {validation_loss:.3g} lies {gap:.3g} above training loss {training_loss:.3g}, more than "
            f"the noise of {scale.noise:.2g}, and {risen:.3g} above its best epoch: stronger regularization.",
        ),
        (
            "still improving",
            still_improving(curve, scale.noise) or (poor and (pace(curve) >= FALLING or promise(curve) > falling)),
            f"The loss was still falling in epoch {len(curve)}, on validation rows at {validation_loss:.3g}: more "
            "epochs or a higher rate.",
        ),
        (
            "underfit", behind and training_loss > scale.prior + GAP_IN_NOISE * scale.noise,
            f"Training loss {training_loss:.3g} lies above the {scale.prior:.3g} of always predicting the prior: "
            "nothing was learned, so look at the learning rate before capacity.",
        ),
        (
            "underfit", behind,
            f"Training loss {training_loss:.3g} stays above {scale.reference:.3g}, the validation loss of the best "
            "baseline, and there is no gap to blame: more capacity.",
        ),
    )  # fmt: skip


DROPPED = "dropped"
"""Of a run that gave up its slot, where nothing else shows."""
_READ_EARLY = (
    "diverged", "exploding gradient", "vanishing gradient", "dead units", "saturated", "symmetric",
)  # fmt: skip
"""Ailments that show at once; whether a network overfits or improves no further shows at the end."""


def of_cut_curve(diagnosis: Diagnosis, trained: int, epochs: int) -> Diagnosis:
    """The diagnosis of a run that gave up its slot at a rung: of `epochs` it trained so many."""
    if diagnosis.name in _READ_EARLY:
        return diagnosis
    return Diagnosis(
        DROPPED,
        f"It gave up its slot after {trained} of {epochs} epochs, where too many others were better, or the time was "
        "up: too early to say more.",
        {"epochs": float(trained)},
    )


def _data_fault(curve: Curve, validation_loss: float, scale: Scale) -> tuple[str, bool, str]:
    """(name, whether it holds, sentence) of rows that nobody can learn from.

    At no epoch was the validation loss better than always predicting the prior, by more than the noise, and neither is
    that of any baseline. Where a baseline is better the data can be learned from, and the fault is the network's.
    """
    losses = [*curve.validation_loss[np.isfinite(curve.validation_loss)], validation_loss]
    bound = scale.prior - max(GAP_IN_NOISE * scale.noise, GAP_SHARE * scale.prior)
    lowest = min(curve.training_loss[np.isfinite(curve.training_loss)], default=np.inf)
    learned = f"The training rows were learned (to {lowest:.3g}; the prior has {scale.prior:.3g})"
    told = (
        f"{learned if lowest < LEARNED * scale.prior else 'Nothing was learned'}, but on validation rows neither the "
        f"network (best {min(losses):.3g}) nor any baseline ({scale.reference:.3g}) beats always predicting the prior: "
        "look at the labels, the keys of joins, the order of rows, and whether validation rows are prepared as "
        "training rows are. There may also be too few rows, or nothing in them to learn."
    )
    return "label or data fault suspected", min(losses) > bound and scale.reference > bound, told


def _diverged(curve: Curve, health: Sequence[LayerHealth]) -> Diagnosis:
    rate = float(curve.learning_rate[-1]) if len(curve) else float("nan")
    evidence = {"epochs": float(len(curve)), "learning_rate": rate}
    if (foretold := _explosion(health)) is not None:
        number, words = foretold
        return Diagnosis(
            "exploding gradient",
            f"The loss became infinite or NaN in epoch {len(curve)}, and with the first weights {words}: another "
            "initializer, normalization or clipping.",
            evidence | number,
        )
    return Diagnosis(
        "diverged",
        f"The loss became infinite or NaN in epoch {len(curve)}, at a learning rate of {rate:.2g}: a lower rate.",
        evidence,
    )


def _ailments(curve: Curve, health: Sequence[LayerHealth]) -> Iterator[tuple[str, dict[str, float], str]]:
    """(name, evidence, sentence) of what may keep a network from learning, causes before what follows from them."""
    hidden = [h for h in health if h.layer != "output"]
    growth = _growth(health)
    if growth < VANISHING:
        yield (
            "vanishing gradient", {"gradient_growth": growth},
            f"With the first weights the gradient shrank to {growth:.2g} from the last hidden layer to the first: "
            "another initializer or activation, or normalization.",
        )  # fmt: skip
    if (explosion := _explosion(health)) is not None:
        number, words = explosion
        yield (
            "exploding gradient", number,
            f"With the first weights {words}: another initializer, normalization or clipping.",
        )  # fmt: skip
    if hidden:
        last = [h for h in hidden if h.epoch == max(h.epoch for h in hidden)]
        dead, flat = (max(last, key=lambda h: getattr(h, name)) for name in ("dead_share", "saturated_share"))
        if (shrunk := _shrunk(hidden, last)) < SHRUNK:
            yield (
                "underfit", {"weights_left": shrunk},
                f"The hidden layers' weights have shrunk to {shrunk:.2g} of their first norm: weaker regularization.",
            )  # fmt: skip
        if dead.dead_share >= DEAD:
            yield (
                "dead units", {"dead_share": dead.dead_share},
                f"{dead.dead_share:.0%} of the units of {dead.layer} are zero on every row: a lower rate, He's "
                "initializer, or leaky_relu.",
            )  # fmt: skip
        if flat.saturated_share >= SATURATED:
            yield (
                "saturated", {"saturated_share": flat.saturated_share},
                f"{flat.saturated_share:.0%} of the activations of {flat.layer} lie at their limits: smaller first "
                "weights, normalization, or a lower rate.",
            )  # fmt: skip
    moved = [h.update_ratio for h in hidden if h.epoch == 1]
    if moved and max(moved) < STANDING:
        yield (
            "too slow", {"update_ratio": max(moved)},
            f"The first epoch moved no hidden layer's weights by more than {max(moved):.2g} of their norm: a higher "
            "rate.",
        )  # fmt: skip
    if (steady := pace(curve)) > SLOW_PACE:
        yield (
            "too slow", {"pace": steady},
            f"The training loss fell as steadily at the end as at the beginning ({steady:.0%}): a higher rate.",
        )  # fmt: skip


def _alike(health: Sequence[LayerHealth]) -> LayerHealth | None:
    """A hidden layer whose units were all alike with the first weights, and are at the last look."""
    hidden = [h for h in health if h.layer != "output" and h.alike_share >= ALIKE]
    first = {h.layer for h in hidden if h.epoch == 0}
    return next((h for h in hidden if h.epoch == health[-1].epoch and h.layer in first), None)


def _shrunk(hidden: Sequence[LayerHealth], last: Sequence[LayerHealth]) -> float:
    """The largest share of its first weight norm that a hidden layer has left."""
    first = {h.layer: h.weight_norm for h in hidden if h.epoch == 0}
    return max((h.weight_norm / first[h.layer] for h in last if first.get(h.layer)), default=1.0)


def _growth(health: Sequence[LayerHealth]) -> float:
    """The gradient norm of the first hidden layer by that of the last, with the first weights; 1 where not known."""
    norms = [h.gradient_norm for h in health if h.epoch == 0 and h.layer != "output"]
    if len(norms) < 2 or not np.isfinite(norms).all() or norms[-1] == 0:
        return 1.0
    return norms[0] / norms[-1]


def _explosion(health: Sequence[LayerHealth]) -> tuple[dict[str, float], str] | None:
    """(evidence, words) of a gradient that explodes with the first weights."""
    if (growth := _growth(health)) > EXPLODING:
        words = f"the gradient grew {growth:.2g} times from the last hidden layer to the first"
        return {"gradient_growth": growth}, words
    first = [h for h in health if h.epoch == 0 and h.layer != "output" and h.weight_norm > 0]
    shares = [h.gradient_norm / h.weight_norm for h in first]
    if shares and not max(shares) <= THROWN:  # a gradient that is no number has exploded too
        return {"gradient_share": max(shares)}, f"a hidden layer's gradient was {max(shares):.2g} times its weights"
    return None
