"""The dashboard's web server: threads, loopback by default, behind a `Guard`."""

import errno
import ipaddress
import re
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard
from optuna.exceptions import StorageInternalError

from hpo.dashboard.guard import TOKEN_VARIABLE, Guard, is_loopback
from hpo.dashboard.notes import write_notes
from hpo.errors import InputError, Problem

Notes = Callable[[], Mapping[str, str]]
"""Gives the note (markdown) of each Optuna study by its name."""

REFRESH = 5.0
"""Seconds between two looks at the notes."""
_TOKEN = re.compile(r"[\w-]{16,}", re.ASCII)

_IMPORTANCE_WARNS = ("Some regimes for parameter", "Target and region quantiles", "The number of trials is too small")
"""What Optuna's importances say of young studies each time the dashboard asks for them; the page shows as much."""


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Threads6(_Threads):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Requests are nobody's news."""


class Server:
    """A dashboard that is being served from threads until `close`; also a context manager."""

    def __init__(
        self,
        url: str,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str | None = None,
        allow_writes: bool = False,
        notes: Notes | None = None,
        refresh: float = REFRESH,
    ) -> None:
        """Serve the Optuna studies in the database at SQLAlchemy's `url`; port 0 takes a free one.

        token: what visitors must show. Beyond this machine's loopback one is made where none is given; on it, nobody is
        asked for one then. allow_writes: the dashboard's own ways to change and delete studies work.

        Raises InputError where the address or the port cannot be had, or the token is none to rely on.
        """
        loopback = is_loopback(host)
        token = _token(token, loopback)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        for beginning in _IMPORTANCE_WARNS:
            warnings.filterwarnings("ignore", message=beginning)
        # From the URL itself the dashboard would read every trial again on each poll; this storage remembers them.
        self._database = optuna.storages.RDBStorage(url)
        self._storage = optuna.storages.get_storage(self._database)
        self._ended = threading.Event()
        try:
            self._server = make_server(
                host,
                port,
                Guard(optuna_dashboard.wsgi(self._storage), loopback, token, allow_writes),
                server_class=_Threads6 if ":" in host else _Threads,
                handler_class=_Silent,
            )
        except (OSError, OverflowError) as error:
            self._let_go()
            raise _unserved(error, host, port) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._server.server_port}/"
        """Where a browser on this machine finds it."""
        self.entry = _entry(self.address, host, token)
        """The address to give to people, with the token where one is asked for."""
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)]
        if notes is not None:
            self._write(notes)
            self._threads.append(threading.Thread(target=self._refresh, args=(notes, refresh), daemon=True))
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return when the server has been closed."""
        self._ended.wait()

    def close(self) -> None:
        """Stop serving. Doing it twice is no fault."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _refresh(self, notes: Notes, seconds: float) -> None:
        while not self._ended.wait(seconds):
            self._write(notes)

    def _write(self, notes: Notes) -> None:
        try:
            write_notes(self._storage, notes())
        except StorageInternalError:
            # The database was busy. What is shown is a little old; the next round mends it.
            return

    def _let_go(self) -> None:
        self._database.remove_session()
        self._database.engine.dispose()
        self._warnings.__exit__(None, None, None)


def serve(
    url: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    on_ready: Callable[[str], None],
    notes: Notes | None = None,
    token: str | None = None,
    allow_writes: bool = False,
) -> None:
    """Serve the dashboard until Ctrl-C, which ends it and returns; `on_ready` gets the entry once it answers.

    `notes` is asked every few seconds, and what changed is written into the studies. Raises as `Server` does.
    """
    with (
        suppress(KeyboardInterrupt),
        Server(url, host=host, port=port, token=token, allow_writes=allow_writes, notes=notes) as server,
    ):
        on_ready(server.entry)
        server.wait()


def _entry(address: str, host: str, token: str | None) -> str:
    """Under the machine's name where it listens on all its addresses: 0.0.0.0 leads nowhere from elsewhere."""
    with suppress(ValueError):
        if not host or ipaddress.ip_address(host).is_unspecified:
            address = f"http://{socket.gethostname()}:{address.rpartition(':')[2]}"
    return address if token is None else f"{address}?token={token}"


def _token(given: str | None, loopback: bool) -> str | None:
    """The token to ask for: the given one, or beyond the loopback a new one."""
    if given:
        if not _TOKEN.fullmatch(given):
            expected = "at least 16 letters, digits, - or _"
            got = "fewer" if len(given) < 16 else "other characters"
            raise InputError(Problem("environment", TOKEN_VARIABLE, expected, got, "Leave it out: one is made then."))
        return given
    return None if loopback else secrets.token_urlsafe()


def _unserved(error: OSError | OverflowError, host: str, port: int) -> InputError:
    problem = Problem("command line", "--port", "a free port", str(port), f"Choose another one ({error}).")
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
        remedy = f"Name one of its own, or 0.0.0.0 for all of them ({error})."
        problem = Problem("command line", "--host", "an address of this machine", host, remedy)
    return InputError(problem)
