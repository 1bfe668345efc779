"""Curves made from formulas, with structure in their space: what the tables do not have.

An objective falls from `START` to the configuration's end value, by exp(-epoch / speed). The end value is a sum of what
the structure gives (a random effect for each level, smooth for ordered ones, and one for each structure) and what the
numbers give (a bowl in each, whose bottom moves with the structure; a random effect for a choice). Rate and structure
set the speed. `share` of the variance of end values is the structure's. Some diverge: above a rate that depends on the
structure, the sooner the higher the rate.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tables import Table

from hpo.seeds import derive
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace
from hpo.values import Configuration

EPOCHS, START, NOISE = 27, 3.0, 0.01
RANDOM = 4000
"""Configurations that `best` and `median` are of."""


class Formula(Table):
    """One made task; `number` decides all its effects."""

    epochs = EPOCHS
    trained_for = EPOCHS

    def __init__(self, number: int, *, layers: int, widths: int, places: int, share: float, diverges: bool) -> None:
        self.direction = "minimize" if number % 2 else "maximize"
        self._sign = 1.0 if number % 2 else -1.0
        self._diverges = diverges
        self.space = SearchSpace(
            "a:formula",
            (
                Hyperparameter("layers", "any", Kind.STRUCTURE, IntRange(1, layers), 1),
                Hyperparameter("width", "any", Kind.STRUCTURE, Choice(tuple(2**k for k in range(4, 4 + widths))), 16),
                Hyperparameter("place", "any", Kind.STRUCTURE, Choice(tuple("abcdef"[:places])), "a"),
                Hyperparameter("rate", "any", Kind.NUMBER, FloatRange(1e-5, 1.0, log=True), 1e-3),
                Hyperparameter("decay", "any", Kind.NUMBER, FloatRange(1e-6, 1e-1, log=True), 1e-3),
                Hyperparameter("momentum", "any", Kind.NUMBER, FloatRange(0.0, 0.99), 0.9),
                Hyperparameter("kind", "any", Kind.NUMBER, Choice(("relu", "tanh", "gelu")), "relu"),
            ),
        )
        random = np.random.default_rng(derive("formula", number))
        shape = (layers, widths, places)
        main = [np.cumsum(random.normal(size=n)) if k < 2 else random.normal(size=n) for k, n in enumerate(shape)]
        effect = main[0][:, None, None] + main[1][None, :, None] + main[2][None, None, :] + random.normal(size=shape)
        self._effect = math.sqrt(share) * (effect - effect.mean()) / effect.std()
        self._moves = random.normal(size=(3, *shape)) * 0.12
        self._bottoms, self._steep = random.uniform(0.25, 0.75, 3), random.uniform(0.5, 1.5, 3)
        self._kinds = random.normal(size=3) * 0.4
        self._share, self._speed = share, random.uniform(2.0, 10.0, shape)
        self._edge = random.uniform(0.65, 0.95, shape)
        draw = np.random.default_rng(derive("formula", number, "random"))
        ends = np.array([self._end(*self._drawn(draw)) for _ in range(RANDOM)])
        ends = ends[np.isfinite(ends)]
        self._low, self._scale = float(ends.min()), 1.5 / float(ends.max() - ends.min())
        best, median = (START - 2.5 + (float(v) - self._low) * self._scale for v in (ends.min(), np.median(ends)))
        self.best, self.median = self._sign * best, self._sign * median

    def _drawn(self, draw: np.random.Generator) -> tuple[Any, ...]:
        return tuple(int(draw.integers(n)) for n in self._effect.shape), draw.random(3), int(draw.integers(3))

    def _end(self, at: tuple[int, ...], numbers: Any, kind: int) -> float:
        if self._diverges and numbers[0] > self._edge[at]:
            return math.nan
        away = numbers - self._bottoms - self._moves[(slice(None), *at)]
        bowls = float((self._steep * away**2).sum()) * 4 + self._kinds[kind]
        return float(self._effect[at] + math.sqrt(1 - self._share) * bowls)

    def _parts(self, c: Configuration) -> tuple[tuple[int, ...], Any, int]:
        at = (
            int(c["layers"]) - 1,
            int(math.log2(float(c["width"]))) - 4,
            "abcdef".index(str(c["place"])),
        )
        numbers = np.array(
            [
                (math.log10(float(c["rate"])) + 5) / 5,
                (math.log10(float(c["decay"])) + 6) / 5,
                float(c["momentum"]) / 0.99,
            ]
        )
        return at, numbers, ("relu", "tanh", "gelu").index(str(c["kind"]))

    def curve(self, seed: int) -> Any:
        drawn = iter(range(10**9))

        def curve(configuration: Configuration) -> Sequence[float]:
            at, numbers, kind = self._parts(configuration)
            end = self._end(at, numbers, kind)
            noise = np.random.default_rng(derive(seed, "noise", next(drawn))).normal(size=EPOCHS + 1) * NOISE
            epochs = np.arange(1, EPOCHS + 1)
            speed = self._speed[at] * 2 ** (2 * (0.6 - numbers[0]))
            if math.isnan(end):
                shown = START + 0.1 * epochs + noise[:-1]
                shown[int(25 * (1 - numbers[0]) / 0.35) :] = math.nan
                return (self._sign * shown).tolist()  # type: ignore[no-any-return]
            low = START - 2.5 + (end - self._low) * self._scale
            shown = low + (START - low) * np.exp(-epochs / speed) + noise[:-1] + noise[-1]
            return (self._sign * shown).tolist()  # type: ignore[no-any-return]

        return curve

    def regret(self, value: float, configuration: Configuration | None) -> float:
        """Of the value that was reached, at whatever epoch."""
        return 1.0 if configuration is None else (value - self.best) / (self.median - self.best)


def formulas() -> dict[str, Table]:
    """Twelve: 20 to 60 structures, little to much of the variance theirs, every other one with divergence."""
    shapes = ((4, 5, 3), (5, 4, 1), (3, 5, 2))
    return {
        f"formula_{n}": Formula(
            n, layers=shapes[n % 3][0], widths=shapes[n % 3][1], places=shapes[n % 3][2],
            share=(0.15, 0.5, 0.8)[n // 4], diverges=n // 2 % 2 == 1,
        )
        for n in range(12)
    }  # fmt: skip
