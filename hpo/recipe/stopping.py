"""When a searching stage ends, in words that its verdict repeats."""

from collections.abc import Sequence


def plateau(costs: Sequence[float | None], patience: int, carried: int = 0) -> bool:
    """Whether the last `patience` trials brought nothing better. costs: in trial order, less is better.

    carried: so many at the beginning come from an earlier attempt: they set the mark, but do not count as tries.
    """
    best, since = None, 0
    for number, cost in enumerate(costs):
        if cost is not None and (best is None or cost < best):
            best, since = cost, 0
        elif number >= carried:
            since += 1
    return since >= patience


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
