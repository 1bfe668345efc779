"""What to change in a configuration that ails: the training recipe's remedies, one round at a time.

A round is: train, `diagnose`, `remedy`, and train again with `Remedy.applied_to` the configuration, `ROUNDS` times at
most. The caller keeps the changes of all rounds and hands them in as `tried`:

    tried = ()
    for _ in range(ROUNDS):
        found = remedy(diagnosis, configuration, space, tried)
        if not found.changes and found.epochs == 1:
            break                              # healthy, or nothing is left to try: see found.told, found.complaints
        configuration, tried = found.applied_to(configuration), (*tried, *found.changes)
        diagnosis = ...                        # of a training with the new configuration, found.epochs times as long

A compiled cohort has only the parts that its space may ask for: after a change of a hyperparameter that the user did
not state, open its session with `space.fixed_at(configuration, names of the changes)`, or the run is refused.

Laws: every new value lies in the space's range, or is one of a hyperparameter that the user did not state; what the
user fixed is never changed, but told as a complaint. No hyperparameter returns to a value that it had in an earlier
round, or goes beyond one: where a later round wants to go back, it goes half of the way.

Sources: Bengio (2012), "Practical recommendations for gradient-based training of deep architectures"; Goodfellow et al.
(2016), "Deep Learning", chapter 11; Zhang et al. (2021), AUTOTRAINER, table 2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

from hpo.space import SearchSpace
from hpo.space.catalogue import known
from hpo.space.ranges import Fixed, FloatRange, IntRange, Range, clamped, contains
from hpo.values import Configuration, Diagnosis, Scalar

ROUNDS = 4
"""Of remedies at most."""
CUSTOMARY = {"sgd": 1e-2, "momentum": 1e-2, "nesterov": 1e-2, "adagrad": 1e-2, "lion": 1e-4}
"""Learning rates that textbooks and Keras begin with; 1e-3 for the kin of Adam."""
NEAR = 1.2
"""Two values whose ratio is smaller than this are not worth a training of their own."""
DEEP = 4
"""Hidden layers; with more of them a dense network that does badly is tried with half as many first."""
LONGER = 4.0
"""How much longer a round trains at most."""

_RANDOM = ("match", "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "orthogonal")
_ADAPTIVE = ("adam", "nadam", "adamw", "rmsprop")
_RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "swish", "selu")


@dataclass(frozen=True)
class Change:
    """One hyperparameter to be changed."""

    name: str
    old: Scalar
    new: Scalar
    why: str


@dataclass(frozen=True)
class Remedy:
    """What one round changes."""

    changes: tuple[Change, ...] = ()
    """To be made together."""
    complaints: tuple[Change, ...] = ()
    """What would be changed, were it not fixed by the user."""
    epochs: float = 1.0
    """How many times as long to train."""
    told: str = ""
    """What no hyperparameter mends, in words."""

    def applied_to(self, configuration: Configuration) -> dict[str, Scalar]:
        """The configuration with the changes made."""
        return {**configuration, **{c.name: c.new for c in self.changes}}


@dataclass(frozen=True)
class _Proposal:
    """Values for one hyperparameter, the best first: a number is moved into its range, a choice's must lie in it."""

    name: str
    wanted: tuple[Scalar, ...]
    why: str


@dataclass(frozen=True)
class _Case:
    configuration: Configuration
    space: SearchSpace
    evidence: Mapping[str, float]

    def number(self, name: str) -> float:
        """A hyperparameter's value; zero where the model has none of the name."""
        return float(self.configuration.get(name, 0.0))

    @property
    def customary(self) -> float:
        """The learning rate that one begins with under this optimizer."""
        return CUSTOMARY.get(str(self.configuration.get("optimizer")), 1e-3)


Step = list[_Proposal]
"""Proposals that are made together. A later step is taken once nothing of an earlier one is left to do."""


