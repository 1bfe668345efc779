"""`hpo check`: validates a study and its data and says what a run would do, without training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.values import Check, Status

if TYPE_CHECKING:
    from hpo.data import Dataset
    from hpo.recipe.stages import StagePlan
    from hpo.studyfile.spec import StudySpec

STARTUP = 20.0
"""Seconds besides the runs: importing TensorFlow, the skeleton's checks, the export."""
PER_STRUCTURE = 2.0
"""Seconds to build and trace a network of a new structure, as most trials of `VARY_STRUCTURE` have."""
VARY_STRUCTURE = ("overfit", "regularize")
PER_STEP = 0.0007
"""Seconds of one batch of a small network under `model.fit` on a CPU core, its overhead mainly."""
PER_PRODUCT = 1.2e-10
"""Seconds for each multiplication of the forward and backward pass."""


@dataclass(frozen=True)
class Checked:
    """What a run of the study would do and meet."""

    spec: "StudySpec"
    plan: "tuple[StagePlan, ...]"
    seen: tuple[str, ...]
    """What the data is, in lines; empty without the data."""
    checks: tuple[Check, ...]
    metric: str | None
    seconds: float | None
    """Rough estimate of the whole run's time; None without the data or where nothing bounds it."""

    @property
    def sound(self) -> bool:
        """Whether no check of the data failed."""
        return all(check.status is not Status.FAILED for check in self.checks)


def check(spec: "StudySpec", *, data_dir: str | None = None, with_data: bool = True) -> Checked:
    """Loads the data (unless told not to), checks it, and plans the stages. Makes no database."""
    from hpo.recipe.stages import plan

    dataset, seen, checks = _data(spec, data_dir) if with_data else (None, (), ())
    folds = dataset.folds if dataset is not None else spec.data.folds or 1
    stages = plan(spec.space, trials=spec.budget.trials, seeds=spec.recipe.seeds,
                  proof_seeds=spec.recipe.proof_seeds, folds=folds)  # fmt: skip
    metric = dataset.metric if dataset is not None else spec.metric
    return Checked(spec, tuple(stages), seen, checks, metric, estimate(spec, stages, dataset))


def _data(spec: "StudySpec", data_dir: str | None) -> "tuple[Dataset, tuple[str, ...], tuple[Check, ...]]":
    from hpo.data import checks, load, summary_lines
    from hpo.studyfile.guidance import check_loss

    dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=data_dir)
    check_loss(spec.space, dataset.facts.task, f"study {spec.name!r}")
    return dataset, tuple(summary_lines(dataset)), tuple(checks(dataset))


def estimate(spec: "StudySpec", stages: "tuple[StagePlan, ...]", dataset: "Dataset | None") -> float | None:
    """Seconds of the whole run on one worker: a coarse model of `model.fit` on a CPU, within a factor of three or so.

    seconds = startup + structures * build + runs * epochs * epoch, where epoch = steps * overhead + 6 * rows * weights
    * time of a product, with the default network's weights (6: one multiplication and one addition forward, twice as
    many backward). A budget in seconds bounds the search.
    """
    if dataset is None or any(stage.trials < 0 for stage in stages):
        return spec.budget.seconds
    rows = len(dataset.fold(0).x_train)
    default = spec.space.default()
    batch = min(int(default.get("batch_size", 32)), rows)
    weights = _weights(default, dataset.facts.input_shape, dataset.facts.outputs)
    epoch = rows // batch * PER_STEP + rows * weights * 6 * PER_PRODUCT
    structures = sum(stage.trials for stage in stages if stage.stage in VARY_STRUCTURE)
    runs = sum(stage.runs for stage in stages)
    seconds = STARTUP + structures * PER_STRUCTURE + runs * spec.budget.epochs * epoch
    return seconds if spec.budget.seconds is None else min(seconds, spec.budget.seconds)


def _weights(configuration: "dict[str, bool | int | float | str]", shape: tuple[int, ...], outputs: int) -> float:
    """Multiplications a row of the forward pass: a dense network's weights; for images, of the convolutions too."""
    width = float(configuration.get("units", configuration.get("dense_units", 64)) or outputs)
    if len(shape) == 1 or "filters" not in configuration:
        size = 1.0
        for side in shape:
            size *= side
        return size * width + max(int(configuration.get("hidden_layers", 2)) - 1, 0) * width**2 + width * outputs
    height, across, channels = shape
    filters, kernel = float(configuration["filters"]), float(configuration["kernel_size"])
    total, pixels = 0.0, float(height * across)
    for _ in range(int(configuration["blocks"])):
        total += pixels * kernel**2 * channels * filters
        pixels, channels, filters = pixels / 4, int(filters), filters * 2
    return total + pixels * channels * width
