"""What a trial costs the leader as its study grows, in one process: training beside it is not counted.

    python benchmarks/scale/growth.py [--storage URL] [--trials 10000] [--workers 8] [--profile FILE]

Prints processor milliseconds a trial, and of a cohort of 32, by number of trials that have ended. The study stays in
the database; its name is printed.
"""

import argparse
import cProfile
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from leader import fix_slots, lead
from simulated import install, study

from hpo.data.load import load
from hpo.records.artifacts import ArtifactStore
from hpo.records.database import connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.run.events import TrialFinished
from hpo.run.worker import SHARE, Worker

SHOWN = (100, 300, 1_000, 3_000, 10_000)


def grow(
    storage: str, trials: int, workers: int = 8, profile: str | None = None
) -> tuple[str, list[tuple[int, float]]]:
    """(the study's name, processor seconds of its leader by trials that have ended)."""
    name = f"growth-{time.time_ns()}"
    spec, folder = study(name, trials=trials), tempfile.mkdtemp()
    install(0.0)
    fix_slots(32)
    watched, beside, spent, worker = cProfile.Profile(), [0.0], [(0, time.process_time())], list[Worker]()

    def train() -> None:
        """All that waits, by one worker."""
        watched.disable()
        began = time.process_time()
        if not worker:
            database = connect(storage)
            studies = Studies(database)
            dataset = load(spec.data, seed=0, metric=spec.metric, base=spec.base, data_dir=None)
            row = studies.get(name)
            worker.append(Worker(
                spec=spec, dataset=dataset, studies=studies, queue=Queue(database), store=ArtifactStore(folder),
                study_id=row.id, worker_id=Workers(database).register(row.id), grasp=SHARE,
            ))  # fmt: skip
        while worker[0].step():
            pass
        beside[0] += time.process_time() - began
        if profile:
            watched.enable()

    def hear(event: object) -> None:
        if isinstance(event, TrialFinished):
            spent.append((event.done, time.process_time() - beside[0]))

    lead(spec, storage, workers=workers, work=train, listener=hear, artifacts=folder, idle=0.0)
    watched.disable()
    if profile:
        watched.dump_stats(profile)
    return name, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--storage", help="a SQLite file of its own unless given")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=8, help="for so many cohorts are kept filled")
    parser.add_argument("--profile", help="file for the leader's profile")
    given = parser.parse_args()
    storage = given.storage or f"sqlite:///{tempfile.mkdtemp()}/growth.db"
    name, spent = grow(storage, given.trials, given.workers, given.profile)
    print(f"study {name} in {storage}\n| trials that have ended | ms a trial | ms a cohort of 32 |\n|---|---|---|")
    for count in (n for n in SHOWN if n <= given.trials):
        first, last = (next(s for s in spent if s[0] >= at) for at in (count // 2, count))
        each = (last[1] - first[1]) / (last[0] - first[0]) * 1e3
        print(f"| {count // 2:,} to {count:,} | {each:.2f} | {32 * each:.0f} |", flush=True)


if __name__ == "__main__":
    main()
