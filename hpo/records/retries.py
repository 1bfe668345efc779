"""When a failed transaction is worth repeating: the database asks for it, or cannot be reached just now.

Two kinds of failure pass by themselves, and are waited for with growing pauses, each up to a bound of its own:

- *Contention*: the database gave the transaction up for another one's sake (deadlock, lock timeout, serialization,
  `database is locked`).
- *Outage*: the server restarts, a connection dropped, the network is cut, there are too many connections.
"""

import random
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

ATTEMPTS = 8
"""Tries of a transaction under contention; the pauses between them sum to about four seconds."""
OUTAGE_SECONDS = 300.0
"""How long a server that was reached before is waited for: a restart, a failover, a cable pulled and put back."""
READER_SECONDS = 5.0
"""The same where nobody hears that it is waited for, as in a command that only shows something."""
LONGEST_PAUSE = 3.0

_CONTENTION_STATES = {"40001", "40P01", "55P03"}  # PostgreSQL: serialization, deadlock, lock not available
_CONTENTION_CODES = {1205, 1213, 1020}  # MariaDB: lock wait timeout, deadlock, record changed since last read
_SQLITE_BUSY = {5, 6}  # SQLITE_BUSY, SQLITE_LOCKED; extended codes hold these in their low byte
# PostgreSQL: connection exceptions, too many connections, shut down by an administrator, crashed, starting up, and a
# transaction or session that we left idle for too long.
_OUTAGE_STATES = {"08000", "08001", "08003", "08004", "08006", "53300", "57P01", "57P02", "57P03", "25P03", "57P05"}
# MariaDB: too many connections, shutting down, reading or writing failed, cannot connect, gone away, lost, killed.
_OUTAGE_CODES = {0, 1040, 1053, 1158, 1159, 1160, 1161, 1203, 1927, 2002, 2003, 2006, 2013, 2055, 4031}
_REFUSED_STATES = {"42501", "25006"}  # PostgreSQL: no privilege, read-only
_REFUSED_CODES = {1044, 1142, 1227, 1290}  # MariaDB: access denied to database, table or action; read-only
_SQLITE_REFUSED = {8, 14}  # SQLITE_READONLY, SQLITE_CANTOPEN


class Patience:
    """Of one transaction: whether to try it again, after a pause."""

    def __init__(self, tell: Callable[[str], None], seconds: float) -> None:
        """`tell` hears, once, that the database is waited for; `seconds`: how long, where it cannot be reached."""
        self._tell, self._seconds, self._began = tell, seconds, time.monotonic()
        self._contentions = self._outages = 0

    def again(self, error: DBAPIError, words: str) -> bool:
        """Wait and say True, or False where it is no use. `words`: what the driver says, for people."""
        if contention(error):
            self._contentions += 1
            if self._contentions >= ATTEMPTS:
                return False
            _pause(0.02 * 2**self._contentions, 1.0)
            return True
        if not outage(error) or time.monotonic() - self._began > self._seconds:
            return False
        self._outages += 1
        if self._outages == 3:  # a dropped connection is replaced without a word
            self._tell(f"The database does not answer ({words}); trying again for {self._seconds:.0f} seconds.")
        _pause(0.05 * 2**self._outages, LONGEST_PAUSE)
        return True

    def over(self) -> None:
        """Tell that the wait was not in vain."""
        if self._outages >= 3:
            self._tell(f"The database answers again, after {time.monotonic() - self._began:.0f} seconds.")


def contention(error: DBAPIError) -> bool:
    """Whether the database gave the transaction up for another one's sake, so that it may succeed when repeated."""
    return _is(error, _CONTENTION_STATES, _CONTENTION_CODES, _SQLITE_BUSY)


def outage(error: DBAPIError) -> bool:
    """Whether the server could not be reached, or dropped us."""
    if error.connection_invalidated or _is(error, _OUTAGE_STATES, _OUTAGE_CODES, set()):
        return True
    # libpq gives no state where it could not connect at all; nor does psycopg, of values that it cannot send.
    lost = isinstance(error, OperationalError | InterfaceError)
    return lost and type(error.orig).__module__.startswith("psycopg") and getattr(error.orig, "sqlstate", None) is None


def turned_away(error: DBAPIError) -> bool:
    """Whether PostgreSQL answered and will not have us, by its words: libpq gives no state then."""
    text = str(error.orig)
    passing = ("starting up", "shutting down", "recovery", "too many", "reserved")
    return "FATAL:" in text and not any(words in text for words in passing)


def refused(error: DBAPIError) -> bool:
    """Whether the database denies us the right to do that, which its owner can mend."""
    return _is(error, _REFUSED_STATES, _REFUSED_CODES, _SQLITE_REFUSED)


def _pause(seconds: float, most: float) -> None:
    """With chance in it, so that many workers do not come back in the same moment."""
    time.sleep(min(seconds, most) * random.uniform(0.5, 1.0))


def _is(error: DBAPIError, states: set[str], codes: set[int], sqlite: set[int]) -> bool:
    """Whether a failure is one of those: by PostgreSQL's state, MariaDB's code, or SQLite's."""
    cause = error.orig
    state, code = getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in sqlite
    return state in states or (cause is not None and bool(cause.args) and cause.args[0] in codes)