def remedy(
    diagnosis: Diagnosis, configuration: Configuration, allowed: SearchSpace, tried: Sequence[Change] = (), *,
    longer: float = 1.0,
) -> Remedy:  # fmt: skip
    """What the next round changes, by a diagnosis and its evidence.

    allowed: ranges that a new value must lie in; an unstated hyperparameter may take any value that the catalogue has.
    tried: the changes of all earlier rounds, in order. longer: how many times as long as now a training may become; 1:
    no longer at all. Without changes and with `epochs` 1 there is nothing to do, or nothing left.
    """
    if diagnosis.name not in COURSES:
        return Remedy(told=TOLD.get(diagnosis.name, ""))
    case = _Case(configuration, allowed, diagnosis.evidence)
    # What is still too slow with a higher rate gets more epochs as well.
    slow = diagnosis.name == "too slow" and any(c.name == "learning_rate" for c in tried)
    stretch = min(LONGER, longer) if slow or diagnosis.name == "still improving" else 1.0
    changes: list[Change] = []
    complaints: list[Change] = []
    for step in COURSES[diagnosis.name](case):
        for proposal in step:
            if (change := _change(proposal, case, tried)) is not None:
                (complaints if _stated(allowed, proposal.name) else changes).append(change)
        if changes or stretch > 1:
            break
    return Remedy(tuple(changes), tuple(complaints), max(stretch, 1.0))


def _stated(space: SearchSpace, name: str) -> bool:
    """Whether the user fixed it."""
    return isinstance(space[name].range, Fixed) and name not in space.unstated


def _change(proposal: _Proposal, case: _Case, tried: Sequence[Change]) -> Change | None:
    """The change that a proposal comes to; None where there is nothing to change, or nothing that may be."""
    name, space = proposal.name, case.space
    if name not in space or not space.active(name, case.configuration):
        return None
    range_: Range = space[name].range
    if isinstance(range_, Fixed) and name in known(space.model):
        range_ = known(space.model)[name].domain
    old = case.configuration[name]
    held = [value for c in tried if c.name == name for value in (c.old, c.new)]
    if isinstance(range_, (FloatRange, IntRange)):
        new = _number(range_, old, proposal.wanted[0], held)
    else:
        new = None if old in proposal.wanted else _choice(range_, proposal.wanted, held)
    return None if new is None else Change(name, old, new, proposal.why)


def _choice(range_: Range, wanted: Sequence[Scalar], held: Sequence[Scalar]) -> Scalar | None:
    return next((value for value in wanted if contains(range_, value) and value not in held), None)


def _number(range_: FloatRange | IntRange, old: Scalar, wanted: Scalar, held: Sequence[Scalar]) -> Scalar | None:
    """The wanted value inside the range, or half of the way to the nearest value held before that lies on the way."""
    new = clamped(range_, wanted)
    if isinstance(old, str) or isinstance(new, str):
        return None
    low, high = min(old, new), max(old, new)
    between = [v for v in held if not isinstance(v, str) and low <= v <= high and v != old]
    if between:
        nearest = min(between, key=lambda v: abs(v - old))
        new = clamped(range_, sqrt(old * nearest) if old > 0 and nearest > 0 else (old + nearest) / 2)
        if isinstance(new, str) or new == nearest:
            return None
    near = old > 0 and new > 0 and abs(log(new / old)) < log(NEAR)
    return None if near or new == old else new


def _rate(case: _Case, *, lower: bool, factor: float = 10.0) -> _Proposal:
    """A rate so many times lower or higher, and never far from what is customary, where the optimum mostly lies."""
    rate = case.number("learning_rate")
    if lower:
        return _Proposal("learning_rate", (min(rate / factor, 3 * case.customary),), "a lower learning rate")
    return _Proposal("learning_rate", (max(rate * factor, case.customary / 10),), "a higher learning rate")


def _initializer() -> _Proposal:
    return _Proposal("initializer", _RANDOM, "first weights whose size suits the activation, each unit's its own")


def _activation(*names: str) -> _Proposal:
    return _Proposal("activation", names, "its slope does not vanish")


def _clipping(norm: float = 1.0) -> _Proposal:
    return _Proposal("clip_norm", (norm,), "no step is thrown far off by one large gradient")


def _normalization() -> _Proposal:
    why = "keeps every layer's activations, and so its gradient, at one size"
    return _Proposal("batch_normalization", ("before", "after"), why)


