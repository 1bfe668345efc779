"""The learning-rate range test (Smith 2017): training while the rate grows from far too small to far too large."""

import numpy as np

from hpo.space import SearchSpace
from hpo.training import backend
from hpo.training.backend import keras
from hpo.training.builder import build
from hpo.training.curves import row_order
from hpo.training.inspection.rate_reading import RateReading, read
from hpo.training.optimizers import stock
from hpo.values import Array, Configuration, Fold, TaskFacts

GIVE_UP = 1e4
"""A loss so many times the first one will not come back: the rest of the test would show nothing."""


def rate_range(
    space: SearchSpace, configuration: Configuration, facts: TaskFacts, fold: Fold, *, lowest: float, highest: float,
    steps: int, seed: int,
) -> RateReading:  # fmt: skip
    """Train one network on the fold's training rows with a rate that grows geometrically, a step a batch.

    Everything but the rate and its schedule is the configuration's: optimizer, batch size, penalties, dropout. What is
    told at a rate is the loss of the batch that follows a step at it, penalties included.
    """
    backend.prepare()
    model = build(space, configuration, facts, seed=seed, runtime=True)
    classifies = facts.task.classifies
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classifies else "mean_squared_error"
    optimizer = stock(configuration, lowest)
    model.compile(optimizer=optimizer, loss=loss)
    rates = np.geomspace(lowest, highest, steps)
    losses = np.full(steps, np.nan)
    used = _batches(len(fold.x_train), int(configuration["batch_size"]), steps + 1, seed)
    y = fold.y_train if classifies else fold.y_train[:, None]
    for step, rows in enumerate(used):
        # The last batch only tells the loss: the step after it is not looked at.
        optimizer.learning_rate = float(rates[min(step, steps - 1)])
        seen = float(model.train_on_batch(fold.x_train[rows], y[rows]))
        if step == 0:
            start = seen
            continue
        losses[step - 1] = seen
        if not np.isfinite(seen) or seen > GIVE_UP * abs(start):
            break
    return read(rates, losses)


def _batches(rows: int, size: int, count: int, seed: int) -> list[Array]:
    """Row numbers of so many batches: a new permutation an epoch, the remainder dropped, as in every training here."""
    size = min(size, rows)
    epochs = -(-count // (rows // size))
    batches: list[Array] = []
    for epoch in range(epochs):
        order = row_order(seed, epoch, rows)
        batches += list(order[: rows // size * size].reshape(-1, size))
    return batches[:count]
