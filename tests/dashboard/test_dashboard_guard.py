"""Who reaches the dashboard and what they may do there, over real sockets."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import optuna
import pytest

from hpo.dashboard import Server
from hpo.dashboard.guard import is_loopback
from hpo.errors import InputError
from hpo.records.database import connect

TOKEN = "a-token-of-our-own_7"
NEW = b'{"study_name": "new", "directions": ["minimize"]}'


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/study.db"
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(storage=storage, study_name="digits/tune", sampler=optuna.samplers.RandomSampler(0))
    yield url
    storage.remove_session()
    storage.engine.dispose()


class Answer:
    """Of one request; redirects are not followed."""

    def __init__(self, server: Server, path: str = "/api/studies", method: str = "GET", body: bytes = b"",
                 **headers: str) -> None:  # fmt: skip
        port = urlsplit(server.address).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def studies(server: Server, **headers: str) -> set[str]:
    found = json.loads(Answer(server, **headers).body)["study_summaries"]
    return {study["study_name"] for study in found}


@pytest.mark.parametrize(("host", "loopback"), [
    ("localhost", True), ("127.0.0.1", True), ("127.0.0.2", True), ("::1", True),
    ("0.0.0.0", False), ("::", False), ("", False), ("192.0.2.7", False), ("x.org", False), ("localhost.x", False),
])  # fmt: skip
def test_what_counts_as_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1", "[::1]:80"])
def test_on_loopback_nobody_is_asked_for_a_token(database: str, host: str) -> None:
    with Server(database, port=0) as server:
        assert server.entry == server.address
        assert studies(server, Host=host) == {"digits/tune"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.2", "[", ""])
def test_on_loopback_a_page_under_another_name_gets_nothing(database: str, host: str) -> None:
    """A name of the attacker's that was made to lead to 127.0.0.1: the browser takes both for one site."""
    with Server(database, port=0, allow_writes=True) as server:
        for method in ("GET", "DELETE"):
            answer = Answer(server, "/api/studies/1", method, Host=host)
            assert answer.status == 403
            assert b"localhost" in answer.body
        assert studies(server) == {"digits/tune"}


def test_beyond_loopback_the_token_opens_once_and_the_cookie_from_then_on(database: str) -> None:
    with Server(database, host="0.0.0.0", port=0) as server:
        entry = urlsplit(server.entry)
        assert entry.hostname == socket.gethostname().lower()
        token = entry.query.removeprefix("token=")
        assert re.fullmatch(r"[\w-]{40,}", token)
        first = Answer(server, f"/dashboard/studies/1?a=b%26c&token={token}")
        assert first.status == 303
        assert first.headers["Location"] == "/dashboard/studies/1?a=b%26c"
        cookie, *rules = first.headers["Set-Cookie"].split("; ")
        assert sorted(rules) == ["HttpOnly", "Path=/", "SameSite=Strict"]
        assert token not in first.headers["Location"]
        assert first.headers["Cache-Control"] == "no-store"
        assert Answer(server, first.headers["Location"], Cookie=cookie).status == 200
        assert studies(server, Cookie=f"x=1; {cookie}; y=2", Host="any.name") == {"digits/tune"}


