"""Stock Optuna's samplers on a study in memory: what `Search` asks for qmc, cmaes and gp."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hpo.metrics import Direction
from hpo.search.distributions import Terms, draw, inside
from hpo.search.optuna_study import quiet
from hpo.search.samplers import make_sampler
from hpo.search.values import ClosedState, Param, TrialState

_STATES: dict[TrialState, OptunaState] = {
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}
_SHARED_BETWEEN_PROCESSES = "gp:relative_params"
"""Attributes that tell other processes what a trial is about to choose; all choices are in its parameters here."""
_STUDY_STATE = "qmc:"
"""Prefix of the study attribute that counts the points taken of a quasi-random sequence."""


class Memory(InMemoryStorage):
    """Optuna's storage in memory, which keeps parameters inside their ranges."""

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, inside(distribution, param_value_internal), distribution)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        # Optuna copies the template deeply, ten times the cost of all else; ours is handed over for good.
        return super().create_new_trial(study_id, None if template_trial is None else _HandedOver.of(template_trial))

    def set_params(self, trial_id: int, template: FrozenTrial) -> None:
        """Replace what a trial chose."""
        trial = self._get_trial(trial_id)
        trial.params, trial.distributions = template.params, template.distributions


class _HandedOver(FrozenTrial):
    """A trial that is not copied when it goes into the storage."""

    @classmethod
    def of(cls, trial: FrozenTrial) -> "_HandedOver":
        found = cls.__new__(cls)
        found.__dict__.update(trial.__dict__)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        found = FrozenTrial.__new__(FrozenTrial)
        found.__dict__.update(self.__dict__)
        return found


class Stock:
    """An Optuna study in memory that answers to numbers and parameters."""

    def __init__(
        self, terms: Terms, *, direction: Direction, sampler: str, seed: tuple[str | int, ...], startup: int
    ) -> None:
        self._terms, self._sampler, self._seed, self._startup = terms, sampler, seed, startup
        self._storage = Memory()
        with quiet():
            # The sampler is replaced at each proposal; this one only keeps Optuna from making its default one.
            self._study = optuna.create_study(
                storage=self._storage, study_name="stage", direction=direction, sampler=optuna.samplers.RandomSampler(0)
            )
        self._study_id = self._storage.get_study_id_from_name("stage")
        self._next = 0

    def propose(self, number: int, *, anything_complete: bool) -> tuple[tuple[Param, ...], dict[str, str]]:
        """Parameters for a new running trial, and the attributes that must travel with it, as JSON by key."""
        with quiet():
            self._reach(number)
            self._study.sampler = make_sampler(
                self._sampler,
                self._terms.space,
                seed=self._seed,
                number=number,
                startup=self._startup,
                anything_complete=anything_complete,
            )
            trial = self._study.ask()
            self._next = number + 1
            draw(self._terms.space, trial)
        attrs = self._settle(self._id(number))
        frozen = self._storage.get_trial(self._id(number))
        return self._terms.params_of(self._terms.space.complete(frozen.params)), attrs

    def replace(self, number: int, params: tuple[Param, ...]) -> None:
        """Let a running trial have chosen `params`."""
        self._storage.set_params(self._id(number), self._frozen(params, "running", None, {}))

    def add(
        self, number: int, params: tuple[Param, ...], state: TrialState, value: float | None, attrs: Mapping[str, str]
    ) -> None:
        """Put a trial into the study as it was recorded."""
        self._reach(number)
        found = {key: json.loads(text) for key, text in attrs.items()}
        self._storage.create_new_trial(self._study_id, self._frozen(params, state, value, found))
        self._next = number + 1
        for key, count in found.items():
            if key.startswith(_STUDY_STATE):  # in order of numbers, so the last is the largest
                self._storage.set_study_system_attr(self._study_id, key, count)

    def tell(self, number: int, state: ClosedState, value: float | None) -> dict[str, str]:
        """Close a running trial; the study's own attributes, as JSON by key."""
        self._study.tell(number, value, state=_STATES[state])
        return {key: json.dumps(count) for key, count in self._counts().items()}

    def _frozen(
        self, params: tuple[Param, ...], state: TrialState, value: float | None, attrs: dict[str, Any]
    ) -> FrozenTrial:
        return create_trial(
            state=_STATES[state],
            value=value,
            params=self._terms.values_of(params),
            distributions={p.name: self._terms.distributions[p.name] for p in params},
            system_attrs=attrs,
        )

    def _settle(self, trial_id: int) -> dict[str, str]:
        """Leave on a new trial exactly what a rebuilt one would have; the attributes that must travel, as JSON."""
        kept: dict[str, object] = {}
        for key, value in dict(self._storage.get_trial(trial_id).system_attrs).items():
            if key.startswith(_SHARED_BETWEEN_PROCESSES):
                # They also name inactive hyperparameters, which no record of the trial holds. Empty: not there.
                self._storage.set_trial_system_attr(trial_id, key, "")
            else:
                kept[key] = value
        # The count of a sequence belongs to the study; carried by the trial that raised it, it outlives this object.
        kept |= self._counts()
        return {key: json.dumps(value) for key, value in kept.items()}

    def _reach(self, number: int) -> None:
        """Make `number` the study's next one; what was never recorded counts as failed, which samplers ignore."""
        for _ in range(self._next, number):
            self._storage.create_new_trial(self._study_id, create_trial(state=OptunaState.FAIL))
        self._next = number

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _counts(self) -> dict[str, int]:
        """How many points were taken of each quasi-random sequence, less one, as Optuna counts."""
        attrs = self._storage.get_study_system_attrs(self._study_id)
        return {key: value for key, value in attrs.items() if key.startswith(_STUDY_STATE)}
