"""`hpo` through its public parts: TPE in cohorts, sessions of the engine, all records and learning curves in SQLite."""

from . import quiet  # isort: skip
import argparse
import math
import time

from hpo.records.database import connect
from hpo.run.lanes import lanes_here
from hpo.training import backend, fit_engine
from hpo.training.choosing import FEWEST, slots_for
from hpo.training.engine import open_session
from hpo.training.session import Session
from hpo.values import Configuration, Fold, Task, TaskFacts

from . import outcome
from .arithmetic import padding_share
from .book import METRIC, Book
from .cases import CASES
from .crew import Crew
from .rows import CLASSES, Rows, load


def as_fold(rows: Rows) -> tuple[TaskFacts, Fold]:
    """The rows as `hpo` knows them."""
    import numpy as np

    facts = TaskFacts(Task.MULTICLASS, rows.shape, tuple(map(str, range(CLASSES))))
    prior = np.bincount(rows.y, minlength=CLASSES) / len(rows.y)
    whole = np.zeros(rows.shape, np.float32), np.ones(rows.shape, np.float32)
    return facts, Fold(rows.x, rows.y, rows.x_valid, rows.y_valid, prior, *whole)


def main(options: argparse.Namespace) -> outcome.Outcome:
    """Run the case."""
    case = CASES[options.case]
    space, rows = case.space, load(case.data)
    facts, fold = as_fold(rows)

    def sizing(structure: Configuration, runs: int) -> int:
        return int(options.slots) or slots_for(
            space=space, configuration=structure, facts=facts, rows=len(rows.x), runs=max(runs, FEWEST),
            engine=options.engine,
        )  # fmt: skip

    def opening(structure: Configuration, slots: int) -> Session:
        return open_session(
            space=space, structure=structure, facts=facts, folds=[fold], metric=METRIC, slots=slots,
            engine=options.engine,
        )  # fmt: skip

    began = time.perf_counter()
    with connect(f"sqlite:///{options.folder / 'hpo.db'}") as database:
        book = Book(database, space, case.epochs, options.structures)
        crew = Crew(
            book, sizing=sizing, opening=opening, trials=options.trials, cohort=options.cohort, lanes=options.lanes
        )
        crew.work()
    taken = time.perf_counter() - began
    results = [result for _, result in crew.results]
    epochs = sum(len(r.curve) for r in results)
    shares = [(c, len(r.curve), r.engine == "compiled") for c, r in crew.results]
    engines = sorted({r.engine for r in results})
    slots = [s.slots for s in crew.stretches]
    lanes = taken * options.lanes
    figures = {
        "compiling": sum(s.compiling for s in crew.stretches) / lanes,
        "empty_slots": crew.empty_share(),
        "padding": padding_share(space, shares, math.prod(rows.shape), CLASSES),
        "training": sum(sum(s.times) for s in crew.stretches) / lanes,
        "asking": book.seconds["asking"] / taken,
        "records": book.seconds["records"] / taken,
        "sessions": len(crew.stretches),
        "slots": max(slots),
    }
    settings = (
        f"1 process, {options.lanes} lanes, engine {' and '.join(engines)}, {_span(slots)} slots, TPE in cohorts of "
        f"{options.cohort}, all records in SQLite"
    )
    packages = outcome.versions("keras", "tensorflow", "optuna") | {"hpo": _version()}
    scores = [r.validation_metric for r in results]
    return outcome.Outcome(len(results), taken, scores, epochs, settings, figures, packages)


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _version() -> str:
    import hpo

    return str(getattr(hpo, "__version__", "this checkout"))


if __name__ == "__main__":
    assert quiet
    assert fit_engine
    backend.prepare()
    parser = outcome.parser(__doc__)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--cohort", type=int, default=32, help="configurations proposed at once")
    parser.add_argument("--structures", type=int, default=3, help="structures that a cohort may open")
    parser.add_argument("--slots", type=int, default=0, help="of a session; 0: what `slots_for` says")
    parser.add_argument("--lanes", type=int, default=lanes_here(), help="sessions side by side, as in `hpo run`")
    asked = parser.parse_args()
    outcome.write(main(asked), asked.output)
