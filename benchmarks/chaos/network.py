"""Two machines and a database server, of which now one, now the other is cut off for a minute. Linux, as root.

    python benchmarks/chaos/network.py [--trials 1000] [--seconds 60]

Each machine is a network namespace with an address, a host name and process numbers of its own. First the machine
without the leader loses its network (packets vanish, no connection is closed), then the one with it. At the end just
the planned trials must have ended, each once: see `audit.py`. Ends with 1 where anything is wrong.
"""

import argparse
import json
import os
import subprocess
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
from servers import Postgres
from simulated import study

from hpo.records import schema
from hpo.records.database import Database, connect
from hpo.records.studies import Studies
from hpo.studyfile.spec import identity, to_plain
from hpo.values import fingerprint

NAME, HUB, MACHINES = "network", "hpo-hub", ("hpo-a", "hpo-b")
WORKERS = Path(__file__).resolve().parents[1] / "scale" / "workers.py"
PATIENCE_SECONDS = 240.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def address(machine: str, end: int) -> str:
    """Of the server's end (1) or the machine's (2) of its cable."""
    return f"10.77.{MACHINES.index(machine) + 1}.{end}"


@contextmanager
def cables() -> Iterator[None]:
    """A namespace for the server and one for each machine, joined by a cable each."""
    try:
        for name in (HUB, *MACHINES):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for machine in MACHINES:
            ip("link", "add", "port", "netns", machine, "type", "veth", "peer", "name", machine, "netns", HUB)
            for where, port, end in ((HUB, machine, 1), (machine, "port", 2)):
                ip("-n", where, "address", "add", f"{address(machine, end)}/24", "dev", port)
                ip("-n", where, "link", "set", port, "up")
        yield
    finally:
        for name in (HUB, *MACHINES):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def crew(machine: str, url: str, trials: int) -> "subprocess.Popen[str]":
    """Three workers on a machine, who find a leader among them."""
    command = [sys.executable, str(WORKERS), NAME, "--storage", url, "--processes", "3", "--milliseconds", "3000",
               "--trials", str(trials), "--slots", "8"]  # fmt: skip
    there = ["ip", "netns", "exec", machine, "unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
    return subprocess.Popen([*there, "sh", "-c", f'hostname {machine}; exec "$@"', "sh", *command], text=True)


def leader(db: Database) -> str | None:
    """The machine that leads."""
    worker = schema.worker
    query = sa.select(worker.c.host).join(schema.study, schema.study.c.leader_worker_id == worker.c.id)
    return db.look(lambda c: c.execute(query.where(schema.study.c.leader_until > sa.func.localtimestamp())).scalar())


def until(db: Database, trials: int) -> None:
    """Wait until so many trials have ended."""
    query = sa.select(sa.func.count()).select_from(schema.trial).where(schema.trial.c.state != "running")
    end = time.monotonic() + PATIENCE_SECONDS
    while (closed := db.look(lambda c: c.execute(query).scalar_one())) < trials:
        if time.monotonic() > end:
            raise SystemExit(f"WRONG: no more than {closed} trials ended in {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.2)


def inside(trials: int, seconds: float) -> int:
    """All of it, from the server's namespace; what the process ends with."""
    spec = study(NAME, trials=trials)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data, tempfile.TemporaryDirectory() as disk:
        os.chdir(disk)  # the machines share a disk, where the artifacts lie
        server = Postgres(Path(data), [address(machine, 1) for machine in MACHINES])
        urls = {m: server.url.replace(address(MACHINES[0], 1), address(m, 1)) for m in MACHINES}
        try:
            with connect(server.url, tell=print) as db:
                Studies(db).open(NAME, to_plain(spec), fingerprint(identity(spec)), spec.seed)
                crews = [crew(machine, urls[machine], trials) for machine in MACHINES]
                until(db, 1)
                for share, leads in ((1, False), (3, True)):
                    until(db, share * trials // 6)
                    first = leader(db)
                    cut = next(m for m in MACHINES if (m == first) == leads)
                    print(f"{cut} is cut off for {seconds:.0f} s; {first} leads", flush=True)
                    ip("link", "set", cut, "down")
                    time.sleep(seconds)
                    ip("link", "set", cut, "up")
                    print(f"{cut} is back; {leader(db)} leads", flush=True)
                until(db, trials)
                codes = [each.wait(120) for each in crews]
            found = audit(server.url, NAME, "tune", trials)
        finally:
            server.stop(server.stops[1])
    print(json.dumps({"exit codes": codes} | found.found))
    for problem in found.wrong:
        print(f"WRONG: {problem}")
    return 1 if found.wrong or any(codes) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each cut lasts")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.exit(inside(given.trials, given.seconds))
    with cables():
        done = subprocess.run(["ip", "netns", "exec", HUB, sys.executable, *sys.argv, "--inside"], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
