"""scikit-learn's histogram gradient boosting: its defaults first, then TPE over its main parameters."""

from . import watch as watching  # isort: skip
from pathlib import Path
from typing import Any

import numpy as np

_DEFAULTS = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20, "l2_regularization": 1e-6,
             "max_features": 1.0, "max_iter": 100}  # fmt: skip


def search(task: Any, watch: watching.Watch, folder: Path) -> None:
    """Models until time is up; a tenth of the training rows says when one has trees enough."""
    import optuna
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind = HistGradientBoostingClassifier if task.classifies else HistGradientBoostingRegressor
    train, valid = (_flat(*pair) for pair in (task.dataset.encoded_train(0), task.dataset.encoded_valid(0)))

    def fitted(trial: optuna.Trial) -> float:
        watch.trials += 1
        model = kind(
            learning_rate=trial.suggest_float("learning_rate", 0.02, 0.5, log=True),
            max_leaf_nodes=trial.suggest_int("max_leaf_nodes", 8, 128, log=True),
            min_samples_leaf=trial.suggest_int("min_samples_leaf", 2, 100, log=True),
            l2_regularization=trial.suggest_float("l2_regularization", 1e-6, 10.0, log=True),
            max_features=trial.suggest_float("max_features", 0.3, 1.0),
            max_iter=trial.suggest_int("max_iter", 50, 500, log=True), early_stopping=True, random_state=watch.seed,
        )  # fmt: skip
        model.fit(*train)
        score = task.metric(valid[1], _answers(model, valid[0]))
        watch.offer(score, lambda: model)
        return float(score)

    study = optuna.create_study(direction=task.metric.direction, sampler=optuna.samplers.TPESampler(seed=watch.seed))
    study.enqueue_trial(_DEFAULTS)
    study.optimize(fitted)


def predict(task: Any, kept: Any) -> Any:
    """Answers to the test rows."""
    return _answers(kept, task.test()[0])


def _flat(x: Any, y: Any) -> tuple[Any, Any]:
    return x.reshape(len(x), -1), y


def _answers(model: Any, x: Any) -> Any:
    flat = x.reshape(len(x), -1)
    return model.predict_proba(flat) if hasattr(model, "classes_") else np.reshape(model.predict(flat), (-1, 1))


if __name__ == "__main__":
    watching.compete(watching.options(__doc__), search, predict, ("scikit-learn", "optuna"))
