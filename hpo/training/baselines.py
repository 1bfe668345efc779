"""The models a tuned network has to beat: the prior, a linear model, and boosted trees.

Symbols: x encoded, unscaled rows, float32, (rows, *input_shape), images are flattened; y class numbers (rows,) or
targets in their own unit (rows,); p class probabilities (rows, classes) or targets in their own unit (rows, 1).

They are scikit-learn's with its own defaults, but for bounds on their time (see `_rows_for` and `_ROUNDS`): a baseline
that takes longer than the search is of no use. What was cut is said in `Predictor.note`.
"""

import hashlib
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hpo.values import Array, FloatArray, TaskFacts

BaselineKind = Literal["prior", "linear", "boosted_trees"]
KINDS: tuple[BaselineKind, ...] = get_args(BaselineKind)

_WORK = {"linear": 1.2e8, "boosted_trees": 1e8}
"""Bound on rows * features * outputs: 20 to 30 seconds on two cores. See `share_for`."""
_WHOLE_FROM = 600.0
"""Seconds of a study from which on the bounds hold whole: baselines are to take no more than a tenth of it."""
_NUMBERS_FOR_ONE_THREAD = 1_000_000
_LEAST_ROWS = 2000
_LINEAR_STEPS = 300
_ROUNDS = 300
"""Rounds of boosting under early stopping; without it (few rows) scikit-learn's default of 100."""
_TREES = 3000
"""Bound on rounds * outputs: boosting grows one tree a class in each round."""
_ROWS_TO_STOP_EARLY = 1000
_CLASS_ROWS_TO_STOP_EARLY = 10


@dataclass(frozen=True, eq=False)
class Predictor:
    """A fitted baseline."""

    kind: BaselineKind
    fingerprint: str
    """Stands for the model: equal for equal data, settings, seed and version of scikit-learn."""
    note: str
    """What was cut to bound its time, or why another model stands in, in words; empty when nothing was."""
    _function: Callable[[Array], Array]

    def predict(self, x: Array) -> FloatArray:
        """Encoded rows to class probabilities (rows, classes) or targets in their own unit (rows, 1)."""
        flat = _flat(x)
        with _threads(flat):
            return np.asarray(self._function(flat), dtype=np.float32)


def share_for(seconds: float | None) -> float:
    """The part of the bounds on their work that baselines have in a study of so many seconds; None: of any number."""
    return 1.0 if seconds is None else min(1.0, seconds / _WHOLE_FROM)


def fit(kind: BaselineKind, facts: TaskFacts, x: Array, y: Array, seed: int, share: float = 1.0) -> Predictor:
    """Fit a baseline on encoded rows. Raises ValueError on an unknown kind or where rows and targets do not match.

    share: see `share_for`.
    """
    if kind not in KINDS:
        raise ValueError(f"A baseline is one of {', '.join(KINDS)}, not {kind!r}.")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"A baseline needs as many rows as targets, at least one, not {len(x)} and {len(y)}.")
    flat, target = _flat(x), np.asarray(y)
    kept = np.arange(len(flat)) if kind == "prior" else _rows_for(kind, facts, flat, target, seed, share)
    notes = [] if len(kept) == len(flat) else [f"fitted on {len(kept)} of {len(flat)} rows, to save time"]
    flat, target = flat[kept], target[kept]
    mark = _fingerprint(kind, facts, flat, target, seed)
    if kind == "prior":
        return Predictor(kind, mark, "", _prior(facts, target))
    if facts.task.classifies and len(np.unique(target)) < 2:
        notes.append("the training rows hold one class alone, so the prior stands in")
        return Predictor(kind, mark, "; ".join(notes), _prior(facts, target))
    model = _linear(facts) if kind == "linear" else _trees(facts, target, seed)
    with _threads(flat):
        settled = _settled(model, flat, target)
    if not settled:
        notes.append(f"stopped after {_LINEAR_STEPS} steps, before it had settled")
    return Predictor(kind, mark, "; ".join(notes), _function(facts, model))


