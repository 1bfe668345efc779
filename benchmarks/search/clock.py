"""What a search costs, in epochs of a single run.

An epoch of a cohort of 1, 8 and 32 runs costs 1.0, 1.6 and 3.84 of a single run's (measured on two cores), straight
lines in between and beyond; the first use of a structure costs as much as `COMPILE` epochs.
"""

import numpy as np

RUNS, COSTS = (0, 1, 8, 32), (0.0, 1.0, 1.6, 3.84)
SLOPE = (COSTS[-1] - COSTS[-2]) / (RUNS[-1] - RUNS[-2])
COMPILE = 20.0


def epoch(runs: int) -> float:
    """Of a cohort with so many runs in training."""
    return float(np.interp(runs, RUNS, COSTS)) + SLOPE * max(0, runs - RUNS[-1])


def compilation(epochs: int, trained_for: int) -> float:
    """In epochs of a table that shows `epochs` of a training of so many."""
    return COMPILE * epochs / trained_for
