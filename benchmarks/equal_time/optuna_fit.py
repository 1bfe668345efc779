"""Optuna's TPE with `model.fit`, each epoch reported to its default pruner (the median), in memory."""

from benchmarks.peers import quiet  # isort: skip
from . import watch as watching  # isort: skip
from pathlib import Path
from typing import Any

from .kerastuner import predict


def search(task: Any, watch: watching.Watch, folder: Path) -> None:
    """Trials until time is up."""
    import keras
    import optuna

    from benchmarks.peers import network
    from benchmarks.peers.optuna_fit import suggested

    from .epochs import FIT, Epochs, objective

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    watched = objective(task)

    def trained(trial: optuna.Trial) -> float:
        def report(epoch: int, logs: dict[str, float]) -> None:
            trial.report(logs[watched], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        configuration = suggested(task.case.space, trial)
        watch.trials += 1
        history = network.train(
            task.case, configuration, task.rows, fit=FIT,
            callbacks=(Epochs(task, watch, configuration), keras.callbacks.LambdaCallback(on_epoch_end=report)),
        )  # fmt: skip
        return (max if task.classifies else min)(history[watched])

    study = optuna.create_study(
        direction="maximize" if task.classifies else "minimize",
        sampler=optuna.samplers.TPESampler(seed=watch.seed), pruner=optuna.pruners.MedianPruner(),
    )  # fmt: skip
    study.optimize(trained)


if __name__ == "__main__":
    assert quiet
    watching.compete(watching.options(__doc__), search, predict, ("optuna", "keras", "tensorflow"))
