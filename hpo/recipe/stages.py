"""The stages of the recipe as data: the question each asks, what it varies, and its share of the budget."""

from dataclasses import dataclass
from typing import Literal

from hpo.space import Fixed, Hyperparameter, IntRange, Kind, SearchSpace, contains
from hpo.values import Configuration, Scalar

Objective = Literal["none", "training loss", "validation metric"]


@dataclass(frozen=True)
class Stage:
    """One step of the recipe."""

    name: str
    question: str
    varies: str
    """In words, for people; `searched` says it exactly."""
    objective: Objective
    version: int = 1
    """Raised whenever the stage's code changes its results: part of the fingerprint."""


STAGES: tuple[Stage, ...] = (
    Stage("data", "Can this data be learned from?", "nothing", "none"),
    Stage("baseline", "Does the skeleton work, and what must be beaten?", "model kind, seed", "none", version=2),
    Stage(
        "overfit",
        "How much capacity does the data need?",
        "architecture, initializer, optimizer, learning rate; no regularization",
        "training loss",
        version=3,
    ),
    Stage(
        "regularize",
        "What closes the gap?",
        "L1, L2, dropout, noise, max-norm, loss, batch normalization, batch size, early stopping",
        "validation metric",
        version=2,
    ),
    Stage(
        "tune",
        "Where exactly is the optimum?",
        "learning rate and its schedule, momentum or betas, L2, dropout, narrowed around the best",
        "validation metric",
        version=2,
    ),
    Stage("squeeze", "What is left?", "seeds, longer training, ensembles", "validation metric"),
)

BY_NAME = {stage.name: stage for stage in STAGES}
SEARCHING = ("overfit", "regularize", "tune")

SHARES = {"overfit": 0.4, "regularize": 0.5, "tune": 1.0}
"""Of the trials (or seconds) that are left when the stage begins: 40, 30 and 30 % where no stage is repeated."""

EDGE_CHECK = 2 / 3
"""A stage looks for crowded edges after this share of its trials, so that the rest can go into a widened range."""

CAPACITY = ("units", "filters", "hidden_layers", "dense_units")
_NOISE = ("input_noise", "activation_noise", "weight_noise", "gradient_noise")
_REGULARIZERS = ("l1", "l2", "dropout", *_NOISE, "max_norm", "label_smoothing", "weight_decay")
_LOSS = ("focal_gamma", "huber_delta", "class_weight")
_REGULARIZE = (*_REGULARIZERS, *_LOSS, "loss", "batch_normalization", "batch_size", "early_stopping")
_OVERFIT_SECTIONS = ("architecture", "optimizer")
_LATER = ("schedule", "regularization", "loss")
_TUNE_ALSO = ("learning_rate", "momentum", "rho", "beta_1", "beta_2", "epsilon", "clip_norm", *_REGULARIZERS, *_LOSS)


def searched(stage: str, hyperparameter: Hyperparameter) -> bool:
    """Whether a stage varies a hyperparameter (if the space lets it vary at all).

    Hyperparameters of custom models: structure and start state belong to overfit, numbers to tune.
    """
    name, section = hyperparameter.name, hyperparameter.section
    if stage == "overfit":
        custom = hyperparameter.kind in (Kind.STRUCTURE, Kind.START) and section not in _LATER
        return name not in _REGULARIZE and (section in _OVERFIT_SECTIONS or custom)
    if stage == "regularize":
        return name in _REGULARIZE
    if stage == "tune":
        return name in _TUNE_ALSO or section == "schedule" or (
            hyperparameter.kind is Kind.NUMBER and section not in (*_OVERFIT_SECTIONS, "regularization", "loss")
        )  # fmt: skip
    return False


OFF: dict[str, Scalar] = {
    **dict.fromkeys(_REGULARIZERS, 0.0), "early_stopping": 0, "batch_normalization": "none", "loss": "match",
    "class_weight": 0.0,
}  # fmt: skip
"""A network without regularization that lowers the very loss it is judged by, as the overfit stage wants it."""


