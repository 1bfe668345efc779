"""Planted cases: studies whose verdicts are known beforehand. What the verdicts are worth stands or falls here."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.load import load
from hpo.errors import Stopped
from hpo.metrics import METRICS
from hpo.recipe.noise import compare, difference_over_rows
from hpo.run import launch
from hpo.run.events import Event, StageFinished
from hpo.studyfile import load_study
from hpo.studyfile.spec import DataSpec
from hpo.values import RunRequest, RunResult, Verdict

pytestmark = pytest.mark.slow


def verdicts(
    folder: Path, study: str, until: Callable[[StageFinished], bool], overrides: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
) -> list[tuple[str, Verdict]]:  # fmt: skip
    """Runs a study up to the first verdict that `until` accepts, and gives all verdicts to there."""
    given: list[tuple[str, Verdict]] = []

    def listen(event: Event) -> None:
        if isinstance(event, StageFinished):
            given.append((f"{event.stage}.{event.attempt}", event.verdict))
            if until(event):
                raise KeyboardInterrupt

    (folder / "study.toml").write_text(study)
    spec = load_study(str(folder / "study.toml"), overrides=overrides or {})
    with pytest.raises(Stopped):
        launch(
            spec, storage=f"sqlite:///{folder}/study.db", export=str(folder / "bundle"), listener=listen,
            data_dir=None if data_dir is None else str(data_dir),
        )  # fmt: skip
    return given


def regularized(event: StageFinished) -> bool:
    return event.stage == "regularize" and event.verdict.decision == "go on"


LOW_RATE = """
name = "low_rate"
[data]
source = "sklearn:digits"
[budget]
trials = 40
epochs = 3
[recipe]
seeds = 5
[space]
model = "mlp"
[space.architecture]
units = { int = [16, 64], log = true }
[space.optimizer]
learning_rate = { float = [1e-6, 1e-5], log = true }
"""


def test_a_learning_rate_range_that_ends_too_low_is_widened(tmp_path: Path) -> None:
    given = verdicts(tmp_path, LOW_RATE, lambda e: e.stage == "overfit" and e.verdict.decision == "go on")
    widened = [v for name, v in given if name.startswith("overfit") and v.decision == "widen"]
    assert widened, given
    assert widened[0].hands_on["ranges"]["learning_rate"]["float"][1] >= 1e-4
    assert "high end of learning_rate" in widened[0].sentence
    assert given[-1][1].hands_on["configuration"]["learning_rate"] > 1e-5


TWO_UNITS = """
name = "two_units"
[data]
source = "data-dir:pmlb_letter/letter.tsv.gz"
target = "target"
task = "multiclass"
rows = 4000
[budget]
trials = 30
epochs = 8
[recipe]
proof_seeds = 2
[space]
model = "mlp"
[space.architecture]
hidden_layers = 1
units = { int = [1, 2] }
[space.optimizer]
learning_rate = { float = [3e-3, 3e-2], log = true }
batch_size = 64
[space.regularization]
dropout = { float = [0.0, 0.3] }
"""


def test_two_hidden_units_send_the_study_back_for_capacity(tmp_path: Path, shared_data: Path) -> None:
    given = verdicts(tmp_path, TWO_UNITS, lambda e: (e.stage, e.attempt) == ("overfit", 2), data_dir=shared_data)
    names = [name for name, _ in given]
    assert names == ["data.1", "baseline.1", "overfit.1", "regularize.1", "overfit.2"]
    back = given[3][1]
    assert back.decision == "more capacity"
    assert "units" in back.sentence
    assert given[4][1].hands_on["configuration"]["units"] > 2
    assert given[4][1].figures["training_loss"] < given[2][1].figures["training_loss"]


REGULARIZATION = """
[space.regularization]
l2 = { float = [1e-6, 1e-1], log = true }
dropout = { float = [0.0, 0.8] }
input_noise = { float = [0.0, 0.5] }
early_stopping = { choice = [0, 2] }
"""

FEW_ROWS = """
name = "few_rows"
[data]
source = "data-dir:adult/adult-train.csv"
header = false
target = -1
rows = 200
[budget]
trials = 48
epochs = 15
[space]
model = "mlp"
[space.architecture]
hidden_layers = { int = [1, 3] }
units = { int = [32, 256], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 2e-2], log = true }
"""


def test_few_rows_ask_for_strong_regularization(tmp_path: Path, shared_data: Path) -> None:
    given = verdicts(tmp_path, FEW_ROWS + REGULARIZATION, regularized, data_dir=shared_data)
    overfit = next(v for name, v in reversed(given) if name.startswith("overfit"))
    assert "regularization has work to do" in overfit.sentence
    assert given[-1][1].hands_on["strength"] == "strong"
    assert "strong regularization" in given[-1][1].sentence


PLANTED_DATA = """
import numpy as np
from sklearn.datasets import load_digits

def many_rows(rows=83_334):
    \"\"\"A boundary that a small network learns; three fifths of the rows, 50,000, are for training.\"\"\"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 8))
    score = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.3 * rng.normal(size=rows)
    return x, (score > 0).astype(int)

