"""The data sets: rows, metric and space that every contender gets."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.cases import Case
from benchmarks.peers.rows import Rows
from hpo.data.dataset import Dataset
from hpo.data.load import load
from hpo.metrics import METRICS, Metric
from hpo.studyfile import load_study
from hpo.values import Array

SETS = ("letter", "adult", "california_housing", "fashion_mnist")
SPACE = "mlp"
"""The bundled one, for all."""
EPOCHS = 30
"""The most that a training may last."""
_CHANGES: dict[str, dict[str, Any]] = {"fashion_mnist": {"rows": 20_000}}
_STUDIES = Path(__file__).resolve().parents[2] / "studies"


def study(name: str, seed: int, seconds: float) -> str:
    """The study file of ours: data and metric of the bundled study of that name, the time as the only bound."""
    bundled = tomllib.loads((_STUDIES / f"{name}.toml").read_text())
    data = bundled["data"] | _CHANGES.get(name, {})
    return "\n".join([
        f'name = "{name}"\nspace = "{SPACE}"\nseed = {seed}\n[data]', *(f"{k} = {_toml(v)}" for k, v in data.items()),
        f"[objective]\nmetric = {_toml(bundled['objective']['metric'])}",
        f"[budget]\nseconds = {seconds:g}\nepochs = {EPOCHS}\n",
    ])  # fmt: skip


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


@dataclass(frozen=True, eq=False)
class Task:
    """A set as peers see it: the division, encoding and scaling of ours."""

    dataset: Dataset
    rows: Rows
    case: Case

    @property
    def metric(self) -> Metric:
        return METRICS[self.dataset.metric]

    @property
    def classifies(self) -> bool:
        return self.rows.classifies

    def unscaled(self, answer: Array) -> Array:
        """Of a network's outputs: logits as they are, numbers in the target's own unit."""
        fold = self.dataset.fold(0)
        return answer if self.classifies else answer.reshape(-1, 1) * fold.target_scale + fold.target_offset

    def score(self, loss_or_accuracy: float) -> float:
        """The metric from what Keras measured: accuracy, or the mean square of the standardised error."""
        return (
            loss_or_accuracy
            if self.classifies
            else float(np.sqrt(loss_or_accuracy)) * self.dataset.fold(0).target_scale
        )

    def test(self) -> tuple[Array, Array, Array]:
        """Test rows: encoded, the same scaled, and targets."""
        held_back = self.dataset.open_test()
        return held_back.x, self.dataset.apply(0, held_back.x), held_back.y


def open_task(name: str, seed: int, data_dir: str, folder: Path) -> Task:
    """The rows of ours with that seed. folder: an empty one."""
    path = folder / "study.toml"
    path.write_text(study(name, seed, 60))
    spec = load_study(str(path))
    dataset = load(spec.data, seed=seed, metric=spec.metric, base=str(folder), data_dir=data_dir)
    if dataset.metric not in ("accuracy", "rmse"):
        raise ValueError(f"peers measure accuracy or rmse, not {dataset.metric}")
    fold, outputs = dataset.fold(0), max(1, len(dataset.facts.classes))
    flat = [x.reshape(len(x), -1) for x in (fold.x_train, fold.x_valid)]
    rows = Rows(flat[0], fold.y_train, flat[1], fold.y_valid, outputs)
    return Task(dataset, rows, Case(name, name, EPOCHS, SPACE, ()))
