"""How busy slots and cores are in a study of many short trials, from the first to the last.

    python benchmarks/busy.py [--trials 10000] [--epochs 9] [--parts 10]

Runs a study on digits whose searching stages hold so many trials, in this process, and notes when its sessions train
and how many of their slots hold a run. Prints for each tenth of the overfit, regularize and tune stages: `lanes`, the
share of the lanes' time in which a session was at work (training, or putting runs in and taking results out), and
`slots`, the share of slots that held a run in training, weighted by that time.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from hpo.run.events import StageFinished, StageStarted
from hpo.run.lanes import lanes_here
from hpo.run.launch import launch
from hpo.studyfile.load import load_study
from hpo.training.compiled_engine import CompiledSession

STUDY = """
name = "busy"
[data]
source = "sklearn:digits"
[budget]
trials = {trials}
epochs = {epochs}
[search]
plateau = {trials}
[training]
memory = 8192
[space]
model = "mlp"
[space.architecture]
units = {{ int = [32, 64], log = true }}
[space.optimizer]
learning_rate = {{ float = [1e-3, 1e-1], log = true }}
[space.regularization]
dropout = {{ float = [0.0, 0.5] }}
l2 = {{ float = [1e-6, 1e-2], log = true }}
"""


class Watch:
    """Notes (begin, end, runs in training, slots) of what sessions do; runs and slots are 0 but in training."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float, int, int]] = []
        self._lock = threading.Lock()
        for name in ("put", "advance", "result"):
            setattr(CompiledSession, name, self._noted(getattr(CompiledSession, name), name == "advance"))

    def _noted(self, verb: Callable[..., Any], trains: bool) -> Callable[..., Any]:
        def noted(session: CompiledSession, *given: Any) -> Any:
            live = sum(run is not None and run.tape.outcome is None for run in session._slots) if trains else 0
            began = time.monotonic()
            try:
                return verb(session, *given)
            finally:
                with self._lock:
                    self.spans.append((began, time.monotonic(), live, session.slots if trains else 0))

        return noted

    def told(self, began: float, ended: float) -> tuple[float, float]:
        """(lanes, slots) between two moments."""
        spans = np.array([s for s in self.spans if s[0] < ended and s[1] > began]).reshape(-1, 4)
        spent = np.minimum(spans[:, 1], ended) - np.maximum(spans[:, 0], began)
        trains = spans[:, 3] > 0
        held = spans[trains, 2] / spans[trains, 3]
        slots = float((spent[trains] * held).sum() / max(spent[trains].sum(), 1e-9))
        return float(spent.sum() / (ended - began) / lanes_here()), slots


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--parts", type=int, default=10)
    given = parser.parse_args()
    watch, began = Watch(), {"": 0.0}

    def hear(event: object) -> None:
        if isinstance(event, StageStarted):
            began[event.stage] = time.monotonic()
        if isinstance(event, StageFinished) and event.stage in ("overfit", "regularize", "tune"):
            first = began[event.stage]
            edges = np.linspace(first, max(e for _, e, _, slots in watch.spans if slots), given.parts + 1)
            parts = [watch.told(a, b) for a, b in pairwise(edges)]
            lanes, slots = watch.told(float(edges[0]), float(edges[-1]))
            print(f"{event.stage}.{event.attempt}: {edges[-1] - edges[0]:.0f} s, lanes {lanes:.0%}, slots {slots:.0%};"
                  f" slots by part {' '.join(f'{s:.0%}' for _, s in parts)}", flush=True)  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "busy.toml"
        file.write_text(STUDY.format(trials=given.trials, epochs=given.epochs))
        launch(load_study(str(file)), storage=f"sqlite:///{folder}/busy.db", listener=hear, export=f"{folder}/bundle")
    return 0


if __name__ == "__main__":
    sys.exit(main())
