"""A study on a Ray cluster of several nodes, of which one dies."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from run_support import SPACE

from hpo.cli.main import main
from hpo.errors import Fault, InputError
from hpo.records import schema
from hpo.records.connection import Database
from hpo.records.urls import normalise
from hpo.run import ray_pool
from hpo.run.ray_pool import Placement, RayPool, cluster
from hpo.run.renewal import POOLED
from hpo.studyfile.spec import DataSpec, StudySpec
from hpo.training.devices import GPU_MEMORY

pytestmark = pytest.mark.slow

STUDY = """
name = "wine"
[data]
source = "sklearn:wine"
folds = 1
[budget]
trials = 6
epochs = 3
[recipe]
proof_seeds = 2
attempts = 0
[space]
model = "mlp"
[space.architecture]
units = { int = [8, 64], log = true }
[space.optimizer]
learning_rate = { float = [1e-3, 1e-1], log = true }
[space.regularization]
dropout = { float = [0.0, 0.5] }
"""
LATEST = 240.0
WINE = StudySpec("wine", SPACE, DataSpec("sklearn:wine"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head that runs no workers, and two nodes that have room for two each."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        made.add_node(num_cpus=1)
        made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()


def hpo(folder: Path, *words: str) -> list[str]:
    (folder / "wine.toml").write_text(STUDY)
    return [sys.executable, "-m", "hpo", "run", "wine.toml", "--on", "ray", "--cpus-per-worker", "0.5", *words]


def test_a_study_outlives_a_node_and_the_terminal_stays_clean(
    nodes: Any, tmp_path: Path, fresh_url: Callable[[str], str]
) -> None:
    url = fresh_url("embedded_postgresql")
    words = hpo(tmp_path, "--address", nodes.address, "--workers", "2", "--artifacts", "store")
    with (tmp_path / "said").open("w") as said, Database(normalise(url)) as db:
        environment = {**os.environ, "HPO_STORAGE": url, "OMP_NUM_THREADS": "1"}
        study = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=said, stderr=said)
        try:
            node, workers = training(nodes, db, study)
            nodes.remove_node(node, allow_graceful=False)
            for worker in workers:
                worker.kill()
            assert study.wait(LATEST) == 0, (tmp_path / "said").read_text()
        finally:
            study.kill()
            study.wait()
        check_records(db)
    told = (tmp_path / "said").read_text()
    assert "wine: finished" in told
    assert not [line for line in told.splitlines() if "ray" in line.lower().replace("array", "")]
    logs = Path(nodes.head_node.get_session_dir_path()) / "logs"
    secret = str(normalise(url).database).encode()
    assert any(logs.iterdir())
    assert not [log for log in logs.rglob("*") if log.is_file() and secret in log.read_bytes()]


def training(nodes: Any, db: Database, study: subprocess.Popen[bytes]) -> tuple[Any, list[psutil.Process]]:
    """A node one of whose workers is training now, while some runs have ended already; and its workers."""
    run, worker = schema.run, schema.worker
    at_work = sa.select(worker.c.pid).join(run, run.c.worker_id == worker.c.id).where(run.c.state == "running")
    ended = sa.select(sa.func.count()).select_from(run).where(run.c.state == "done")
    until = time.monotonic() + LATEST
    while time.monotonic() < until and study.poll() is None:
        time.sleep(0.05)
        with db.engine.connect() as connection:
            if not sa.inspect(connection).has_table("hpo_run") or not connection.execute(ended).scalar():
                continue
            pids = set(connection.execute(at_work).scalars())
        for node in nodes.worker_nodes:
            below = workers_of(node)
            if pids & {p.pid for p in below}:
                return node, below
    raise AssertionError("no worker on a node was seen training")


def check_records(db: Database) -> None:
    """Every trial has ended once, in both sets of tables, and the run that died with its node was trained again."""
    with db.engine.connect() as connection:
        optuna = sa.MetaData()
        optuna.reflect(connection, only=["studies", "trials"], resolve_fks=False)
        ours = connection.execute(
            sa.select(schema.stage.c.optuna_study, schema.trial.c.number, schema.trial.c.state)
            .join(schema.stage, schema.trial.c.stage_id == schema.stage.c.id)
            .where(schema.stage.c.optuna_study.is_not(None))
        ).all()
        studies, trials = optuna.tables["studies"], optuna.tables["trials"]
        theirs = connection.execute(
            sa.select(studies.c.study_name, trials.c.number, sa.func.lower(sa.cast(trials.c.state, sa.String))).join(
                studies, trials.c.study_id == studies.c.study_id
            )
        ).all()
        runs = connection.execute(sa.select(schema.run.c.state, schema.run.c.tries)).all()
        states = connection.execute(sa.select(schema.trial.c.state)).scalars().all()
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))
    assert {state for _, _, state in ours} == {"complete"}
    assert len({(study, number) for study, number, _ in ours}) == len(ours) >= 6
    assert "running" not in states
    assert {run.state for run in runs} <= {"done", "stopped"}
    assert max(run.tries for run in runs) == 2


def test_a_database_of_one_machine_is_refused_on_more(nodes: Any, tmp_path: Path) -> None:
    node = nodes.add_node(num_cpus=1, node_ip_address="127.0.0.3")
    try:
        for url in (f"sqlite:///{tmp_path}/x.db", "postgresql://u:secret@localhost/x"):
            words = hpo(tmp_path, "--address", nodes.address, "--storage", url)
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
            assert done.returncode == 2
            assert "expected a database server that 127.0.0.3 can reach, for workers there" in done.stderr
            assert "secret" not in done.stdout + done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert [p.name for p in tmp_path.iterdir()] == ["wine.toml"]
    finally:
        nodes.remove_node(node)


def test_workers_that_find_no_room_are_told_of_and_leave_when_asked(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "ROOM_SECONDS", 0.0)
    told: list[str] = []
    url, place = f"sqlite:///{tmp_path}/x.db", Placement(2, cpus=64.0)
    with cluster(nodes.address, place, url):
        pool = RayPool(WINE, url, place, data_dir=None, artifacts="a", memory=None, tell=told.append)
        with pool:
            pool.check()
            pool.check()
    assert told == ["Ray has placed 0 of 2 workers; `ray status` says what the others wait for."]


def test_a_worker_gets_its_cores_its_share_of_a_gpu_and_the_url_unseen(nodes: Any, tmp_path: Path) -> None:
    """Ray takes our word for the GPU."""
    node = nodes.add_node(num_cpus=2, num_gpus=1)
    try:
        url, place = f"sqlite:///{tmp_path}/x.db", Placement(1, cpus=2.0, gpus=0.25)
        pool = RayPool(WINE, url, place, data_dir=None, artifacts="a", memory=77)
        with cluster(nodes.address, place, url), pool:
            (worker,) = started(node)
            given, ray_worker = worker.environ(), worker.parent()
            assert ray_worker is not None
            assert url not in str(ray_worker.environ()) + str(ray_worker.cmdline()) + str(worker.cmdline())
    finally:
        nodes.remove_node(node)
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES", GPU_MEMORY, POOLED, "HPO_STORAGE")
    assert [given.get(name) for name in names] == ["2", "2", "0", "0.225", "77", url]


def started(node: Any) -> list[psutil.Process]:
    """The workers of a node, as soon as there are any."""
    until = time.monotonic() + LATEST
    while time.monotonic() < until:
        if found := workers_of(node):
            return found
        time.sleep(0.02)
    raise AssertionError("no worker was started")


def workers_of(node: Any) -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    found = []
    for process in raylet.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            if "hpo worker wine" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_a_worker_that_keeps_dying_ends_the_study_with_its_last_words(nodes: Any, tmp_path: Path) -> None:
    url, place = f"sqlite:///{tmp_path}/nowhere.db", Placement(1, cpus=0.5)
    pool = RayPool(WINE, url, place, data_dir=None, artifacts="a", memory=None)
    with cluster(nodes.address, place, url), pool, pytest.raises(Fault, match=r"keep dying .*no such file"):
        watch(pool)


def watch(pool: RayPool) -> None:
    until = time.monotonic() + LATEST
    while time.monotonic() < until:
        pool.check()
        time.sleep(0.1)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_does_not_answer_is_said_so(address: str) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    with (
        pytest.raises(InputError, match="a Ray cluster that answers"),
        cluster(address, Placement(2), "sqlite:///x.db"),
    ):
        pass


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'pip install "hpo\[ray\]"'), cluster("auto", Placement(2), "sqlite:///x.db"):
        pass


def test_options_of_ray_are_refused_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for flag, value in (("--address", "auto"), ("--gpus-per-worker", "0.25"), ("--cpus-per-worker", "2")):
        done = CliRunner().invoke(main, ["run", "digits", flag, value])
        assert done.exit_code == 2
        assert f"{flag}: expected --on ray beside it" in done.output
    assert not list(tmp_path.iterdir())
