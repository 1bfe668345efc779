"""Chaos: `kill -9` of workers and leaders, and restarts of the server, at random moments of a study.

    python benchmarks/chaos --database postgresql --seed 0
    python benchmarks/chaos --database sqlite --trials 200 --kills 8 --leader-kills 2

Eight workers (the real ones, whose training sleeps) search one stage; who leads is found among them. At the end just
the planned trials must have ended, each once: see `audit.py`. Ends with 1 where anything is wrong.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scale"))

import sqlalchemy as sa
from audit import audit
from servers import Server, server
from simulated import study
from workers import Crew, leader

from hpo.records import schema
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.studyfile.spec import identity, to_plain
from hpo.values import fingerprint

NAME = "chaos"
DOWN_SECONDS = (0.5, 6.0)
"""How long a server stays away."""
PATIENCE_SECONDS = 300.0
"""Without a single trial that ends, the study is taken to hang."""


class Chaos:
    """A study in trouble."""

    def __init__(self, database: Database, crew: Crew, made: Server | None, seed: int) -> None:
        self._db, self._crew, self._server = database, crew, made
        self._random = random.Random(seed)
        self._trials = 0
        self.log: list[str] = []

    def plan(self, trials: int, kills: int, leader_kills: int, restarts: int) -> list[tuple[int, str]]:
        """What is done after how many trials, in order: at random moments between the first and the last."""
        kinds = ["worker"] * kills + ["leader"] * leader_kills + ["server"] * (restarts if self._server else 0)
        return sorted((self._random.randint(1, int(0.97 * trials)), kind) for kind in kinds)

    def until(self, trials: int) -> bool:
        """Wait until so many trials have ended; False where the study has before."""
        quiet = time.monotonic()
        while True:
            self._crew.check()
            closed = self._db.look(lambda c: c.execute(_CLOSED).scalar_one())
            if closed > self._trials:
                quiet, self._trials = time.monotonic(), closed
            if closed >= trials or Studies(self._db).get(NAME).state == "finished":
                return closed >= trials
            if Studies(self._db).get(NAME).state == "failed":
                raise SystemExit(f"the study failed after {closed} trials")
            if time.monotonic() - quiet > PATIENCE_SECONDS:
                raise SystemExit(f"nothing has ended for {PATIENCE_SECONDS:.0f} s, after {closed} trials")
            time.sleep(0.05)

    def do(self, kind: str) -> None:
        """One blow, a moment later."""
        time.sleep(self._random.uniform(0.0, 0.3))
        if kind == "server":
            self._restart()
            return
        pid = self._random.choice(self._crew.pids) if kind == "worker" else self._leader()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.log.append(f"{self._trials} trials: kill -9 of {kind} {pid}")

    def _leader(self) -> int | None:
        """Its process; waits for the next where the study has none."""
        study, worker = schema.study, schema.worker
        query = sa.select(worker.c.pid).join(study, study.c.leader_worker_id == worker.c.id)
        query = query.where(worker.c.kind == "leader", study.c.name == NAME)
        for _ in range(600):
            pid = self._db.look(lambda c: c.execute(query).scalar_one_or_none())
            if pid is not None and Path(f"/proc/{pid}").exists():
                return int(pid)
            self._crew.check()
            time.sleep(0.1)
        return None

    def _restart(self) -> None:
        how = self._random.choice(self._server.stops)
        seconds = self._random.uniform(*DOWN_SECONDS)
        self._server.stop(how)
        time.sleep(seconds)
        self._server.start()
        self.log.append(f"{self._trials} trials: server ended by {how.name}, away for {seconds:.1f} s")


_CLOSED = (
    sa.select(sa.func.count())
    .select_from(schema.trial.join(schema.stage, schema.stage.c.id == schema.trial.c.stage_id))
    .where(schema.trial.c.state != "running", schema.stage.c.name == "tune")
)


@contextmanager
def database(kind: str) -> Iterator[tuple[str, Server | None]]:
    """The URL of a fresh one, and its server where it has one."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/hpo.db", None
    else:
        with server(kind) as made:
            yield made.url, made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql", "mariadb"), default="sqlite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--leader-kills", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--milliseconds", type=float, default=2000.0, help="a training takes so long")
    parser.add_argument("--slots", type=int, default=8)
    given = parser.parse_args()
    spec = study(NAME, trials=given.trials)
    began = time.monotonic()
    with database(given.database) as (url, made), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where a server's artifacts lie, by default
        heir = leader(NAME, url, given.trials, given.slots)
        with connect(url, tell=lambda text: print(text, flush=True)) as db:
            Studies(db).open(NAME, to_plain(spec), fingerprint(identity(spec)), spec.seed)
            with Crew(NAME, url, given.workers, given.milliseconds, renew=True, heir=heir) as crew:
                chaos = Chaos(db, crew, made, given.seed)
                for trials, kind in chaos.plan(given.trials, given.kills, given.leader_kills, given.restarts):
                    if not chaos.until(trials):
                        raise SystemExit(f"the study ended before {trials} trials")
                    chaos.do(kind)
                    print(chaos.log[-1], flush=True)
                while Studies(db).get(NAME).state != "finished":
                    chaos.until(given.trials)
                    time.sleep(0.1)
        found = audit(url, NAME, "tune", given.trials)
    print(json.dumps({"database": given.database, "seed": given.seed, "blows": len(chaos.log),
                      "seconds": round(time.monotonic() - began, 1)} | found.found))  # fmt: skip
    for problem in found.wrong:
        print(f"WRONG: {problem}")
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
