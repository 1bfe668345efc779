"""The last verdict: what seeds, longer training and an ensemble gave, and what the one opening of the test set says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.metrics import Metric
from hpo.numbers import interval, number, signed
from hpo.recipe.noise import Comparison
from hpo.values import Verdict


@dataclass(frozen=True)
class TestScore:
    """A frozen model's score on the test rows, with its 95 % bootstrap interval."""

    model: str
    value: float
    low: float
    high: float

    __test__ = False  # pytest would take the class for a test by its name

    def __str__(self) -> str:
        return f"{self.model.replace('_', ' ')} {interval(self.value, self.low, self.high)}"


def on_squeeze(
    *, metric: Metric, seeds: Sequence[float], longer: Comparison | None, epochs: int, members: Sequence[str], why: str,
    single: float, together: float, scores: Sequence[TestScore], look: int, against: Mapping[str, tuple[float, float]],
    folds: int = 1, diverged: int = 0, in_time: bool = True,
) -> Verdict:  # fmt: skip
    """The exported model and how it compares.

    seeds: validation metric of the chosen configuration's seeds. longer: training `epochs` epochs against the usual
    number; None where a seed diverged in these, or, unless `in_time`, it was not tried. members: names of the
    ensemble's members; why: these, in words. single, together: validation metric of one member alone, on average, and
    of all. look: which opening of this test set it was. against: for each baseline the difference of the final model's
    test metric to it (positive: the final model is better) and the deviation of that difference. folds: networks that
    each member is the mean of. diverged: seeds that gave no network.
    """
    low, high = min(seeds), max(seeds)
    sentence = f"Over {len(seeds)} seeds validation {metric.name} lies between {number(low)} and {number(high)}."
    if diverged:
        sentence += f" {diverged} more diverged."
    if longer is not None:
        sentence += f" Training for {epochs} epochs "
        if longer.gain:
            sentence += f"is a proved gain of {number(longer.difference, 3)}."
        else:
            used = ", used as not worse" if longer.difference > 0 else ""
            sentence += f"is no proved gain ({signed(longer.difference, 2)}){used}."
    elif in_time:
        sentence += f" In {epochs} epochs a seed diverged."
    else:
        sentence += f" Training for {epochs} epochs was left out: the time was used up."
    each = f", each the mean of {folds} networks, one a fold" if folds > 1 else ""
    if len(members) > 1:
        what = "members" if folds > 1 else "networks"
        sentence += f" The final model is the mean of {len(members)} {what}{each} ({', '.join(members)}: {why}): "
        sentence += f"{number(together)}, where one of them alone has {number(single)} on average."
    else:
        what = f"the mean of {folds} networks, one a fold" if folds > 1 else "one network"
        sentence += f" The final model is {what} ({members[0]}: {why}): {number(together)}."
    sentence += f" The test set was opened once for all (look number {look} on this data): "
    sentence += "; ".join(map(str, scores)) + "."
    sentence += "".join(f" {_against(name, *pair)}" for name, pair in against.items() if name != "prior")
    figures = {
        "seeds": float(len(seeds)), "seed_low": low, "seed_high": high, "members": float(len(members)),
        "validation_single": single, "validation_final": together, "look": float(look),
    }  # fmt: skip
    for score in scores:
        figures |= {f"test_{score.model}": score.value}
    if longer is not None:
        figures |= {"longer_gain": longer.difference, "longer_needed": longer.threshold}
    return Verdict("done", sentence, figures)


BEYOND = 1.96
"""Deviations that a difference on the test rows must exceed to count."""


def _against(name: str, difference: float, deviation: float) -> str:
    rival = name.replace("_", " ").capitalize()
    size = f"by {number(abs(difference), 3)}"
    if abs(difference) <= BEYOND * deviation:
        return f"{rival}: level within the noise of the test rows ({signed(difference, 2)})."
    if difference < 0:
        return f"{rival} win {size}." if name == "boosted_trees" else f"{rival} wins {size}."
    return f"{rival}: beaten {size}."
