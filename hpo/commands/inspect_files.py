"""What `hpo inspect` writes with --output: a folder of tables and pictures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError, Problem

if TYPE_CHECKING:
    from hpo.training.gradient_check import LayerGradient
    from hpo.training.inspection.rate_reading import RateReading
    from hpo.training.inspection.signals import Signals


def output_folder(output: str) -> Path:
    """The folder, which need not be there yet; refused before any work where it cannot be made or written to."""
    folder = Path(output)
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not place.is_dir():
        raise _unwritable(output, f"a file, {place}")
    return folder


def write_files(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    """Files by name, all of them in the folder. Raises InputError where it cannot be written to."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
            paths.append(folder / name)
    except OSError as error:
        raise _unwritable(str(folder), str(error.strerror or error)) from error
    return paths


def _unwritable(output: str, got: str) -> InputError:
    return InputError(Problem("command line", "--output", "a folder that can be written", f"{output} ({got})",
                              "Name another."))  # fmt: skip


def signals_csv(found: "Sequence[Signals]") -> bytes:
    """One row a layer of each initializer and activation."""
    header = ("initializer", "activation", "reading", "layer", "activation_deviation", "gradient_deviation",
              "dead_units", "saturated")  # fmt: skip
    rows = [
        (s.initializer, s.activation, s.reading, n + 1, *map(float, numbers))
        for s in found
        for n, numbers in enumerate(zip(s.activations, s.gradients, s.dead, s.saturated, strict=True))
    ]
    return _csv(header, rows)


def rates_csv(reading: "RateReading") -> bytes:
    """One row a step."""
    rows = [tuple(map(float, row)) for row in zip(reading.rates, reading.losses, reading.smoothed, strict=True)]
    return _csv(("learning_rate", "loss", "smoothed_loss"), rows)


def gradients_csv(layers: "Sequence[LayerGradient]") -> bytes:
    """One row a weight that was compared."""
    rows = [
        (layer.layer, layer.arrays[of], int(place), *map(float, numbers))
        for layer in layers
        for of, place, *numbers in zip(
            layer.coordinates.array, layer.coordinates.index, layer.coordinates.analytic, layer.coordinates.numeric,
            layer.errors, strict=True,
        )
    ]  # fmt: skip
    return _csv(("layer", "array", "index", "gradient", "central_difference", "relative_error"), rows)


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Every digit; what is no number stays empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value != value else value for value in row] for row in rows])
    return text.getvalue().encode()
