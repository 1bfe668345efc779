"""When a searching stage ends, in words that its verdict repeats.

Three rules, each a pure function of the record of costs (less is better) in trial order:

- *budget*: the planned trials, or the seconds, are used up.
- *plateau*: g, by how much the last k trials together lowered the least cost so far, does not exceed the noise.
- *expected improvement*: g * m / k is below the noise, where m trials are left. This is what m more trials bring at the
  mean gain a trial of the last k, and more than that where gains do not grow from trial to trial. Among independent
  draws they shrink: the n-th is a record with probability 1/n (Renyi 1962), so with an exponential tail of scale s,
  whose records gain s on average, m more bring s * log(1 + m/n) where the last k brought -s * log(1 - k/n): less than
  m/k of it, the logarithm being concave. A search that learns gains more than draws do, for which the straight line
  leaves room. The least cost of noisy trials falls by luck too, which makes g greater and both rules more patient.

No stage ends by the last two before k of its own trials have ended, and none by the last where fewer than a quarter
of k are left: so one whose last k trials gained four times the noise goes on.
"""

from collections.abc import Sequence
from math import inf

from hpo.numbers import number
from hpo.recipe.diagnosis import GAP_SHARE
from hpo.recipe.judging import Bar

WORTH_STOPPING = 0.25
"""To stop for what the rest would bring, the rest must be this share of the patience: the last few decide nothing."""


def ended(
    costs: Sequence[float | None], *, noise: float, patience: int, new: int, planned: int | None, carried: int = 0,
    seconds: float | None = None, spent: float = 0.0,
) -> str | None:  # fmt: skip
    """Why a stage proposes no more trials, in words; None while it goes on.

    costs: of the closed trials in the order of their numbers, less is better; None: no value. The first `carried` come
    from an earlier attempt. noise: in the unit of the costs, see `noise_of`. new: trials proposed, running ones
    included, of `planned` (None: no bound). seconds: the bound on those `spent`; None: no bound.
    """
    if planned is not None and new >= planned:
        return f"all {planned} planned trials were used"
    if seconds is not None and spent > seconds:
        return f"its {seconds:.0f} s were used up" if seconds >= 1 else "no time was left for more"
    if plateau(costs, patience, carried, noise):
        return f"the last {patience} trials brought nothing better than the noise ({number(noise, 2)})"
    left = None if planned is None else planned - new
    if left is not None and left >= WORTH_STOPPING * patience:
        expected = expected_improvement(costs, left, patience, carried)
        if expected is not None and expected < noise:
            return (
                f"what {left} more trials are expected to bring ({number(expected, 2)}) is below the noise "
                f"({number(noise, 2)})"
            )
    return None


def noise_of(bar: Bar, objective: str | None) -> float:
    """What a gain must exceed to count, in the unit of the objective: `training loss` or `validation metric`.

    Of the validation metric, the deviation between equal networks (seeds and rows). Training loss has none that
    matters: overfitted networks differ by powers of ten that mean nothing, and what counts is its distance from the
    prior's loss. So it is the share of that loss below which a gap between losses counts for nothing either; the gate
    that overfit asks for is twice as much.
    """
    return GAP_SHARE * bar.prior_loss if objective == "training loss" else bar.noise.metric


def plateau(costs: Sequence[float | None], patience: int, carried: int = 0, noise: float = 0.0) -> bool:
    """Whether the last `patience` trials brought nothing better than the noise. costs: in trial order, less is better.

    carried: so many at the beginning come from an earlier attempt: they set the mark, but do not count as tries. Where
    no trial has a value, that is nothing better either.
    """
    if len(costs) - carried < patience:
        return False
    brought = gain(costs, patience)
    return all(cost is None for cost in costs) if brought is None else brought <= noise


def gain(costs: Sequence[float | None], window: int) -> float | None:
    """By how much the last `window` trials lowered the least cost so far; None where there was none before them."""
    before = [c for c in costs[:-window] if c is not None]
    recent = [c for c in costs[-window:] if c is not None]
    return max(0.0, min(before) - min(recent, default=inf)) if before else None


def expected_improvement(costs: Sequence[float | None], left: int, window: int, carried: int = 0) -> float | None:
    """By how much `left` more trials are expected to lower the least cost, in its unit: see the module's head.

    None where fewer than `window` trials of the stage's own have ended, or none before them has a value.
    """
    brought = gain(costs, window) if len(costs) - carried >= window else None
    return None if brought is None else brought * left / window


def patience(planned: int | None, stated: int | None) -> int:
    """The plateau's length: as stated, else half of the planned trials, at least ten."""
    return stated if stated is not None else max(10, (planned or 40) // 2)


def effect(values: Sequence[float], costs: Sequence[float]) -> float:
    """Mean cost of the half with the smaller values minus that of the half with the greater: positive, more is better.

    Zero where there are fewer than six trials or the values do not vary.
    """
    if len(values) < 6 or min(values) == max(values):
        return 0.0
    order = sorted(range(len(values)), key=lambda i: values[i])
    half = len(order) // 2
    low, high = order[:half], order[-half:]
    return sum(costs[i] for i in low) / half - sum(costs[i] for i in high) / half
