"""A study whose defaults are hostile, against the same study with ordinary ones.

    python benchmarks/hostile.py [--data-dir DIR] [--sets digits letter] [--trials 60] [--seeds 0 1 2]

Hostile: it begins with ten layers of sigmoid units, first weights of deviation one, and plain gradient descent at a
rate of one; its ranges hold better values too. Both studies search the same ranges with the same budget. Prints what
either reaches on validation and test rows, and what the hostile study's verdicts say was wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hpo.run import launch
from hpo.run.events import Event, StageFinished
from hpo.studyfile import load_study
from hpo.values import Verdict

STUDY = """
name = "{name}"
seed = {seed}
[data]
{data}
[budget]
trials = {trials}
epochs = 15
[space]
model = "mlp"
[space.architecture]
hidden_layers = {{ int = [1, 10], default = {layers} }}
units = {{ int = [16, 256], log = true, default = 64 }}
activation = {{ choice = ["relu", "gelu", "tanh", "sigmoid"], default = "{activation}" }}
initializer = {{ choice = ["match", "orthogonal", "normal_1.0"], default = "{initializer}" }}
[space.optimizer]
name = {{ choice = ["adam", "nesterov", "sgd"], default = "{optimizer}" }}
learning_rate = {{ float = [3e-4, 1.0], log = true, default = {rate} }}
batch_size = {batch}
[space.schedule]
name = {{ choice = ["constant", "cosine"] }}
[space.regularization]
l2 = {{ float = [1e-6, 1e-2], log = true }}
dropout = {{ float = [0.0, 0.5] }}
early_stopping = {{ choice = [0, 3, 6] }}
"""
DATA = {
    "digits": ('source = "sklearn:digits"', 32),
    "letter": ('source = "data-dir:pmlb_letter/letter.tsv.gz"\ntarget = "target"\ntask = "multiclass"', 128),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "ordinary": {"layers": 2, "activation": "relu", "initializer": "match", "optimizer": "adam", "rate": 3e-3},
    "hostile": {"layers": 10, "activation": "sigmoid", "initializer": "normal_1.0", "optimizer": "sgd", "rate": 1.0},
}


def run(set_: str, kind: str, seed: int, trials: int, data_dir: str | None) -> dict[str, Verdict]:
    """The last verdict of each stage."""
    given: dict[str, Verdict] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StageFinished):
            given[event.stage] = event.verdict

    data, batch = DATA[set_]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_text(
            STUDY.format(name=f"{set_}_{kind}", seed=seed, data=data, batch=batch, trials=trials, **DEFAULTS[kind])
        )
        launch(
            load_study(str(path)), storage=f"sqlite:///{folder}/study.db", data_dir=data_dir,
            export=f"{folder}/bundle", listener=listen,
        )  # fmt: skip
    return given


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", help="of the studies whose data is not scikit-learn's")
    parser.add_argument("--sets", nargs="+", default=list(DATA))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    for set_ in given.sets:
        print(f"| {set_}, seed | defaults | validation | test | noise |\n|---|---|---|---|---|", flush=True)
        sentences = []
        for seed in given.seeds:
            for kind in DEFAULTS:
                verdicts = run(set_, kind, seed, given.trials, given.data_dir)
                noise = verdicts["baseline"].figures["noise_metric"]
                figures = verdicts["squeeze"].figures
                test = figures.get("test_final", float("nan"))
                print(f"| {seed} | {kind} | {verdicts['tune'].figures['fresh_mean']:.4f} | {test:.4f} | {noise:.4f} |",
                      flush=True)  # fmt: skip
                if kind == "hostile":
                    sentences += [f"seed {seed}, {stage}: {v.sentence}" for stage, v in verdicts.items()
                                  if stage in ("overfit", "regularize")]  # fmt: skip
        print("\n" + "\n".join(sentences) + "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
