"""Reading a learning curve: one name, one sentence, the numbers behind it."""

from dataclasses import dataclass

import numpy as np

from hpo.values import Curve, Diagnosis

GAP_IN_NOISE = 2.0
"""A gap counts above so many deviations of the noise, and above `GAP_SHARE` of the prior's loss."""
GAP_SHARE = 0.01
IMPROVING = 0.05
"""Still improving: the last fifth of the epochs lowers the validation loss by more than this share, and the noise."""


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


def diagnose(curve: Curve, *, diverged: bool, training_loss: float, validation_loss: float, scale: Scale) -> Diagnosis:
    """The first of these that holds: diverged, overfit, still improving, underfit, healthy.

    training_loss and validation_loss are those of the kept weights; a mean over a trial's runs where it has several.
    """
    evidence = {"training_loss": training_loss, "validation_loss": validation_loss, "epochs": float(len(curve))}
    if diverged or not np.isfinite([training_loss, validation_loss]).all():
        rate = float(curve.learning_rate[-1]) if len(curve) else float("nan")
        return Diagnosis(
            "diverged",
            f"The loss became infinite or NaN in epoch {len(curve)}, at a learning rate of {rate:.2g}: a lower rate.",
            {"epochs": float(len(curve)), "learning_rate": rate},
        )
    gap = validation_loss - training_loss
    evidence |= {"gap": gap, "pace": pace(curve)}
    if has_gap(training_loss, validation_loss, scale):
        return Diagnosis(
            "overfit",
            f"Validation loss {validation_loss:.3g} lies {gap:.3g} above training loss {training_loss:.3g}, more than "
            f"the noise of {scale.noise:.2g}: stronger regularization.",
            evidence,
        )
    if still_improving(curve, scale.noise):
        return Diagnosis(
            "still improving",
            f"Validation loss was still falling in epoch {len(curve)}, at {validation_loss:.3g}: more epochs or a "
            "higher rate.",
            evidence,
        )
    if training_loss > scale.prior + GAP_IN_NOISE * scale.noise:
        return Diagnosis(
            "underfit",
            f"Training loss {training_loss:.3g} lies above the {scale.prior:.3g} of always predicting the prior: "
            "nothing was learned, so look at the learning rate before capacity.",
            evidence,
        )
    if training_loss > scale.reference + GAP_IN_NOISE * scale.noise:
        return Diagnosis(
            "underfit",
            f"Training loss {training_loss:.3g} stays above {scale.reference:.3g}, the validation loss of the best "
            "baseline, and there is no gap: more capacity.",
            evidence,
        )
    return Diagnosis("healthy", f"Training loss {training_loss:.3g}, validation loss {validation_loss:.3g}: no gap "
                     "beyond the noise, and the fall has flattened.", evidence)  # fmt: skip