def _settled(model: Any, x: Array, y: Array) -> bool:
    """Fit a model; whether it converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    return not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def _flat(x: Array) -> Array:
    return np.asarray(x, dtype=np.float32).reshape(len(x), -1)


def _threads(x: Array) -> AbstractContextManager[Any]:
    """One thread for small work: OpenMP's threads wait busily for each other, 20 times longer on cores in use."""
    limit = 1 if x.size <= _NUMBERS_FOR_ONE_THREAD else None
    held: AbstractContextManager[Any] = threadpool_limits(limits=limit, user_api="openmp")
    return held


def _prior(facts: TaskFacts, y: Array) -> Callable[[Array], Array]:
    """Class frequencies, or the mean target, whatever the row."""
    if facts.task.classifies:
        return partial(_always, np.bincount(y.astype(np.int64), minlength=facts.outputs) / len(y))
    return partial(_always, np.atleast_1d(np.mean(y, dtype=np.float64)))


def _always(answer: Array, x: Array) -> Array:
    return np.tile(answer, (len(x), 1))


def _linear(facts: TaskFacts) -> Any:
    """Logistic or ridge regression, both with penalty 1 on standardised columns."""
    model = LogisticRegression(max_iter=_LINEAR_STEPS) if facts.task.classifies else Ridge()
    return make_pipeline(StandardScaler(), model)


def _trees(facts: TaskFacts, y: Array, seed: int) -> Any:
    """Histogram gradient boosting; early stopping on a tenth of the rows where that tenth says something.

    Leaves are smaller than scikit-learn's 20 rows below 400 rows, where 20 would leave hardly a split.
    """
    trees_a_round = facts.outputs if facts.outputs > 2 else 1
    rarest = np.unique(y, return_counts=True)[1].min() if facts.task.classifies else len(y)
    early = len(y) >= _ROWS_TO_STOP_EARLY and rarest >= _CLASS_ROWS_TO_STOP_EARLY
    settings = {
        "max_iter": min(_ROUNDS if early else 100, max(20, _TREES // trees_a_round)),
        "min_samples_leaf": max(2, min(20, len(y) // 20)),
        "early_stopping": early,
        "random_state": seed,
    }
    if facts.task.classifies:
        return HistGradientBoostingClassifier(**settings)
    return HistGradientBoostingRegressor(**settings)


def _function(facts: TaskFacts, model: Any) -> Callable[[Array], Array]:
    """Of arguments that can be pickled."""
    return partial(_probabilities, model, facts.outputs) if facts.task.classifies else partial(_targets, model)


def _targets(model: Any, x: Array) -> Array:
    return np.asarray(model.predict(x)).reshape(-1, 1)


def _probabilities(model: Any, outputs: int, x: Array) -> Array:
    # Classes without a training row have no column in scikit-learn's answer.
    p = np.zeros((len(x), outputs))
    p[:, np.asarray(model.classes_, dtype=np.int64)] = model.predict_proba(x)
    return p


def _rows_for(kind: str, facts: TaskFacts, x: Array, y: Array, seed: int, share: float) -> Array:
    """Numbers of the rows to fit on, ascending: all, or a part drawn by seed (stratified) within the bound."""
    bound = max(_LEAST_ROWS, int(share * _WORK[kind] / (x.shape[1] * facts.outputs)))
    if len(x) <= bound:
        return np.arange(len(x))
    counts = np.unique(y, return_counts=True)[1] if facts.task.classifies else np.array([2])
    stratify = y if facts.task.classifies and counts.min() >= 2 and len(counts) <= len(x) - bound else None
    kept = train_test_split(np.arange(len(x)), train_size=bound, random_state=seed, stratify=stratify)[0]
    return np.sort(kept)


def _fingerprint(kind: str, facts: TaskFacts, x: Array, y: Array, seed: int) -> str:
    """Of the inputs, not of the fitted numbers: their last bits may depend on the number of cores."""
    head = f"{kind}|{facts!r}|{seed}|{sklearn.__version__}|{_WORK}|{_LINEAR_STEPS}|{_ROUNDS}|{_TREES}"
    digest = hashlib.blake2b(head.encode(), digest_size=8)
    for array in (x, y):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
