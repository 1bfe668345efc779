"""A leader of one searching stage, with the real search, records and lease: `tune` over the whole space.

    python benchmarks/scale/leader.py STUDY --storage URL --trials 1000 [--workers 8] [--slots 32] [--milliseconds 50]

The study is made, or gone on with where it stopped (a leader that was killed: the same command again). It trains
nothing: workers come from elsewhere (`workers.py`), or from here with `--crew`. `--workers` says for how many it keeps
cohorts filled. At the end it prints one line of JSON: trials, seconds from the first proposal to the last trial's end,
processor seconds of this process, and why the stage ended.

`lead` does the same from Python; `work` is called whenever there is nothing to propose, and may raise to end it.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simulated import study
from workers import Crew

import hpo.run.cohorts
import hpo.run.slots
from hpo.data.load import load
from hpo.metrics import METRICS
from hpo.recipe.flow import Next
from hpo.recipe.judging import Bar, Baseline
from hpo.recipe.noise import Noise
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies
from hpo.run.context import Context, optuna_name
from hpo.run.events import Listener
from hpo.run.leading import led
from hpo.run.searching import StageSearch, Task
from hpo.search.optuna_study import create_optuna_study
from hpo.studyfile.spec import StudySpec, identity, to_plain
from hpo.values import fingerprint

IDLE_SECONDS = 0.1
"""As in `hpo.run.workforce`."""


@dataclass(frozen=True)
class Led:
    """What came of it."""

    trials: int
    seconds: float
    processor_seconds: float
    ended: str


def fix_slots(slots: int) -> None:
    """Cohorts of this process's study have so many slots, whatever the machine and the space."""
    hpo.run.slots.cohort_slots = lambda ctx, space: slots  # type: ignore[assignment]
    hpo.run.slots.slots_of = lambda *given: slots  # type: ignore[attr-defined]
    hpo.run.cohorts.slots_of = lambda *given: slots  # type: ignore[assignment]


def lead(
    spec: StudySpec, storage: str, *, workers: int, work: Callable[[], None] = lambda: None,
    listener: Listener = lambda event: None, artifacts: str | None = None, finish: bool = True,
    idle: float = IDLE_SECONDS,
) -> Led:  # fmt: skip
    """Lead the study's stage `tune` to its end: as many trials as the study's budget says, none of them a widening's.

    `finish`: say in the records that the study has ended, so that its workers leave. `idle`: seconds that it waits
    where there is nothing to propose.
    """
    dataset = load(spec.data, seed=spec.seed, metric=spec.metric, base=spec.base, data_dir=None)
    metric, planned = METRICS[dataset.metric], spec.budget.trials
    with connect(storage, tell=lambda text: print(text, file=sys.stderr, flush=True)) as database:
        row = Studies(database).open(spec.name, to_plain(spec), fingerprint(identity(spec)), spec.seed)
        with led(database, row) as held:
            studies, queue = Studies(database, leader=held.worker_id), Queue(database, leader=held.worker_id)
            studies.describe_data(
                row.id, str(dataset.facts.task), metric.name, metric.direction, spec.data.source, dataset.fingerprint
            )

            def wait() -> None:
                held.check()
                ctx.joined = max(0, held.workers - workers)
                work()
                time.sleep(idle)

            ctx = Context(
                spec=spec, dataset=dataset, database=database, studies=studies, queue=queue,
                store=ArtifactStore(artifacts or default_store(database)), study=row, worker_id=held.worker_id,
                listener=listener, storage=database.url, work=wait, bundle="", workers=workers,
                led_seconds=lambda since: 0.0,
            )  # fmt: skip
            name = optuna_name(spec.name, "tune", 1)
            create_optuna_study(ctx.storage, name, metric.direction)
            stage = ctx.begin(Next("tune", 1), [], space=spec.space, planned=planned, optuna_study=name)
            bar = Bar(
                metric, Noise(0.001, 0.001, 0.001, 0.001), math.log(3), 0.0, {"prior": Baseline(0.3, math.log(3))}
            )
            task = Task(spec.space, (("default", spec.space.default()),), planned=planned, may_widen=False)
            began, spent = time.perf_counter(), _processor()
            found = StageSearch(ctx, stage, task, bar).run()
            seconds, spent = time.perf_counter() - began, _processor() - spent
            if finish:
                studies.set_state(row.id, "finished")
            return Led(len(found.trials), seconds, spent, found.ended)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--milliseconds", type=float, default=50.0)
    parser.add_argument("--crew", action="store_true", help="start the workers here, and replace those that die")
    parser.add_argument("--artifacts")
    given = parser.parse_args()
    spec = study(given.study, trials=given.trials, epochs=given.epochs)
    fix_slots(given.slots)
    with contextlib.ExitStack() as stack:
        crew = Crew(given.study, given.storage, given.workers, given.milliseconds, given.artifacts, renew=True)
        entered = not given.crew

        def work() -> None:
            nonlocal entered
            if not entered:  # only now there is a study to work for
                stack.enter_context(crew)
                entered = True
            if given.crew:
                crew.check()

        done = lead(spec, given.storage, workers=given.workers, work=work, artifacts=given.artifacts)
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
