"""No password shows anywhere: a whole study on a PostgreSQL server, with secrets in every URL that it is given."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from hpo.cli.main import main
from hpo.reports.columns import TABLES

STUDY = """
name = "shop"
[data]
source = "file://me:{data}@disk/shop.csv"
target = "bought"
folds = 1
[budget]
trials = 3
epochs = 1
[recipe]
proof_seeds = 2
attempts = 0
[space]
model = "mlp"
[space.optimizer]
learning_rate = {{ float = [1e-3, 1e-1], log = true }}
"""


def secret() -> str:
    return f"S3cr3t-{secrets.token_hex(4)}"


@pytest.fixture
def role_url(fresh_url: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """(URL, password) of a user with a password, in an empty database of a server of our own."""
    url, password, name = make_url(fresh_url("embedded_postgresql")), secret(), f"hpo_{secrets.token_hex(4)}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        connection.exec_driver_sql(f"ALTER DATABASE {url.database} OWNER TO {name}")
        connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {name}")
    yield url.set(username=name, password=password).render_as_string(hide_password=False), password
    with engine.connect() as connection:
        connection.exec_driver_sql(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")
    engine.dispose()


def command_lines() -> list[str]:
    """Of all processes of this machine."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(place.read_text(errors="replace").replace("\0", " "))
    return found


def all_rows(url: str) -> list[str]:
    """Every row of every table as text, with the table's name."""
    engine = sa.create_engine(make_url(url))
    with engine.connect() as connection:
        rows = [
            f"{table}: {row}"
            for table in sa.inspect(connection).get_table_names()
            for row in connection.exec_driver_sql(f'SELECT t::text FROM "{table}" t').scalars()
        ]
    engine.dispose()
    return rows


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc to look into")
def test_no_password_shows(role_url: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, password = role_url
    of_data, of_store = secret(), secret()
    hidden = (password, of_data, of_store)
    monkeypatch.chdir(tmp_path)
    # fsspec takes what looks like a host for a folder.
    Path(f"me:{of_data}@disk").mkdir()
    lines = [f"{i * 7919 % 1000},{i * 31 % 17},{'no' if i * 7919 % 1000 < 500 else 'yes'}" for i in range(120)]
    Path(f"me:{of_data}@disk/shop.csv").write_text("\n".join(["size,weight,bought", *lines]) + "\n")
    Path("shop.toml").write_text(STUDY.format(data=of_data))
    store = f"file://me:{of_store}@disk/store"

    said, seen = [], []
    words = [
        sys.executable,
        "-m",
        "hpo",
        "run",
        "shop.toml",
        "--workers",
        "2",
        f"--storage={url}",
        "--artifacts",
        store,
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for line in run.stdout or ():
            said.append(line)
            seen += [c for c in command_lines() if " -m hpo " in c and " shop" in c]
    assert run.returncode == 0, "".join(said)
    assert any(" worker shop" in c for c in seen)
    assert not [c for c in seen if any(s in c for s in hidden)]
    assert ":***@" in "".join(said)

    more = ["--storage", url]
    for command in (
        ["check", "shop.toml"], ["status", *more], ["status", "shop", *more], ["results", *more],
        *(["results", "shop", *more, "--table", table, "--format", "csv"] for table in TABLES),
        ["report", "shop", *more, "--artifacts", store], ["worker", "shop", *more, "--artifacts", store],
        ["db", "current", *more],
        ["export", "shop", *more, "--artifacts", store, "--to", "copy"],
    ):  # fmt: skip
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, (command, done.output)
        said.append(done.output)
    for failing in (
        ["--debug", "status", "--storage", f"{url.partition('?')[0]}x?{url.partition('?')[2]}"],
        ["--debug", "export", "shop", *more, "--artifacts", f"file://me:{of_store}@nowhere", "--to", "other"],
        ["--debug", "results", "shop", "--storage", f"postgresql://me:{password}@{password}@h/db"],
    ):
        failed = subprocess.run([sys.executable, "-m", "hpo", *failing], capture_output=True, text=True, check=False)
        assert failed.returncode == 1, failed.stderr
        assert "Traceback" in failed.stderr
        said += [failed.stdout, failed.stderr]
    assert not [line for line in "".join(said).splitlines() if any(s in line for s in hidden)]

    rows = all_rows(url)
    assert len(rows) > 100
    assert not [row for row in rows if password in row or of_store in row]
    with_data = {row.partition(":")[0] for row in rows if of_data in row}
    assert with_data == {"hpo_study"}, "the spec alone, for workers"
    written = [p for p in Path().rglob("*") if p.is_file() and p.name not in ("shop.toml", "shop.csv")]
    assert {"shop-report.html", "predict.py"} <= {p.name for p in written}
    assert not [p for p in written if any(s.encode() in p.read_bytes() for s in hidden)]
    assert os.environ.get("HPO_STORAGE") is None
