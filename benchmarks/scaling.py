"""Trials a second of a session of the compiled engine by its number of slots, and how near its arithmetic comes to the
machine's matrix products.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --slots 1 8 --shapes digits --output scaling.md
    KERAS_BACKEND=jax python benchmarks/scaling.py

Full sessions are advanced by the same number of epochs again and again; the first advance, which compiles, is told
apart (next to nothing where an earlier session of the run has left its program). Losses, metrics and gradient norms are
measured after each epoch, as in use; the floating-point rate counts training alone: 6 * multiply-adds * rows (2
forward, 4 backward), widths as asked for. Beside it: a large float32 matrix product through the same backend, taken in
the same run before and after. Without Fashion-MNIST, random rows of its shape.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers import rows as data
from benchmarks.peers.arithmetic import multiply_adds
from benchmarks.peers.cases import CASES
from benchmarks.peers.report import command, table
from hpo.errors import InputError
from hpo.metrics import METRICS
from hpo.training.backend import host, keras, prepare
from hpo.training.engine import open_session
from hpo.values import Fold, RunRequest, Task, TaskFacts

SHAPES = {"digits": "digits", "fashion": "fashion-256-128-b128"}
"""By name, the case of `throughput.py` whose space and rows are used."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
NEVER = 100_000
"""Epochs of a run that does not end while it is measured."""


@dataclass(frozen=True)
class Measured:
    """One session."""

    shape: str
    slots: int
    compiling: float
    epoch: float
    """Seconds that all slots together take for one."""
    trials: float
    """A second."""
    flops: float
    """A second, of training."""


def matrix_rate(size: int, seconds: float) -> float:
    """The best rate of a float32 product of two square matrices, in operations a second."""
    a = keras.ops.convert_to_tensor(np.random.default_rng(0).random((size, size), np.float32))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == np.inf:
        began = time.perf_counter()
        # A product returns before it is computed: what is copied to the host has been.
        host(keras.ops.matmul(a, a)[:1, :1])
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def rows_of(name: str) -> tuple[data.Rows, str]:
    """The rows of a case, or random ones, said so."""
    try:
        return data.load(name), ""
    except data.NoData:
        return data.synthetic(20_000, 4_000, (784,)), "random rows of the shape of Fashion-MNIST"


def measure(shape: str, rows: data.Rows, slots: int, engine: str, epochs: int, seconds: float) -> Measured:
    """A full session of so many slots."""
    case = CASES[SHAPES[shape]]
    space, base = case.space, case.space.default()
    facts = TaskFacts(Task.MULTICLASS, rows.shape, tuple(map(str, range(data.CLASSES))))
    prior = np.bincount(rows.y, minlength=data.CLASSES) / len(rows.y)
    scaling = np.zeros(rows.shape, np.float32), np.ones(rows.shape, np.float32)
    fold = Fold(rows.x, rows.y, rows.x_valid, rows.y_valid, prior, *scaling)
    session = open_session(
        space=space, structure=base, facts=facts, folds=[fold], metric=METRICS["accuracy"], slots=slots, engine=engine
    )
    for slot, rate in enumerate(np.geomspace(1e-4, 3e-3, slots)):
        session.put(slot, RunRequest({**base, "learning_rate": float(rate)}, slot, 0, NEVER))
    times: list[float] = []
    while len(times) < 3 or sum(times[1:]) < seconds:
        began = time.perf_counter()
        session.advance(epochs)
        times.append(time.perf_counter() - began)
    session.close()
    typical = statistics.median(times[1:])
    epoch = typical / epochs
    work = multiply_adds(base, int(np.prod(rows.shape)), data.CLASSES, padded=False)
    batch = int(base["batch_size"])
    trained = len(rows.x) // batch * batch
    return Measured(
        shape, slots, times[0] - typical, epoch, slots / (epoch * case.epochs), 6 * work * trained * slots / epoch
    )


def document(found: list[Measured], peak: float, notes: list[str]) -> str:
    """The table with what it rests on."""
    head = (
        "network", "slots", "compiling, s", "ms an epoch and trial", "trials a second", "against one slot",
        "GFLOP/s", "of the matrix product",
    )  # fmt: skip
    lines = []
    for m in found:
        one = next((o.trials for o in found if o.shape == m.shape and o.slots == 1), None)
        against = f"{m.trials / one:.1f} x" if one else ""
        trial = f"{m.epoch / m.slots * 1e3:.1f}"
        cells = (m.shape, m.slots, f"{m.compiling:.1f}", trial, f"{m.trials:.2f}", against)
        lines.append((*cells, f"{m.flops / 1e9:.2f}", f"{m.flops / peak:.1%}"))
    return "\n\n".join([*notes, table(head, lines, numbers=1)]) + "\n"


def main() -> int:
    """1 where the engine is unknown or cannot train this."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--engine", default="compiled")
    parser.add_argument("--epochs", type=int, default=0, help="of an advance; 0: a quarter of the case's, at least 1")
    parser.add_argument("--seconds", type=float, default=3.0, help="of timed advances, at least, a session")
    parser.add_argument("--matrix", type=int, default=4096, help="rows of the matrix product")
    parser.add_argument("--output", type=Path, help="a file for the table too")
    options = parser.parse_args()
    where = prepare()
    peak, found, origins = matrix_rate(options.matrix, options.seconds), [], []
    for shape in options.shapes:
        case = CASES[SHAPES[shape]]
        rows, origin = rows_of(case.data)
        origins += [f"{shape}: {text}." for text in (origin, case.note) if text]
        for slots in options.slots:
            epochs = options.epochs or max(1, case.epochs // 4)
            try:
                m = measure(shape, rows, slots, options.engine, epochs, options.seconds)
            except InputError as error:
                print(error, file=sys.stderr)
                return 1
            found.append(m)
            print(f"{shape} {slots} slots: {m.trials:.2f} trials a second, {m.flops / 1e9:.2f} GFLOP/s", flush=True)
    peak = max(peak, matrix_rate(options.matrix, options.seconds))
    lengths = ", ".join(f"{shape}: {CASES[SHAPES[shape]].epochs}" for shape in options.shapes)
    machine = "" if where != "cpu" else f" with {os.cpu_count()} cores"
    notes = [
        f"`{command('benchmarks/scaling.py', sys.argv[1:])}`: engine {options.engine}, "
        f"{keras.backend.backend()}, Keras {keras.__version__}, {where}{machine}. Matrix product: "
        f"{peak / 1e9:.0f} GFLOP/s. Epochs of a trial: {lengths}. Compilation apart.",
        *origins,
    ]
    text = document(found, peak, notes)
    print(f"\n{text}", end="")
    if options.output:
        options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
