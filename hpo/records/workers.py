"""Who is at work: workers, and the leader's lease on a study.

A worker is one process. It proves that it lives by being seen; one that died on this very machine is noticed at once,
one elsewhere when its leases lapse.
"""

import contextlib
import hashlib
import os
import secrets
import socket
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

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

        def work(connection: Connection) -> str:
            moment = now(connection)
            connection.execute(sa.insert(schema.worker).values(started_at=moment, seen_at=moment, **values))
            return worker_id

        def done(connection: Connection) -> str | None:
            there = sa.select(schema.worker.c.id).where(schema.worker.c.id == worker_id)
            return None if connection.execute(there).first() is None else worker_id

        return self._db.transact(work, done)

    def note_memory(self, worker_id: str, memory: int | None, *, renewed: int = 0) -> None:
        """Note a sign of life with the resident memory in bytes; `renewed` counts processes replaced since the last."""
        worker = schema.worker
        values = {"memory": memory, "renewals": worker.c.renewals + renewed}
        self._db.transact(
            lambda c: c.execute(sa.update(worker).where(worker.c.id == worker_id).values(seen_at=now(c), **values))
        )

    def gone(self, worker_id: str) -> None:
        """Note that the worker has left."""
        worker = schema.worker
        mine = sa.update(worker).where(worker.c.id == worker_id)

        def work(connection: Connection) -> None:
            moment = now(connection)
            connection.execute(mine.values(seen_at=moment, gone_at=moment))

        self._db.transact(work)

    def lead(self, study_id: int, worker_id: str, seconds: float, heir_of: str | None = None) -> bool:
        """Take or renew the leader's lease; False while another, living one holds it who did not make us the heir."""
        study = schema.study

        def work(connection: Connection) -> bool:
            lock = sa.select(study.c.leader_worker_id, study.c.leader_until).where(study.c.id == study_id)
            held = connection.execute(lock.with_for_update(key_share=True)).one()
            moment = now(connection)
            holder, until = held.leader_worker_id, held.leader_until
            free = holder in (None, worker_id, heir_of) or until is None or until < moment
            if not free and not is_gone(connection, holder):
                return False
            until = moment + timedelta(seconds=seconds)
            values = {"leader_worker_id": worker_id, "leader_until": until}
            connection.execute(sa.update(study).where(study.c.id == study_id).values(values))
            return True

        return self._db.transact(work)

    def keep_lead(self, study_id: int, worker_id: str, seconds: float) -> None:
        """Renew the leader's lease, where this worker still holds it."""
        study = schema.study
        mine = (study.c.id == study_id) & (study.c.leader_worker_id == worker_id)

        def work(connection: Connection) -> None:
            until = now(connection) + timedelta(seconds=seconds)
            connection.execute(sa.update(study).where(mine).values(leader_until=until))

        self._db.transact(work)

    def leaderless(self, study_id: int) -> bool:
        """Whether nobody leads the study: its leader resigned, died on this machine, or let its lease lapse."""
        study = schema.study
        query = sa.select(study.c.leader_worker_id, study.c.leader_until).where(study.c.id == study_id)

        def read(connection: Connection) -> bool:
            row = connection.execute(query).one_or_none()
            if row is None or row.leader_worker_id is None or row.leader_until is None:
                return row is not None
            return bool(row.leader_until < now(connection)) or is_gone(connection, row.leader_worker_id)

        return self._db.look(read)

    def resign(self, study_id: int, worker_id: str) -> None:
        """Give the leader's lease back, where this worker holds it."""
        study = schema.study
        mine = (study.c.id == study_id) & (study.c.leader_worker_id == worker_id)
        self._db.transact(
            lambda c: c.execute(sa.update(study).where(mine).values(leader_worker_id=None, leader_until=None))
        )

    def led_seconds(self, study_id: int, leader: str, since: datetime | None = None) -> float:
        """Seconds in which the study was led (since a moment), by the database's clock.

        By `leader` until now, by those before it until each was last seen.
        """
        worker = schema.worker
        leaders = (worker.c.study_id == study_id) & (worker.c.kind == "leader")
        query = sa.select(worker.c.id, worker.c.started_at, worker.c.seen_at).where(leaders)

        def read(connection: Connection) -> float:
            moment, total = now(connection), 0.0
            for row in connection.execute(query):
                began = row.started_at if since is None else max(row.started_at, since)
                total += max(0.0, ((moment if row.id == leader else row.seen_at) - began).total_seconds())
            return total

        return self._db.look(read)

    def alive(self, study_id: int, seconds: float, kind: str | None = None) -> int:
        """How many workers (of a kind) were seen within so many seconds, have not left, and did not die here."""
        worker = schema.worker

        def count(connection: Connection) -> int:
            since = now(connection) - timedelta(seconds=seconds)
            here = (worker.c.study_id == study_id) & worker.c.gone_at.is_(None) & (worker.c.seen_at >= since)
            here &= sa.true() if kind is None else worker.c.kind == kind
            return sum(not has_left(row) for row in connection.execute(sa.select(worker).where(here)))

        return self._db.look(count)


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


def bury(connection: Connection, study_id: int, moment: datetime) -> sa.Select[tuple[str]]:
    """Note of workers whose process on this very machine has ended that they are gone; the query for all that are."""
    worker = schema.worker
    of_study = worker.c.study_id == study_id
    here = sa.select(worker).where(of_study, worker.c.gone_at.is_(None), worker.c.place == _place())
    if dead := [row.id for row in connection.execute(here).all() if has_left(row)]:
        connection.execute(sa.update(worker).where(worker.c.id.in_(dead)).values(gone_at=moment))
    return sa.select(worker.c.id).where(of_study, worker.c.gone_at.is_not(None))


def is_gone(connection: Connection, worker_id: str) -> bool:
    """Whether a worker has left, or its process on this very machine has ended."""
    row = connection.execute(sa.select(schema.worker).where(schema.worker.c.id == worker_id)).one_or_none()
    return row is not None and has_left(row)


def has_left(worker: sa.Row[Any]) -> bool:
    """The same of a worker's row."""
    here = bool(worker.place == _place())
    return worker.gone_at is not None or (here and _ended(worker.pid, worker.process_started))


@cache
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
