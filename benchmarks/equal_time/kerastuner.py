"""KerasTuner's Hyperband as its guide has it, over and over until time is up."""

from benchmarks.peers import quiet  # isort: skip
from . import watch as watching  # isort: skip
from pathlib import Path
from typing import Any


def search(task: Any, watch: watching.Watch, folder: Path) -> None:
    """Hyperband(max_epochs, factor=3); network and `fit` are those of `benchmarks.peers`."""
    import keras
    import keras_tuner

    from benchmarks.peers import network
    from benchmarks.peers.kerastuner import Trials, configured

    from .epochs import FIT, Epochs, objective

    class Bracketed(Trials):
        """Hyperband says for how many epochs."""

        def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
            configuration = configured(self.space, hp)
            watch.trials += 1
            return network.fitted(
                model, self.case, configuration, self.rows, fit=FIT, epochs=kwargs.get("epochs"),
                initial_epoch=kwargs.get("initial_epoch", 0),
                callbacks=(Epochs(task, watch, configuration), *kwargs["callbacks"]),
            )  # fmt: skip

    direction = "max" if task.classifies else "min"
    tuner = keras_tuner.Hyperband(
        Bracketed(task.case, task.rows, FIT), keras_tuner.Objective(objective(task), direction),
        max_epochs=task.case.epochs, factor=3, hyperband_iterations=1000, seed=watch.seed,
        max_consecutive_failed_trials=1000, directory=folder, project_name="hyperband",
    )  # fmt: skip
    tuner.search(verbose=0)


def predict(task: Any, kept: Any) -> Any:
    """See `epochs`; imported once the clock runs."""
    from .epochs import predict as answered

    return answered(task, kept)


if __name__ == "__main__":
    assert quiet
    watching.compete(watching.options(__doc__), search, predict, ("keras-tuner", "keras", "tensorflow"))
