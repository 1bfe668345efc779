"""Samplers by name. Optuna's own are made anew for each trial, so that a proposal depends on history and number alone.

Each trial's sampler is seeded by (study, stage, number): nothing is remembered in a sampler object. What must outlive
a trial is in Optuna's attributes, which travel with the trials. Where we differ from stock Optuna:

- tpe and random: ours, see `tpe`. Stock Optuna fits its densities anew for each trial.
- qmc: the sequence runs over all varying hyperparameters, the conditional ones too (their coordinate goes unused while
  inactive), and it is scrambled, so that studies of different seeds differ. Stock Optuna takes the first trial's
  hyperparameters, draws the others at random, and without scrambling begins in the corner of the space.
- cmaes: the model runs over the unconditional real and whole numbers. Stock Optuna takes what all completed trials have
  in common, and falls back to random for good once that shrinks. Choices and conditional ones are random.
"""

import importlib.util
import io
import pickle
import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial

from hpo.errors import Fault, InputError, Problem
from hpo.search.distributions import distributions
from hpo.seeds import derive
from hpo.space import SearchSpace

SAMPLERS = ("tpe", "random", "qmc", "cmaes", "gp")
_NEVER = 2**62
_NEEDS = {"cmaes": ("cmaes", "cmaes"), "gp": ("torch", "gp")}
"""Sampler: the module it needs, and the extra that brings it."""


class _OverAll(QMCSampler):
    """Quasi-random points over a space that is given, not inferred from trials."""

    def __init__(self, over: dict[str, BaseDistribution], **settings: Any) -> None:
        super().__init__(**settings)
        self._over = over

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._over


_IN_STATE = ("cmaes._cma.CMA", "numpy.dtype", "numpy.ndarray", *(
    f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")
))  # fmt: skip
"""What the pickled state of CMA-ES is made of."""


class _State(pickle.Unpickler):
    """Reads the state of CMA-ES and nothing else: it comes from a database, and pickles can run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _IN_STATE:
            raise Fault(f"the recorded state of CMA-ES holds {module}.{name}, which is none of its parts: was the "
                        "database changed? Begin the study anew with --fresh.")  # fmt: skip
        return super().find_class(module, name)


class _OverNumbers(CmaEsSampler):
    """CMA-ES over a space that is given, not inferred from trials."""

    def __init__(self, over: dict[str, BaseDistribution], **settings: Any) -> None:
        super().__init__(**settings)
        self._over = over

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._over

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """As Optuna's, which unpickles whatever it finds."""
        for trial in reversed(completed_trials):
            key = self._attr_key_optimizer
            if attrs := {k: text for k, text in trial.system_attrs.items() if k.startswith(key)}:
                return _State(io.BytesIO(bytes.fromhex(self._concat_optimizer_attrs(attrs)))).load()
        return None


def check_sampler(name: str) -> None:
    """Raises InputError where the sampler is unknown or what it needs is not installed."""
    if name not in SAMPLERS:
        raise InputError(
            Problem("study file", "search.sampler", "one of " + ", ".join(SAMPLERS), repr(name), "Choose one of them.")
        )
    module, extra = _NEEDS.get(name, (None, None))
    if not installed(name):
        raise InputError(
            Problem(
                "study file",
                "search.sampler",
                f"a sampler whose packages are installed ({name!r} needs {module})",
                repr(name),
                f"Install the extra with: pip install 'hpo[{extra}]', or choose another sampler.",
            )
        )


def installed(name: str) -> bool:
    """Whether what the sampler needs is there."""
    module, _ = _NEEDS.get(name, (None, None))
    return module is None or importlib.util.find_spec(module) is not None


def learns_from_values(name: str) -> bool:
    """Whether the sampler sees complete trials alone, so that a diverged one must be told as complete."""
    return name in ("cmaes", "gp")


def make_sampler(
    name: str, space: SearchSpace, *, seed: tuple[str | int, ...], number: int, startup: int, anything_complete: bool
) -> BaseSampler:
    """The sampler for one trial. `startup`: trials proposed at random before a model is used (gp)."""
    with warnings.catch_warnings():
        # Optuna calls QMCSampler experimental: our tests hold it, users need not be told.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _made(name, space, seed, number, startup if anything_complete else _NEVER)


def _made(name: str, space: SearchSpace, seed: tuple[str | int, ...], number: int, startup: int) -> BaseSampler:
    own = derive(*seed, number)
    over = {key: d for key, d in distributions(space).items() if not d.single()}
    match name:
        case "qmc":
            # One seed for the whole stage: it scrambles one sequence, of which each trial takes the next point.
            return _OverAll(over, scramble=True, seed=derive(*seed))
        case "cmaes":
            numbers = {
                key: d for key, d in over.items() if not space[key].when and not isinstance(d, CategoricalDistribution)
            }
            # One seed for the whole stage: Optuna adds the trial's number to a 16-bit one, so that seeds of its own
            # for each trial could meet, and two trials of a generation be the same.
            return _OverNumbers(
                numbers,
                seed=derive(*seed),
                n_startup_trials=0,
                independent_sampler=RandomSampler(seed=own),
                warn_independent_sampling=False,
            )
        case _:
            return GPSampler(seed=own, n_startup_trials=startup, warn_independent_sampling=False)