@pytest.mark.parametrize("given", [
    {}, {"Cookie": "hpo-dashboard-{port}=wrong"}, {"Cookie": "hpo-dashboard-{port}="},
    {"Cookie": "hpo-dashboard-1={token}"},
    {"Cookie": "a=b; ;;= \"{token}"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer {token}x"},
    {"Authorization": "Basic {token}"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer \xe9"},
])  # fmt: skip
def test_without_the_token_there_is_a_page_that_says_where_it_is(database: str, given: Mapping[str, str]) -> None:
    with Server(database, host="0.0.0.0", port=0, token=TOKEN, allow_writes=True) as server:
        port = urlsplit(server.address).port
        headers = {name: text.format(port=port, token=TOKEN) for name, text in given.items()}
        for path, method in (
            ("/", "GET"), ("/api/studies", "GET"), ("/?token=wrong", "GET"), ("/?token=", "GET"), ("/", "HEAD"),
            ("/api/studies/1", "DELETE"), (f"/api/studies?token={TOKEN}", "POST"),
        ):  # fmt: skip
            answer = Answer(server, path, method, NEW if method == "POST" else b"", **headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "Set-Cookie" not in answer.headers
            if method == "GET":
                assert b"HPO_DASHBOARD_TOKEN" in answer.body
            assert b"digits" not in answer.body
            assert TOKEN.encode() not in answer.body
        assert studies(server, Authorization=f"Bearer {TOKEN}") == {"digits/tune"}


def test_a_token_that_was_given_is_asked_for_on_loopback_too(database: str) -> None:
    with Server(database, port=0, token=TOKEN) as server:
        assert server.entry == f"{server.address}?token={TOKEN}"
        assert Answer(server).status == 401
        assert studies(server, Authorization=f"bearer {TOKEN}") == {"digits/tune"}
        assert Answer(server, Authorization=f"Bearer {TOKEN}", Host="evil.example").status == 403


@pytest.mark.parametrize(
    "token", ["short", "with spaces in its middle", 'quotes"and;semicolons,too', "umläute-ünd-andere"]
)
def test_a_token_to_rely_on(database: str, token: str) -> None:
    with pytest.raises(InputError, match="HPO_DASHBOARD_TOKEN: expected at least 16 letters") as refused:
        Server(database, port=0, token=token)
    assert token not in str(refused.value)


def test_a_redirect_stays_on_this_server(database: str) -> None:
    with Server(database, port=0, token=TOKEN) as server:
        for path in ("//evil.example/", "/%2F/evil.example", "/\\evil.example", "/a%0d%0aX-Evil:1"):
            answer = Answer(server, f"{path}?token={TOKEN}")
            assert answer.status == 303
            assert re.fullmatch(r"/[^/\\].*", answer.headers["Location"])
            assert "X-Evil" not in answer.headers


def test_writes_only_where_they_were_asked_for(database: str) -> None:
    with Server(database, port=0, token=TOKEN) as server:
        answer = Answer(server, "/api/studies/1", "DELETE", Authorization=f"Bearer {TOKEN}")
        assert (answer.status, json.loads(answer.body)) == (403, {"reason": "hpo serves this dashboard read-only"})
    with Server(database, port=0, allow_writes=True) as server:
        assert Answer(server, "/api/studies", "POST", NEW, Content_Type="application/json").status == 201
        assert studies(server) == {"digits/tune", "new"}
        assert Answer(server, "/api/studies/1", "DELETE").status == 204
        assert studies(server) == {"new"}


def test_a_write_comes_from_the_dashboards_own_page(database: str) -> None:
    with Server(database, port=0, allow_writes=True) as server:
        place = urlsplit(server.address).netloc
        for foreign in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://["},
            {"Origin": "http://127.0.0.1:1"}, {"Origin": f"http://{place}.evil.example"},
            {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        ):  # fmt: skip
            answer = Answer(server, "/api/studies/1", "DELETE", **foreign)
            assert (answer.status, json.loads(answer.body)["reason"]) == (
                403,
                "this request comes from another site's page",
            )
        assert studies(server, Origin="http://evil.example") == {"digits/tune"}
        own = {"Origin": f"http://{place}", "Sec-Fetch-Site": "same-origin"}
        assert Answer(server, "/api/studies/1", "DELETE", **own).status == 204


def test_no_other_page_may_frame_it_or_learn_its_address(database: str) -> None:
    with Server(database, port=0) as server:
        for path in ("/dashboard", "/nowhere"):
            headers = Answer(server, path).headers
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-cache"


def test_the_command_takes_its_token_from_the_environment_and_shows_it_once(study_database: str) -> None:
    words = [sys.executable, "-m", "hpo", "dashboard", "--storage", study_database, "--host", "0.0.0.0", "--port", "0"]
    environment = {**os.environ, "HPO_DASHBOARD_TOKEN": TOKEN}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            told = re.fullmatch(rf"serving (http://[^/]+:(\d+)/)\?token={TOKEN} \(Ctrl-C ends it\)\n", line)
            assert told, line
            title = Path(f"/proc/{process.pid}/cmdline")
            assert not title.exists() or TOKEN not in title.read_text()
            connection = http.client.HTTPConnection("127.0.0.1", int(told[2]), timeout=20)
            connection.request("GET", f"/?token={TOKEN}")
            assert connection.getresponse().status == 303
            connection.close()
        finally:
            process.send_signal(2)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.fixture
def study_database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/hpo.db"
    connect(url).close()
    return url
