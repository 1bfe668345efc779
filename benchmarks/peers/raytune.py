"""Ray Tune: random search (its default), two workers with a core and a thread each, actors reused from trial to trial.

Each epoch is reported, and written by Ray's own loggers. Its cluster is started before the clock; what its workers took
to import Keras, both at once, is taken off.
"""

from . import quiet  # isort: skip
import math
import os
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from hpo.space import Choice, Fixed, FloatRange, IntRange, SearchSpace
from hpo.values import Scalar

from . import outcome
from .cases import CASES
from .rows import Rows, load

_imported: list[float] = []


def drawn(space: SearchSpace) -> dict[str, Any]:
    """Ray's search space; what turns out inactive is drawn and not used."""
    found: dict[str, Any] = {}
    for h in space.varying:
        match h.range:
            case FloatRange(low, high, log):
                found[h.name] = tune.loguniform(low, high) if log else tune.uniform(low, high)
            case IntRange(low, high, log):
                found[h.name] = tune.lograndint(low, high + 1) if log else tune.randint(low, high + 1)
            case Choice(values):
                found[h.name] = tune.choice(list(values))
    return found


def trainable(chosen: dict[str, Any], rows: Rows, name: str, fit: str) -> None:
    """A trial in a worker."""
    seconds = _import_keras()
    import keras

    from . import network

    case, seen = CASES[name], dict[str, Scalar]()
    for h in case.space.hyperparameters:
        if case.space.active(h.name, seen):
            seen[h.name] = h.range.value if isinstance(h.range, Fixed) else chosen[h.name]
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: tune.report({**logs, "import_seconds": seconds})
    )
    network.train(case, case.space.complete(seen), rows, fit=fit, callbacks=(report,))


def _import_keras() -> float:
    """Seconds that this process took, the first time."""
    if not _imported:
        began = time.perf_counter()
        quiet.one_core()
        import keras

        assert keras
        _imported.append(time.perf_counter() - began)
    return _imported[0]


def main(folder: Path, name: str, trials: int, fit: str, workers: int) -> outcome.Outcome:
    """Run the case."""
    rows = load(CASES[name].data)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path.cwd()), "RAY_AIR_NEW_OUTPUT": "0"}
    ray.init(num_cpus=workers, include_dashboard=False, logging_level="error", log_to_driver=False)
    try:
        ours = tune.with_parameters(trainable, rows=rows, name=name, fit=fit)
        tuner = tune.Tuner(
            tune.with_resources(ours, {"cpu": 1}),
            param_space=drawn(CASES[name].space),
            tune_config=tune.TuneConfig(
                num_samples=trials, metric="val_accuracy", mode="max", reuse_actors=True, max_concurrent_trials=workers
            ),
            run_config=tune.RunConfig(name=name, storage_path=str(folder), verbose=0),
        )
        began = time.perf_counter()
        results = tuner.fit()
        taken = time.perf_counter() - began
    finally:
        ray.shutdown()
    last = [r.metrics for r in results if r.metrics and "val_accuracy" in r.metrics]
    imports = max((m["import_seconds"] for m in last), default=math.nan)
    settings = (
        f"{workers} workers of one core, random search, actors reused, a report an epoch; fit: {outcome.FIT[fit]}"
    )
    figures = {"workers_imports": imports}
    packages = outcome.versions("ray", "keras", "tensorflow")
    scores, epochs = [m["val_accuracy"] for m in last], sum(m["training_iteration"] for m in last)
    return outcome.Outcome(len(last), taken - imports, scores, epochs, settings, figures, packages)


if __name__ == "__main__":
    parser = outcome.parser(__doc__)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    outcome.write(main(options.folder, options.case, options.trials, options.fit, options.workers), options.output)
