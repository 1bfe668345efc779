"""What verdicts are given on: trials, contenders and baselines as the recipe sees them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.metrics import Metric
from hpo.recipe.diagnosis import DROPPED, Scale
from hpo.recipe.edges import Ranked
from hpo.recipe.noise import Comparison, Noise
from hpo.values import Configuration


@dataclass(frozen=True)
class Tried:
    """A finished trial; scores are means over its folds, NaN where it diverged."""

    number: int
    configuration: Configuration
    value: float | None
    training_loss: float
    validation_loss: float
    training_metric: float
    validation_metric: float
    parameters: int
    diagnosis: str
    origin: str = "sampler"
    pace: float = 0.0
    """See `diagnosis.pace`: near 1 where the learning rate is far too low."""
    rung: int = 0
    """Of a trial that gave up its slot: the epoch of the rung where it did; 0 for others."""
    value_there: float = 0.0
    """Its objective there."""

    @property
    def gap(self) -> float:
        return self.validation_loss - self.training_loss

    @property
    def gave_up(self) -> bool:
        """Whether it gave up its slot, at a rung or when the time was up."""
        return self.rung > 0 or self.diagnosis == DROPPED

    @property
    def diverged(self) -> bool:
        """Whether it was trained and has no value for another reason."""
        return self.value is None and bool(self.diagnosis) and not self.gave_up


@dataclass(frozen=True)
class Proved:
    """A contender with fresh seeds, held against the stage's reference."""

    trial: Tried
    mean: float
    """Of the validation metric over the fresh seeds."""
    training_loss: float
    validation_loss: float
    comparison: Comparison | None
    """None for the reference itself."""

    @property
    def gap(self) -> float:
        return self.validation_loss - self.training_loss


@dataclass(frozen=True)
class Baseline:
    """Validation scores of a model that must be beaten."""

    metric: float
    loss: float


@dataclass(frozen=True)
class Bar:
    """What the baseline stage hands on, and later stages are held against."""

    metric: Metric
    noise: Noise
    prior_loss: float
    """Loss of the prior on the training rows."""
    floor: float
    """Lowest training loss that contradictory duplicates allow."""
    baselines: Mapping[str, Baseline]

    @property
    def to_beat(self) -> str:
        """The best baseline's name."""
        return min(self.baselines, key=lambda n: -self.metric.sign * self.baselines[n].metric)

    @property
    def scale(self) -> Scale:
        reference = min(b.loss for b in self.baselines.values())
        return Scale(self.noise.loss, self.prior_loss, reference)

    def behind(self, score: float) -> float:
        """By how much a validation score is worse than the best baseline's; negative where it is better."""
        return self.metric.sign * (self.baselines[self.to_beat].metric - score)

    def gate(self, share: float) -> float:
        """The training loss that shows enough capacity: a share of the prior's, or what the labels allow."""
        return max(share * self.prior_loss, self.floor + share * self.prior_loss / 2)


def complete(trials: Sequence[Tried]) -> list[Tried]:
    """Those that have a value."""
    return [t for t in trials if t.value is not None]


def ranked(trials: Sequence[Tried], sign: float) -> list[Ranked]:
    """For all that asks for the order of trials alone: cost is a trial's place, from 0 for the best.

    Trials that gave up their slots come after those that have a value, of a later rung before those of an earlier one;
    others (diverged, failed) are left out. sign: +1 where a greater value is better.
    """
    keys = {
        t.number: (t.value is None, -t.rung, -sign * (t.value_there if t.value is None else t.value))
        for t in trials
        if t.value is not None or t.rung
    }
    order = sorted(keys.values())
    return [Ranked(t.configuration, float(bisect_left(order, keys[t.number]))) for t in trials if t.number in keys]


def best(trials: Sequence[Tried], sign: float) -> Tried:
    """The best value; ties go to the earlier trial, as in Optuna."""
    return max(complete(trials), key=lambda t: (sign * (t.value if t.value is not None else 0.0), -t.number))


def counted(trials: Sequence[Tried]) -> str:
    """`16 trials (12 overfit, 3 healthy, 1 diverged)`, most frequent first."""
    kinds = Counter(t.diagnosis or "not trained" for t in trials).most_common()
    return f"{len(trials)} trial{'s' * (len(trials) != 1)} ({', '.join(f'{n} {name}' for name, n in kinds)})"
