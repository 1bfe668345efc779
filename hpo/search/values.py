"""What goes into and comes out of a search: frozen values without any Optuna object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hpo.values import Configuration

TrialState = Literal["running", "complete", "pruned", "failed"]
ClosedState = Literal["complete", "pruned", "failed"]


class Param(NamedTuple):
    """One hyperparameter of a trial as Optuna's tables hold it."""

    name: str
    internal: float
    """The number that Optuna stores: the value itself, or the position of a choice."""
    distribution: str
    """Optuna's JSON of the distribution it was drawn from."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to try."""

    number: int
    configuration: Configuration
    """Complete: fixed values, and defaults for what is inactive, included."""
    varied: frozenset[str]
    """Names that the search chose: varying and active."""
    params: tuple[Param, ...]
    """The same choices for Optuna's tables, in the space's order."""
    attrs: Mapping[str, str] = field(default_factory=dict)
    """The sampler's state for Optuna's trial system attributes: JSON by key. Hand it back in `PastTrial.attrs`."""


@dataclass(frozen=True)
class PastTrial:
    """A trial proposed earlier, as the records hold it."""

    number: int
    configuration: Configuration
    value: float | None
    """The objective of a complete trial as `Told.value` gave it; None otherwise."""
    state: TrialState
    attrs: Mapping[str, str] = field(default_factory=dict)
    """What `Proposal.attrs` and `Told.attrs` said, together."""


@dataclass(frozen=True)
class Told:
    """How a trial's end is written down in Optuna's tables."""

    state: ClosedState
    """`complete`, `pruned` (diverged) or `failed`."""
    value: float | None
    """The objective, or for a diverged trial that counts as complete, the worst value seen; None otherwise."""
    attrs: Mapping[str, str] = field(default_factory=dict)
    """Trial system attributes to set: JSON by key."""
    study_attrs: Mapping[str, str] = field(default_factory=dict)
    """Study system attributes to set, with which stock Optuna could go on: JSON by key."""
