"""Which models to average: greedy forward selection on validation predictions.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models" (ICML 2004). Where we differ: a
model is taken once at most, so that each member counts the same and the exported network is their plain mean.
"""

from collections.abc import Sequence

import numpy as np

from hpo.metrics import Metric
from hpo.values import Array

_LEAST_GAIN = 1e-9
"""Relative; below it a difference is rounding, and the smaller ensemble is kept."""


def choose(predictions: Sequence[Array], y: Array, metric: Metric, most: int) -> tuple[int, ...]:
    """Numbers of the predictions whose mean scores best, at most `most`, in the order they were taken.

    predictions: each p (rows, classes) or (rows, 1), all on the same rows; y (rows,). Begins with the best one alone
    and takes whichever improves the mean most, until none does. Of equal ones the first is taken; predictions
    whose metric is NaN never are. Raises ValueError where there is nothing to choose from.
    """
    if most < 1:
        raise ValueError(f"An ensemble has at least one member, not {most}.")
    left = [i for i, p in enumerate(predictions) if np.isfinite(metric(y, p))]
    if not left:
        raise ValueError("An ensemble needs predictions that are finite numbers; there are none.")
    chosen: list[int] = []
    total = np.zeros(predictions[left[0]].shape, dtype=np.float64)
    score = float("nan")
    while left and len(chosen) < most:
        scores = {i: metric(y, (total + predictions[i]) / (len(chosen) + 1)) for i in left}
        best = max(left, key=lambda i: metric.sign * scores[i])
        if chosen and not metric.sign * (scores[best] - score) > _LEAST_GAIN * max(1.0, abs(score)):
            break
        chosen.append(best)
        left.remove(best)
        total += predictions[best]
        score = scores[best]
    return tuple(chosen)


def lead_on_unseen(
    predictions: Sequence[Array], plain: Array, y: Array, metric: Metric, most: int, seed: int, *, halvings: int = 10
) -> float:
    """By how much picking (`choose`) beats the prediction `plain` on rows that it did not pick on; negative: it loses.

    The rows are halved at random `halvings` times; each half picks once and judges once, and the leads are averaged.
    """
    rng, leads = np.random.default_rng(seed), []
    for _ in range(halvings):
        order = rng.permutation(len(y))
        halves = order[: len(y) // 2], order[len(y) // 2 :]
        for picks, judges in (halves, halves[::-1]):
            members = choose([p[picks] for p in predictions], y[picks], metric, most)
            together = np.mean([predictions[i][judges] for i in members], axis=0)
            leads.append(metric.sign * (metric(y[judges], together) - metric(y[judges], plain[judges])))
    return float(np.nanmean(leads))