def unregularized(space: SearchSpace, configuration: Configuration) -> dict[str, Scalar]:
    """The configuration with every regularizer off, but for those that the user fixed; a constant rate."""
    stated = {h.name for h in space.hyperparameters if not h.varies and h.name not in space.unstated}
    plain = {**configuration, **{k: v for k, v in OFF.items() if k in configuration and k not in stated}}
    if "schedule" in plain and "schedule" not in stated:
        plain["schedule"] = "constant"
    if "batch_size" in plain and "batch_size" not in stated:
        plain["batch_size"] = space["batch_size"].default
    return plain


def stage_space(stage: str, space: SearchSpace, base: Configuration) -> SearchSpace:
    """The space that a stage searches: what it varies as the space has it, everything else fixed at `base`."""
    return space.fixed_at(base, (h.name for h in space.hyperparameters if not searched(stage, h)))


def with_more_capacity(space: SearchSpace) -> tuple[SearchSpace, tuple[str, ...]]:
    """The space with its capacity ranges carried further, and the names that changed.

    Widths grow eightfold (on a ladder of two attempts a network of 2 units reaches 128), depth by one layer. A value
    that the user fixed stays; one that the user did not mention becomes a range.
    """
    changed = []
    for h in space.hyperparameters:
        if h.name not in CAPACITY or (isinstance(h.range, Fixed) and h.name not in space.unstated):
            continue
        low, high = (h.range.low, h.range.high) if isinstance(h.range, IntRange) else (int(h.default), int(h.default))
        if h.name == "dense_units" and high == 0:
            continue
        deeper = h.name == "hidden_layers"
        grown = (
            IntRange(max(low, 1), high + 1) if deeper else IntRange(max(high // 2, low, 1), min(high * 8, 4096), True)
        )
        if grown.high > high:
            space = space.with_range(h.name, grown)
            changed.append(h.name)
    return space, tuple(changed)


@dataclass(frozen=True)
class StagePlan:
    """What a stage will do under a study's budget, if no attempt is repeated."""

    stage: str
    question: str
    varies: tuple[str, ...]
    objective: str
    trials: int
    runs: int
    """Trainings of networks: trials times folds, and the seeds and proofs that the stage adds."""


def plan(
    space: SearchSpace, *, trials: int | None, seeds: int, proof_seeds: int, folds: int = 1
) -> tuple[StagePlan, ...]:
    """The stages with what each varies and how many trials and runs it will take; -1 trials: bounded by time alone."""
    left, planned = trials, []
    for stage in STAGES:
        names = tuple(h.name for h in space.varying if searched(stage.name, h))
        count = 0
        if stage.name in SEARCHING:
            count = -1 if left is None else share_of(stage.name, left) if names else min(left, 1)
            left = None if left is None else left - max(count, 0)
        fixed_runs = {
            "baseline": seeds,
            "regularize": 3 * proof_seeds,
            "tune": 3 * proof_seeds,
            "squeeze": 2 * proof_seeds,
        }
        runs = (max(count, 0) + fixed_runs.get(stage.name, 0)) * folds
        planned.append(StagePlan(stage.name, stage.question, names, stage.objective, count, runs))
    return tuple(planned)


def share_of(stage: str, left: int) -> int:
    """How many of the trials that are left a stage gets: its share, at least one, never more than there are."""
    return min(left, max(1, round(left * SHARES[stage])))


def anything_varies(space: SearchSpace) -> bool:
    """Whether the space holds two configurations that differ in what matters.

    A hyperparameter whose condition rests on a value that is fixed otherwise never matters: momentum under Adam.
    """

    def possible(name: str) -> bool:
        when = space[name].when
        return all(any(contains(space[on].range, v) for v in allowed) and possible(on) for on, allowed in when)

    return any(possible(h.name) for h in space.varying)