def _fewer_layers(case: _Case) -> _Proposal:
    layers = max(1, int(case.number("hidden_layers")) // 2)
    return _Proposal("hidden_layers", (layers,), "fewer layers are easier to train")


def _exploding(case: _Case) -> Iterator[Step]:
    clip = [] if 0 < case.number("clip_norm") <= 1 else [_clipping()]
    yield [_initializer(), *clip]
    yield [_normalization(), _rate(case, lower=True)]
    yield [_fewer_layers(case), _rate(case, lower=True)]


def _vanishing(case: _Case) -> Iterator[Step]:
    yield [_initializer(), _activation(*_RECTIFIERS)]
    yield [_normalization()]
    yield [_fewer_layers(case)]


def _diverged(case: _Case) -> Iterator[Step]:
    clip = [] if 0 < case.number("clip_norm") <= 1 else [_clipping()]
    yield [_rate(case, lower=True), *clip]
    yield [_initializer()]
    yield [_normalization()]


def _oscillating(case: _Case) -> Iterator[Step]:
    yield [_rate(case, lower=True)]
    yield [_Proposal("batch_size", (int(case.number("batch_size")) * 4,), "a steadier gradient")]


def _dead(case: _Case) -> Iterator[Step]:
    yield [_rate(case, lower=True), _initializer(), _activation("leaky_relu", "elu", "gelu", "swish", "selu")]
    yield [_normalization()]


def _saturated(case: _Case) -> Iterator[Step]:
    # Well chosen first weights that end saturated were driven there by the rate; badly chosen ones began so.
    yield [_initializer()]
    yield [_rate(case, lower=True)]
    yield [_normalization()]


def _symmetric(_: _Case) -> Iterator[Step]:
    yield [_initializer()]


def _too_slow(case: _Case) -> Iterator[Step]:
    yield [_rate(case, lower=False)]
    yield [_Proposal("optimizer", _ADAPTIVE, "steps of a size of their own for each weight")]


def _still_improving(case: _Case) -> Iterator[Step]:
    # Three and not ten: what has learned has a rate of about the right size.
    yield [_rate(case, lower=False, factor=3.0)]
    yield [_Proposal("optimizer", _ADAPTIVE, "steps of a size of their own for each weight")]


def _too_deep(case: _Case) -> Step:
    """Half of the layers, where there are more than a dense network has use for (He et al. 2015: degradation)."""
    return [_fewer_layers(case)] if case.number("hidden_layers") > DEEP else []


def _overfit(case: _Case) -> Iterator[Step]:
    dropout, l2 = case.number("dropout"), case.number("l2")
    more = [
        _Proposal("dropout", (max(dropout, min(dropout + 0.2, 0.6)),), "stronger regularization"),
        _Proposal("l2", (max(l2, min(max(1e-3, 3 * l2), 3e-2)),), "stronger regularization"),
    ]
    patience = max(8, round(case.evidence.get("epochs", 40.0) / 4))
    stop = [_Proposal("early_stopping", (patience,), "stops where the validation loss turns up")]
    yield [*more, *_too_deep(case), *(stop if case.number("early_stopping") == 0 else [])]
    yield [_Proposal("units", (max(8, int(case.number("units")) // 4),), "less capacity")]
    yield [_fewer_layers(case)]


def _underfit(case: _Case) -> Iterator[Step]:
    above = case.evidence.get("training_loss", 0.0) > case.evidence.get("prior", float("inf"))
    gentler = {"l1": 1e-4, "l2": 1e-3, "dropout": 0.2, "input_noise": 0.1, "label_smoothing": 0.1, "weight_decay": 4e-3}
    held = {name: case.number(name) for name in gentler}
    strong = {name: min(value / 10, gentler[name]) for name, value in held.items() if value > gentler[name]}
    yield [_Proposal(name, (value,), "weaker regularization") for name, value in strong.items()]
    if above and "weights_left" not in case.evidence:
        yield [_rate(case, lower=case.number("learning_rate") > case.customary / 3)]
    yield _too_deep(case)
    units, layers = int(case.number("units")), int(case.number("hidden_layers"))
    yield [_Proposal("units", (max(32, units * 4),), "more capacity")]
    yield [_Proposal("hidden_layers", (layers + 1,), "more capacity"), _rate(case, lower=False, factor=3.0)]
    yield [_Proposal(name, (value / 10,), "weaker regularization") for name, value in held.items() if value > 0]


COURSES: dict[str, Callable[[_Case], Iterator[Step]]] = {
    "exploding gradient": _exploding, "vanishing gradient": _vanishing, "diverged": _diverged,
    "oscillating": _oscillating, "dead units": _dead, "saturated": _saturated, "symmetric": _symmetric,
    "too slow": _too_slow, "still improving": _still_improving, "overfit": _overfit, "underfit": _underfit,
}  # fmt: skip
"""The steps for each diagnosis that a hyperparameter can mend."""
TOLD = {
    "label or data fault suspected":
        "No hyperparameter mends it: look at the labels, the keys of joins, the order of rows, and whether validation "
        "rows are prepared as training rows are.",
}  # fmt: skip
