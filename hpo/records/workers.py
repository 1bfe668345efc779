"""Who is at work: workers, and the leader's lease on a study.

A worker is one process. It proves that it lives by being seen; one that died on this very machine is noticed at once,
one elsewhere when its leases lapse.
"""

import contextlib
import hashlib
import os
import secrets
import socket
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import LeaseLost
from hpo.records import schema
from hpo.records.connection import Database, now


class Workers:
    """The workers of a database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def register(self, study_id: int, kind: str = "worker") -> str:
        """Enter this process (as `leader` or `worker`) and give it an identity that no other ever has."""
        pid, host = os.getpid(), socket.gethostname()
        worker_id = f"{host[:150]}-{pid}-{secrets.token_hex(4)}"
        values = {
            "id": worker_id, "study_id": study_id, "kind": kind, "host": host, "place": _place(), "pid": pid,
            "process_started": _process(pid) or "",
        }  # fmt: skip

        def work(connection: Connection) -> None:
            moment = now(connection)
            connection.execute(sa.insert(schema.worker).values(started_at=moment, seen_at=moment, **values))

        self._db.transact(work)
        return worker_id

    def seen(self, worker_id: str) -> None:
        """Note that the worker is alive."""
        self._mark(worker_id, "seen_at")

    def note_memory(self, worker_id: str, memory: int | None, *, renewed: int = 0) -> None:
        """Note a sign of life with the resident memory in bytes; `renewed` counts processes replaced since the last."""
        worker = schema.worker
        values = {"memory": memory, "renewals": worker.c.renewals + renewed}
        self._db.transact(
            lambda c: c.execute(sa.update(worker).where(worker.c.id == worker_id).values(seen_at=now(c), **values))
        )

    def gone(self, worker_id: str) -> None:
        """Note that the worker has left."""
        self._mark(worker_id, "gone_at")

    def lead(self, study_id: int, worker_id: str, seconds: float) -> bool:
        """Take or renew the leader's lease; False while another, living one holds it."""
        study = schema.study

        def work(connection: Connection) -> bool:
            lock = sa.select(study.c.leader_worker_id, study.c.leader_until).where(study.c.id == study_id)
            held = connection.execute(lock.with_for_update(key_share=True)).one()
            moment = now(connection)
            holder, until = held.leader_worker_id, held.leader_until
            free = holder in (None, worker_id) or until is None or until < moment
            if not free and holder not in gone_workers(connection, study_id):
                return False
            until = moment + timedelta(seconds=seconds)
            values = {"leader_worker_id": worker_id, "leader_until": until}
            connection.execute(sa.update(study).where(study.c.id == study_id).values(values))
            return True

        return self._db.transact(work)

    def resign(self, study_id: int, worker_id: str) -> None:
        """Give the leader's lease back, where this worker holds it."""
        study = schema.study
        mine = (study.c.id == study_id) & (study.c.leader_worker_id == worker_id)
        self._db.transact(
            lambda c: c.execute(sa.update(study).where(mine).values(leader_worker_id=None, leader_until=None))
        )

    def alive(self, study_id: int, seconds: float) -> int:
        """How many workers of the study were seen within so many seconds and have not left."""
        worker = schema.worker
        with self._db.read() as connection:
            since = now(connection) - timedelta(seconds=seconds)
            here = (worker.c.study_id == study_id) & worker.c.gone_at.is_(None) & (worker.c.seen_at >= since)
            return connection.execute(sa.select(sa.func.count()).select_from(worker).where(here)).scalar_one()

    def memory(self, study_id: int, seconds: float) -> tuple[int | None, int]:
        """(most bytes of a worker at work, see `alive`, None where none is known; renewals since the study began)."""
        worker = schema.worker
        of_study = worker.c.study_id == study_id
        with self._db.read() as connection:
            since = now(connection) - timedelta(seconds=seconds)
            here = of_study & worker.c.gone_at.is_(None) & (worker.c.seen_at >= since)
            most = connection.execute(sa.select(sa.func.max(worker.c.memory)).where(here)).scalar_one()
            renewals = sa.select(sa.func.sum(worker.c.renewals)).where(of_study)
            return most, int(connection.execute(renewals).scalar_one() or 0)

    def _mark(self, worker_id: str, column: str) -> None:
        worker = schema.worker
        self._db.transact(
            lambda c: c.execute(sa.update(worker).where(worker.c.id == worker_id).values({column: now(c)}))
        )


def hold_study(connection: Connection, study_id: int, leader: str | None) -> None:
    """Lock the study until the transaction ends; with a leader, raise LeaseLost unless it leads the study still.

    The lock leaves room for rows that refer to the study (PostgreSQL's NO KEY UPDATE), so that nobody who only adds
    such rows waits for it.
    """
    study = schema.study
    lock = sa.select(study.c.leader_worker_id).where(study.c.id == study_id).with_for_update(key_share=True)
    holder = connection.execute(lock).scalar_one_or_none()
    if leader is not None and holder != leader:
        raise LeaseLost(f"another process leads study {study_id} now; nothing was written")


def gone_workers(connection: Connection, study_id: int) -> set[str]:
    """Workers of the study that have left, or whose process on this very machine has ended."""
    worker, place = schema.worker, _place()
    gone: set[str] = set()
    for row in connection.execute(sa.select(worker).where(worker.c.study_id == study_id)):
        if row.gone_at is not None or (row.place == place and _ended(row.pid, row.process_started)):
            gone.add(row.id)
    return gone


def _place() -> str:
    """Where process numbers mean what they mean here: host, boot, and process namespace (a container has its own)."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _process(pid: int) -> str | None:
    """When a process began, in clock ticks since boot, so that a reused number is told apart.

    `ended` for one that ended but was not yet reaped; None where the system does not say (no `/proc`, or no right).
    """
    try:
        # The name in parentheses may hold anything; after it come state (field 3) ... start time (field 22).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]


def _ended(pid: int, started: str) -> bool:
    process = _process(pid)
    if process is None:  # only a number that nobody has is proof then
        return not _exists(pid)
    return process != started if started else process == "ended"


def _exists(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
