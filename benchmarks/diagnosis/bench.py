"""One data set: its rows, sound or faulty, the scale that its losses are held against, and trainings on it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, cached_property
from math import sqrt
from typing import Any

import numpy as np
from planted import CALM, HEALTHY, SPACE, Planted

from hpo.data import load
from hpo.metrics import METRICS
from hpo.recipe.diagnosis import Scale, diagnose
from hpo.recipe.noise import row_losses
from hpo.studyfile import load_study
from hpo.training.baselines import KINDS, fit
from hpo.training.engine import open_session
from hpo.values import Array, Configuration, Diagnosis, Fold, Outcome, RunRequest, RunResult, TaskFacts

ROWS = 1000
"""Training and validation rows at most; a healthy training has more of them where its set needs more."""
SEEDS = 5
ORDERED = ("wine", "california_housing")
"""Sets whose files are in an order, by class and by place: their first rows are no sample until they are shuffled."""


class Bench:
    """One data set."""

    def __init__(self, name: str, data_dir: str | None) -> None:
        spec = load_study(name)
        data = load(spec.data, seed=0, metric=spec.metric, base=spec.base, data_dir=data_dir)
        self.name, self.facts = name, data.facts
        self.metric, self._whole = METRICS[data.metric], data.fold(0)
        if name in ORDERED:
            self._whole = shuffled(self._whole)
        self.fold = cache(self._fold)
        self.scale = cache(self._scale)
        self._small: dict[str, float] = {}

    def train(self, wanted: Iterable[Planted]) -> Iterator[tuple[Planted, RunResult]]:
        """Those of one structure on the same rows together."""
        groups: defaultdict[str, list[tuple[Planted, Configuration]]] = defaultdict(list)
        for one in wanted:
            configuration = {**SPACE.default(), **one.changes}
            groups[f"{SPACE.structure(configuration)} {one.data}"].append((one, configuration))
        for group in groups.values():
            session = open_session(
                space=SPACE, structure=group[0][1], facts=self.facts, folds=[self.fold(group[0][0].data)],
                metric=self.metric, slots=len(group), engine="compiled",
            )  # fmt: skip
            for slot, (one, configuration) in enumerate(group):
                session.put(slot, RunRequest(configuration, one.seed, 0, one.epochs))
            session.advance(max(one.epochs for one, _ in group))
            yield from ((one, session.result(slot)) for slot, (one, _) in enumerate(group))
            session.close()

    @cached_property
    def level(self) -> bool:
        """Whether the healthy network, with seeds of its own, is level with the best baseline: else it is behind."""
        changes = {**HEALTHY[self.name].changes, "learning_rate": 2e-3}
        seeds = [Planted("", changes, 80, "more", seed=200 + i) for i in range(SEEDS)]
        mean = float(np.mean([result.validation_loss for _, result in self.train(seeds)]))
        scale = self.scale("more")
        return mean <= scale.reference + 2 * scale.noise

    def standing(self, data: str) -> float:
        """The validation loss up to which a network on these rows is as good as a sound one."""
        scale = self.scale(data)
        return max(scale.reference, self._small[data]) + 2 * scale.noise

    def read(self, one: Planted, result: RunResult) -> Diagnosis:
        """The diagnosis of a training."""
        return diagnose(
            result.curve, result.health, diverged=result.outcome is Outcome.DIVERGED,
            training_loss=result.training_loss, validation_loss=result.validation_loss, scale=self.scale(one.data),
        )  # fmt: skip

    def _fold(self, data: str) -> Fold:
        """The rows of one kind: see `planted.Planted.data`."""
        kind, _, amount = data.partition(" ")
        whole = self._whole
        rows = HEALTHY[self.name].rows if kind == "more" else int(amount) if kind == "few" else ROWS
        fold = replace(
            whole, x_train=whole.x_train[:rows], y_train=whole.y_train[:rows], x_valid=whole.x_valid[:ROWS],
            y_valid=whole.y_valid[:ROWS],
        )  # fmt: skip
        return fold if kind in ("sound", "more", "few") else spoilt(fold, self.facts, kind, float(amount or 1))

    def _scale(self, data: str) -> Scale:
        """As the baseline stage has it: baselines on the same rows, and seeds of a small network."""
        fold = self.fold(data)
        seeds = [Planted("", CALM, epochs=60, data=data, seed=100 + i) for i in range(SEEDS)]
        small = [result.validation_loss for _, result in self.train(seeds)]
        losses = {}
        for kind in KINDS:
            predictor = fit(kind, self.facts, fold.x_train, fold.y_train, 0)
            losses[kind] = row_losses(self.facts.task, fold.y_valid, predictor.predict(fold.x_valid), 1.0)
            if kind == "prior":
                on_training = row_losses(self.facts.task, fold.y_train, predictor.predict(fold.x_train), 1.0)
        self._small[data] = float(np.mean(small))
        rows = float(losses["linear"].std() / sqrt(len(losses["linear"])))
        noise = sqrt(float(np.var(small, ddof=1)) + rows**2)
        means = [float(values.mean()) for values in losses.values()]
        return Scale(noise, float(on_training.mean()), min(*means, float(np.mean(small))))


def shuffled(fold: Fold) -> Fold:
    """The same rows in another order, the same in every run."""
    train, valid = (np.random.default_rng(0).permutation(len(y)) for y in (fold.y_train, fold.y_valid))
    return replace(
        fold, x_train=fold.x_train[train], y_train=fold.y_train[train], x_valid=fold.x_valid[valid],
        y_valid=fold.y_valid[valid],
    )  # fmt: skip


def spoilt(fold: Fold, facts: TaskFacts, kind: str, amount: float) -> Fold:
    """A fold with a fault in its labels or its columns. amount: the share of labels, or a factor."""
    rng = np.random.default_rng(7)
    match kind:
        case "permuted":
            return replace(
                fold, y_train=_permuted(fold.y_train, amount, rng), y_valid=_permuted(fold.y_valid, amount, rng)
            )
        case "shifted":
            y = (fold.y_valid + 1) % facts.outputs if facts.task.classifies else -fold.y_valid
            return replace(fold, y_valid=y.astype(fold.y_valid.dtype))
        case "out-of-step":
            return replace(fold, y_valid=np.roll(fold.y_valid, 1))
        case "columns":
            x = fold.x_valid.reshape(len(fold.x_valid), -1)[:, rng.permutation(np.prod(facts.input_shape))]
            return replace(fold, x_valid=np.ascontiguousarray(x.reshape(fold.x_valid.shape)))
        case "unscaled":
            x = fold.x_valid / np.where(fold.scale == 0, 1, fold.scale) + fold.offset
            return replace(fold, x_valid=x.astype(fold.x_valid.dtype))
    raise ValueError(f"No fault of the data is called {kind!r}.")


def _permuted(y: Array, share: float, rng: Any) -> Array:
    """That share of the labels, exchanged among each other."""
    chosen = rng.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    y[np.sort(chosen)] = y[chosen]
    return y
