"""`hpo inspect`: looks at first weights, learning rates and gradients before anything is searched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.commands.inspect_files import gradients_csv, output_folder, rates_csv, signals_csv, write_files
from hpo.errors import Fault, InputError, Problem
from hpo.values import Status

if TYPE_CHECKING:
    from hpo.commands.inspect_keep import Place
    from hpo.data import Dataset
    from hpo.studyfile.spec import StudySpec
    from hpo.training.gradient_check import LayerGradient
    from hpo.training.inspection.rate_reading import RateReading
    from hpo.training.inspection.signals import Signals

FEWEST_STEPS = 20


def init(
    *, layers: int, width: int, rows: int, seed: int, activations: Sequence[str] = (),
    initializers: Sequence[str] = (), output: str | None = None,
) -> "tuple[list[Signals], list[Path]]":  # fmt: skip
    """Sends standard normal rows through deep networks of every initializer and activation, or of those named.

    Gives what came through, and the files written to the folder `output`. Trains nothing and loads no framework.
    """
    from hpo.space.catalogue import ACTIVATIONS, INITIALIZERS
    from hpo.training.inspection.signals import drawable, signals

    known = tuple(filter(drawable, INITIALIZERS))
    problems = [
        Problem("command line", option, "a whole number above zero", str(value), "Leave it out for the default.")
        for option, value in (("--layers", layers), ("--width", width), ("--rows", rows)) if value < 1
    ]  # fmt: skip
    if seed < 0:
        problems.append(Problem("command line", "--seed", "a whole number, not below zero", str(seed), "Try 0."))
    problems += _unknown("--activation", activations, ACTIVATIONS) + _unknown("--initializer", initializers, known)
    if problems:
        raise InputError(problems)
    folder = None if output is None else output_folder(output)
    # In the catalogue's order, each once, however they were named.
    found = signals(
        [n for n in known if n in (initializers or known)],
        [n for n in ACTIVATIONS if n in (activations or ACTIVATIONS)],
        layers=layers, width=width, rows=rows, seed=seed,
    )  # fmt: skip
    if folder is None:
        return found, []
    from hpo.reports.inspection import signals_picture

    told = f"{layers} layers of {width} units, {rows} rows of standard normal numbers, no normalization"
    return found, write_files(folder, {"init.csv": signals_csv(found), "init.png": signals_picture(found, told)})


def lr(
    spec: "StudySpec", *, data_dir: str | None = None, steps: int, lowest: float, highest: float,
    output: str | None = None, keep: "Place | None" = None,
) -> "tuple[RateReading, list[Path]]":  # fmt: skip
    """A learning-rate range test of the default configuration of the study's space, on its first fold.

    Gives the reading, and the files written to the folder `output`. `keep`: where the picture is kept for the report.
    """
    problems = [
        Problem("command line", option, "a number above zero", str(value), "Leave it out for the default.")
        for option, value in (("--lowest", lowest), ("--highest", highest))
        if not (math.isfinite(value) and value > 0)
    ]
    if not problems and highest <= lowest:
        problems.append(Problem("command line", "--highest", f"a number above --lowest, {lowest:g}", f"{highest:g}",
                                "Give the rate room to grow: by several powers of ten."))  # fmt: skip
    if steps < FEWEST_STEPS:
        problems.append(Problem("command line", "--steps", f"at least {FEWEST_STEPS}", str(steps),
                                "A few hundred show the shape."))  # fmt: skip
    if problems:
        raise InputError(problems)
    folder = None if output is None else output_folder(output)
    dataset = load_data(spec, data_dir)
    from hpo.seeds import derive
    from hpo.studyfile.code import code_folder
    from hpo.training.inspection.rate_range import rate_range

    with code_folder(spec):
        reading = rate_range(
            spec.space, spec.space.default(), dataset.facts, dataset.fold(0), lowest=lowest, highest=highest,
            steps=steps, seed=derive(spec.seed, "inspect", "lr"),
        )  # fmt: skip
    if folder is None and keep is None:
        return reading, []
    from hpo.reports.inspection import rates_picture

    title = f"Learning-rate range test of {spec.name}, default configuration"
    if keep is not None:
        keep.keep("lr", rates_picture(reading, title, "svg"))
    if folder is None:
        return reading, []
    return reading, write_files(folder, {"lr.csv": rates_csv(reading), "lr.png": rates_picture(reading, title)})


@dataclass(frozen=True, eq=False)
class GradientsChecked:
    """The gradient check of a study's model."""

    layers: "tuple[LayerGradient, ...]"

    @property
    def passed(self) -> bool:
        """Whether some layer could be compared, and all that could agree."""
        states = [layer.status for layer in self.layers]
        return Status.PASSED in states and Status.FAILED not in states


def gradients(
    spec: "StudySpec", *, data_dir: str | None = None, output: str | None = None, keep: "Place | None" = None
) -> "tuple[GradientsChecked, list[Path]]":
    """Holds the gradient of the study's default network against central differences, layer by layer.

    Gives what was found, and the files written to the folder `output`. `keep`: where the picture is kept for the
    report. Raises Fault where the model cannot compute in 64 bits.
    """
    folder = None if output is None else output_folder(output)
    dataset = load_data(spec, data_dir)
    from hpo.seeds import derive
    from hpo.studyfile.code import code_folder
    from hpo.training.skeleton import gradient_by_layer

    with code_folder(spec):
        found = gradient_by_layer(
            spec.space, spec.space.default(), dataset.facts, dataset.fold(0), derive(spec.seed, "inspect", "gradients")
        )
    if found is None:
        raise Fault("the gradient cannot be checked: under JAX, Keras computes batch normalization and tanh in 32 "
                    "bits. Use TensorFlow: leave KERAS_BACKEND unset.")  # fmt: skip
    checked = GradientsChecked(tuple(found))
    if folder is None and keep is None:
        return checked, []
    from hpo.reports.inspection_gradients import gradients_picture
    from hpo.training.gradient_check import QUANTILE, TOLERANCE

    title = f"Gradient of {spec.name}'s default network against central differences"
    if keep is not None:
        keep.keep("gradients", gradients_picture(checked.layers, TOLERANCE, QUANTILE, title, "svg"))
    if folder is None:
        return checked, []
    picture = gradients_picture(checked.layers, TOLERANCE, QUANTILE, title)
    return checked, write_files(folder, {"gradients.csv": gradients_csv(checked.layers), "gradients.png": picture})


def _unknown(option: str, names: Sequence[str], known: Sequence[str]) -> list[Problem]:
    return [
        Problem("command line", option, f"one of {', '.join(known)}", repr(name), "Repeat the option for several.")
        for name in names if name not in known
    ]  # fmt: skip


def load_data(spec: "StudySpec", data_dir: str | None) -> "Dataset":
    """The data of a study. Raises InputError where it cannot be loaded."""
    from hpo.data import load

    return load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=data_dir)
