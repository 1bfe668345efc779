"""Ask and tell, from memory and on values alone.

Laws:
- A proposal is a function of (space, direction, sampler, seed, startup), of the trials known and of its number: the
  same bit for bit, also in a `Search` that was built anew from the trials' records.
- Proposals see the trials that are still running (constant liar in tpe and gp), those of the same batch too.
- Every proposal lies in the space and keeps its conditions.
- A trial that diverged is never forgotten: see `Search.tell`.
"""

import json
import math
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from hpo.metrics import Direction
from hpo.search.distributions import draw, inside, params_of, values_of
from hpo.search.optuna_study import quiet
from hpo.search.samplers import check_sampler, learns_from_values, make_sampler
from hpo.search.values import ClosedState, Param, PastTrial, Proposal, Told, TrialState
from hpo.space import SearchSpace
from hpo.values import Configuration

_STATES: dict[TrialState, OptunaState] = {
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}
_SHARED_BETWEEN_PROCESSES = ("tpe:relative_params", "gp:relative_params")
"""Attributes that tell other processes what a trial is about to choose; all choices are in its parameters here."""
_STUDY_STATE = "qmc:"
"""Prefix of the study attribute that counts the points taken of a quasi-random sequence."""


class _Memory(InMemoryStorage):
    """Optuna's storage in memory, which keeps parameters inside their ranges."""

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, inside(distribution, param_value_internal), distribution)


class Search:
    """The search inside one stage: an Optuna study in memory that answers to numbers and values."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        direction: Direction,
        sampler: str,
        seed: tuple[str | int, ...],
        startup: int,
        history: Sequence[PastTrial] = (),
    ) -> None:
        """`seed`: parts for `seeds.derive`, such as (study seed, stage, attempt). `startup`: random trials first.

        `history`: the stage's trials so far, running ones included, each with its attributes; numbers that are missing
        count as failed. Raises InputError where the sampler's packages are missing, and ValueError where a trial of
        the history does not lie in the space, a number comes twice, or a complete trial has no finite value.
        """
        check_sampler(sampler)
        self._space, self._direction, self._sampler, self._seed, self._startup = (
            space,
            direction,
            sampler,
            seed,
            startup,
        )
        self._storage = _Memory()
        with quiet():
            # The sampler is replaced at each proposal; this one only keeps Optuna from making its default one.
            self._study = optuna.create_study(
                storage=self._storage, study_name="stage", direction=direction, sampler=optuna.samplers.RandomSampler(0)
            )
        self._study_id = self._storage.get_study_id_from_name("stage")
        self._next = 0
        self._worst: float | None = None
        for trial in sorted(history, key=lambda t: t.number):
            self._remember(trial)

    def ask(self, numbers: Sequence[int]) -> list[Proposal]:
        """A configuration for each number, chosen one after another, each knowing those before it as running.

        Numbers must grow and be larger than every number known; raises ValueError otherwise.
        """
        with quiet():
            return [self._ask(number) for number in numbers]

    def propose(self, number: int, configuration: Configuration) -> Proposal:
        """A given configuration as trial `number`, running from now on; the sampler learns from it as from its own.

        Values of hyperparameters that are fixed or inactive are replaced by the space's. Raises ValueError where it
        lies outside the space, or the number is not larger than every number known.
        """
        params = params_of(self._space, configuration)
        self._remember(PastTrial(number, configuration, None, "running"))
        return self._proposal(number, params, {})

    def tell(self, number: int, value: float | None, *, diverged: bool = False) -> Told:
        """Record how a running trial ended: `value` is its objective, None where its runs failed.

        A trial that diverged, or whose value is NaN or infinite, is told so that the sampler leaves that region: as
        pruned where the sampler learns from pruned trials (tpe; random and qmc learn nothing), else (cmaes, gp) as
        complete with the worst value seen so far, and as pruned while none has been seen. Optuna's own way, failed,
        would teach nothing. Raises ValueError where the trial is unknown or not running.
        """
        if not 0 <= number < self._next:
            raise ValueError(f"trial {number} is not known")
        state: ClosedState = "complete"
        if diverged or (value is not None and not math.isfinite(value)):
            value = self._worst if learns_from_values(self._sampler) else None
            state = "pruned" if value is None else "complete"
        elif value is None:
            state = "failed"
        self._study.tell(number, value, state=_STATES[state])
        self._note_worst(value)
        return Told(state, value, {}, {key: json.dumps(count) for key, count in self._counts().items()})

    def _ask(self, number: int) -> Proposal:
        self._reach(number)
        self._study.sampler = make_sampler(
            self._sampler,
            self._space,
            seed=self._seed,
            number=number,
            startup=self._startup,
            anything_complete=self._worst is not None,
        )
        trial = self._study.ask()
        self._next = number + 1
        draw(self._space, trial)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        attrs = self._settle(trial_id)
        frozen = self._storage.get_trial(trial_id)
        return self._proposal(number, params_of(self._space, self._space.complete(frozen.params)), attrs)

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

    def _proposal(self, number: int, params: tuple[Param, ...], attrs: Mapping[str, str]) -> Proposal:
        chosen = values_of(self._space, params)
        return Proposal(number, self._space.complete(chosen), frozenset(chosen), params, attrs)

    def _remember(self, past: PastTrial) -> None:
        """Put a trial into the study as it was recorded."""
        self._reach(past.number)
        params = params_of(self._space, past.configuration) if past.state != "failed" else ()
        attrs = {key: json.loads(text) for key, text in past.attrs.items()}
        if (past.state == "complete") != (past.value is not None and math.isfinite(past.value)):
            raise ValueError(f"trial {past.number} is {past.state} with the value {past.value}")
        self._study.add_trial(
            create_trial(
                state=_STATES[past.state],
                value=past.value,
                params=values_of(self._space, params),
                distributions={p.name: json_to_distribution(p.distribution) for p in params},
                system_attrs=attrs,
            )
        )
        self._next = past.number + 1
        self._note_worst(past.value)
        for key, count in attrs.items():
            if key.startswith(_STUDY_STATE):  # in order of numbers, so the last is the largest
                self._storage.set_study_system_attr(self._study_id, key, count)

    def _reach(self, number: int) -> None:
        """Make `number` the study's next one; what was never recorded counts as failed, which samplers ignore."""
        if number < self._next:
            raise ValueError(f"trial {number} comes after trial {self._next - 1}: numbers must grow")
        for _ in range(self._next, number):
            self._study.add_trial(create_trial(state=OptunaState.FAIL))

    def _note_worst(self, value: float | None) -> None:
        if value is not None:
            worse = max if self._direction == "minimize" else min
            self._worst = value if self._worst is None else worse(self._worst, value)

    def _counts(self) -> dict[str, int]:
        """How many points were taken of each quasi-random sequence, less one, as Optuna counts."""
        attrs = self._storage.get_study_system_attrs(self._study_id)
        return {key: value for key, value in attrs.items() if key.startswith(_STUDY_STATE)}
