"""The real dashboard over real HTTP, and in a real browser where there is one."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from hpo.commands.dashboard import dashboard
from hpo.dashboard import Server, serve, write_notes
from hpo.errors import InputError
from hpo.records.database import connect

VERDICT = "**Verdict**: the learning rate decides; momentum does not. " + "x" * 3000  # longer than one attribute


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/study.db"
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="digits/tune", direction="maximize",
                                sampler=optuna.samplers.RandomSampler(0))  # fmt: skip
    over = {"learning_rate": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)}
    for k in range(12):
        params = {"learning_rate": 10.0 ** -(1 + k / 3)}
        study.add_trial(optuna.create_trial(value=0.9 + k / 200, params=params, distributions=over))
    optuna.create_study(storage=storage, study_name="digits/overfit", sampler=optuna.samplers.RandomSampler(0))
    yield url
    storage.remove_session()
    storage.engine.dispose()


def ask(address: str, method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(address, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def number_of(server: Server, name: str) -> int:
    studies = ask(server.address + "api/studies")[1]["study_summaries"]
    return next(s["study_id"] for s in studies if s["study_name"] == name)


def test_reading_passes_and_writing_is_refused(database: str) -> None:
    with Server(database, port=0) as server:
        one = f"{server.address}api/studies/{number_of(server, 'digits/tune')}"
        status, study = ask(one)
        assert status == 200
        assert len(study["trials"]) == 12
        for method in ("DELETE", "POST", "PUT", "PATCH", "OPTIONS"):
            status, answer = ask(one, method, b"{}")
            assert (status, answer) == (403, {"reason": "hpo serves this dashboard read-only"})
        assert (
            ask(server.address + "api/studies", "POST", b'{"study_name": "new", "directions": ["minimize"]}')[0] == 403
        )
        assert {s["study_name"] for s in ask(server.address + "api/studies")[1]["study_summaries"]} == {
            "digits/tune",
            "digits/overfit",
        }
        assert ask(f"{one}/param_importances")[0] == 200
        with urllib.request.urlopen(server.address) as page:
            assert b"Optuna Dashboard" in page.read()
    with pytest.raises(OSError, match="refused"):
        ask(server.address + "api/studies")
    server.close()  # twice is no fault


def test_notes_show_and_follow(database: str) -> None:
    notes = {"digits/tune": VERDICT, "digits/squeeze": "not there yet"}
    with Server(database, port=0, notes=lambda: notes, refresh=0.1) as server:
        one = f"{server.address}api/studies/{number_of(server, 'digits/tune')}"
        assert ask(one)[1]["note"]["body"] == VERDICT
        notes["digits/tune"] = "shorter"
        for _ in range(100):
            if ask(one)[1]["note"]["body"] == "shorter":
                break
            time.sleep(0.05)
        assert ask(one)[1]["note"]["body"] == "shorter"


def test_a_note_is_written_only_when_it_changed(database: str) -> None:
    assert write_notes(database, {"digits/tune": VERDICT, "unknown": "x"}) == 1
    assert write_notes(database, {"digits/tune": VERDICT}) == 0
    assert write_notes(database, {"digits/tune": VERDICT + "!"}) == 1


def test_new_trials_appear_while_it_serves(database: str) -> None:
    with Server(database, port=0) as server:
        one = f"{server.address}api/studies/{number_of(server, 'digits/overfit')}"
        assert ask(one)[1]["trials"] == []
        storage = optuna.storages.RDBStorage(database)
        study = optuna.load_study(study_name="digits/overfit", storage=storage)
        study.add_trial(optuna.create_trial(value=1.0))
        storage.remove_session()
        storage.engine.dispose()
        for _ in range(100):  # the dashboard remembers trials for two seconds
            if len(ask(one)[1]["trials"]) == 1:
                break
            time.sleep(0.1)
        assert len(ask(one)[1]["trials"]) == 1


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_the_users_to_change(database: str, host: str) -> None:
    with pytest.raises(InputError, match="--host: expected an address of this machine"):
        serve(database, host=host, port=0, on_ready=lambda address: None)


def test_the_command_serves_a_server_database_by_the_url_that_users_write(
    fresh_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_url("embedded_postgresql").replace("postgresql+psycopg://", "postgresql://")
    connect(url).close()
    answered = []

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "wait", interrupted)
    dashboard(url, host="127.0.0.1", port=0, allow_writes=False,
              on_ready=lambda address: answered.append(ask(address + "api/studies")))  # fmt: skip
    assert answered == [(200, {"study_summaries": []})]


def test_a_taken_port_is_the_users_to_change(database: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(InputError, match="--port: expected a free port"),
    ):
        Server(database, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="--port"):
        Server(database, port=99999)


def test_serve_says_when_it_is_ready_and_ends_with_ctrl_c(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []

    def ready(address: str) -> None:
        answered.append(ask(address + "api/studies")[0])

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "wait", interrupted)
    serve(database, port=0, on_ready=ready)
    assert answered == [200]


def test_ctrl_c_before_it_waits_ends_it_as_well(database: str) -> None:
    def interrupted(address: str) -> None:
        raise KeyboardInterrupt

    serve(database, port=0, on_ready=interrupted)


@pytest.mark.parametrize("token", [None, "a-token-of-our-own_7"])
def test_a_browser_shows_the_study_and_the_verdict(database: str, tmp_path: Path, token: str | None) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed to look with")
    picture = tmp_path / "dashboard.png"
    notes = {"digits/tune": "## Verdict: go on\n\nThe learning rate decides; momentum does not."}
    with Server(database, port=0, notes=lambda: notes, token=token) as server:
        page = f"{server.address}dashboard/studies/1/note" + (f"?token={token}" if token else "")
        looked = subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1600", "--virtual-time-budget=10000",
                "--dump-dom", f"--screenshot={picture}", page,
            ],
            check=True, capture_output=True, timeout=90,
        )  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert b"digits/tune (id=" in looked.stdout
    assert b"The learning rate decides; momentum does not." in looked.stdout