def noisy_labels():
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.2
    return x, np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
"""

MANY_ROWS = """
name = "many_rows"
[data]
source = "planted_data:many_rows"
task = "binary"
[budget]
trials = 24
epochs = 6
[space]
model = "mlp"
[space.architecture]
hidden_layers = { int = [1, 2] }
units = { int = [8, 32], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 2e-2], log = true }
batch_size = 256
"""


def test_50_000_rows_ask_for_almost_no_regularization(tmp_path: Path) -> None:
    (tmp_path / "planted_data.py").write_text(PLANTED_DATA)
    given = dict(verdicts(tmp_path, MANY_ROWS + REGULARIZATION, regularized))
    assert given["data.1"].figures["rows_training"] == 50_000
    assert "little to regularize" in next(v for name, v in given.items() if name.startswith("overfit")).sentence
    *_, found = given.values()
    assert found.hands_on["strength"] == "no"
    assert "There was no gap to close" in found.sentence
    assert found.hands_on["configuration"]["dropout"] < 0.25
    assert found.hands_on["configuration"]["l2"] < 1e-2


NOISY_LABELS = """
name = "noisy_labels"
[data]
source = "planted_data:noisy_labels"
task = "multiclass"
folds = 1
[objective]
metric = "log_loss"
[budget]
trials = 48
epochs = 30
[space]
model = "mlp"
[space.architecture]
hidden_layers = { int = [1, 2] }
units = { int = [64, 256], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 2e-2], log = true }
[space.regularization]
input_noise = { float = [0.0, 0.3] }
label_smoothing = { float = [0.0, 0.5] }
early_stopping = { choice = [0, 3] }
"""


def test_noisy_labels_ask_for_early_stopping_or_label_smoothing(tmp_path: Path) -> None:
    (tmp_path / "planted_data.py").write_text(PLANTED_DATA)
    given = verdicts(tmp_path, NOISY_LABELS, regularized)
    found = given[-1][1]
    earning = {name: found.figures[f"earns_{name}"] for name in ("input_noise", "label_smoothing", "early_stopping")}
    assert max(earning, key=lambda name: earning[name]) in ("early_stopping", "label_smoothing")
    assert {"early_stopping", "label_smoothing"} & set(found.hands_on["earns"])
    configuration = found.hands_on["configuration"]
    assert configuration["early_stopping"] or configuration["label_smoothing"] > 0.05
    assert found.hands_on["strength"] == "strong"
    assert found.figures["gain_proved"]


def test_a_leaking_column_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    outcome = rng.integers(0, 2, 600)
    table = pd.DataFrame(rng.normal(size=(600, 4)), columns=["age", "height", "weight", "pulse"])
    table["refund_issued"] = outcome + rng.normal(0, 0.01, 600)
    table["complaint"] = np.where(outcome == 1, "yes", "no")
    table.to_csv(tmp_path / "table.csv", index=False)
    study = (
        'name = "leak"\n[data]\nsource = "table.csv"\ntarget = "complaint"\n[budget]\ntrials = 3\nepochs = 1\n'
        '[space]\nmodel = "mlp"\n[space.optimizer]\nlearning_rate = { float = [1e-3, 1e-2], log = true }\n'
    )
    given = verdicts(tmp_path, study, lambda e: e.stage == "data")
    assert "refund_issued" in given[0][1].sentence
    assert not any(name in given[0][1].sentence for name in ("age", "height", "weight", "pulse"))


def test_equal_configurations_are_not_called_a_gain_in_19_of_20_seeds() -> None:
    """One configuration against itself, with seeds of its own for each side, on real trainings."""
    from hpo.training.engine import open_session

    dataset = load(DataSpec("sklearn:breast_cancer", folds=1), seed=0, metric="accuracy", base=".", data_dir=None)
    space = load_study("breast_cancer", overrides={}).space
    configuration = {**space.default(), "dropout": 0.2, "batch_size": 64}
    metric, y = METRICS[dataset.metric], dataset.target_valid(0)
    session = open_session(
        space=space, structure=configuration, facts=dataset.facts, folds=[dataset.fold(0)], metric=metric, slots=8
    )

    def trained(seeds: Iterable[int]) -> list[RunResult]:
        for slot, seed in enumerate(seeds):
            session.put(slot, RunRequest(configuration, seed, 0, 4))
        session.advance(4)
        results = [session.result(slot) for slot in range(8)]
        for slot in range(8):
            session.free(slot)
        return results

    gains = 0
    for repeat in range(20):
        runs = trained(1000 * repeat + k for k in range(8))
        (mine, p_mine), (other, p_other) = (
            ([r.validation_metric for r in side], [r.predictions for r in side]) for side in (runs[:4], runs[4:])
        )
        rows = difference_over_rows(metric, y, p_mine, p_other, seed=repeat)
        gains += compare(metric, mine, other, rows=rows, level=0.05).gain
    session.close()
    assert gains <= 1
