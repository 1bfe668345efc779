"""A bundle that a stranger can use: stock Keras, portable JSON, and a loader without `hpo`."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import Fault, InputError, Problem
from hpo.metrics import Metric
from hpo.space import SearchSpace
from hpo.training import bundle_text
from hpo.training.assembly import Member, assemble, batched, foreign_parts, frozen_hash, predict_members
from hpo.training.backend import keras
from hpo.values import Array, Fold, TaskFacts

__all__ = ["ExportInfo", "Member", "assemble", "export_bundle", "foreign_parts", "frozen_hash", "predict_members"]

_PROBE_ROWS = 64
_TOLERANCE = 1e-4
"""Of the self-check. Rounding stays below 1e-5; this catches mistakes and does not stop an export for the last bit."""

_OWN = ("model.keras", "preprocessing.json", "labels.json", "about.json", "predict.py", "README.md", "__pycache__")


@dataclass(frozen=True)
class ExportInfo:
    """What was written."""

    path: Path
    sha256: str
    """Of what decides the predictions (see `frozen_hash`): equal for equal models, whenever they are written."""
    files: Mapping[str, str]
    """The sha256 of each file, by name."""


def export_bundle(
    path: str | Path,
    *,
    space: SearchSpace,
    members: Sequence[Member],
    facts: TaskFacts,
    folds: Mapping[int, Fold],
    preprocessing: Mapping[str, Any],
    metric: Metric,
    extra: Mapping[str, Any],
) -> ExportInfo:
    """Write a bundle into the folder `path`: whole or not at all.

    An earlier bundle there is replaced. `extra` is plain JSON for people (study, scores, ...); it goes to `about.json`
    and the README. Raises InputError where the folder cannot be written or holds something else, or the model
    cannot be exported; Fault where the written network does not predict what its members do.
    """
    target = Path(path).absolute()
    _check_target(target)
    model = assemble(space, members, facts, folds)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    folder, earlier = workshop / "bundle", workshop / "earlier"
    try:
        folder.mkdir()
        _write_files(folder, model, space, members, facts, preprocessing, metric, extra)
        probe = folds[members[0].fold_index]
        unscale = 1.0 / np.where(probe.scale == 0, 1.0, probe.scale)
        encoded = np.asarray(probe.x_valid[:_PROBE_ROWS] * unscale + probe.offset, dtype=np.float32)
        _check_saved(
            folder / "model.keras", encoded, predict_members(space, members, facts, folds, encoded), probe.target_scale
        )
        files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
        if target.exists():
            target.rename(earlier)
        folder.rename(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if earlier.exists() and not target.exists():
            earlier.rename(target)
        shutil.rmtree(workshop, ignore_errors=True)
    return ExportInfo(target, frozen_hash(space, members, facts, folds, preprocessing), files)


def _write_files(
    folder: Path,
    model: keras.Model,
    space: SearchSpace,
    members: Sequence[Member],
    facts: TaskFacts,
    preprocessing: Mapping[str, Any],
    metric: Metric,
    extra: Mapping[str, Any],
) -> None:
    model.save(folder / "model.keras")
    labels = {"version": 1, "task": str(facts.task), "classes": list(facts.classes), "metric": metric.name}
    about = {
        **extra,
        "model": space.model,
        "members": [{"fold": m.fold_index, "configuration": dict(m.configuration)} for m in members],
        "made_with": {"keras": keras.__version__, "backend": keras.backend.backend(), "numpy": np.__version__},
    }
    loader = resources.files("hpo.training").joinpath("bundle_loader.py").read_text(encoding="utf-8")
    texts = {
        "preprocessing.json": _json(preprocessing),
        "labels.json": _json(labels),
        "about.json": _json(about),
        "predict.py": loader,
        "README.md": bundle_text.readme(facts, preprocessing, metric.name, len(members), extra),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _check_saved(file: Path, encoded: Array, expected: Array, unit: float) -> None:
    """The file as a stranger would load it against the members, in units of 1 or of the target's deviation."""
    seen = batched(keras.saving.load_model(file, compile=False), encoded, expected.shape[1])
    worst = float(np.max(np.abs(seen - expected), initial=0.0)) / max(unit, 1e-30)
    bound = _TOLERANCE * max(1.0, float(np.max(np.abs(expected), initial=0.0)) / max(unit, 1e-30))
    if not worst <= bound and np.isfinite(expected).all():
        raise Fault(f"The exported network differs from its members by {worst:.2g}; nothing was written. Report this.")


def _check_target(target: Path) -> None:
    if not target.exists():
        return
    others = [f.name for f in target.iterdir() if f.name not in _OWN] if target.is_dir() else []
    if target.is_dir() and not others:
        return
    got = f"a folder that also holds {others[0]}" if others else "a file"
    raise InputError(
        Problem(str(target), "", "a new or empty folder, or an earlier export", got, "Name another folder.")
    )


def _unwritable(target: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(
        Problem(str(target), "", "a folder that can be written", reason, "Name another folder, or free the space.")
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=_plain_number) + "\n"


def _plain_number(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON's."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)
