"""A WSGI middleware that decides who may do what, since the dashboard itself has no accounts.

- Who: on this machine's loopback anyone, but only under a name of the loopback. A page elsewhere whose name was made to
  lead here (DNS rebinding) comes under its own name. With a token, whoever has it: in the address once, which is
  answered with a cookie and the address without it; in the cookie from then on; or as `Authorization: Bearer`.
- What: reading (none of the dashboard's GET routes writes). Where writes are let through, not those that another site's
  page makes a browser send.
"""

import ipaddress
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

READS = ("GET", "HEAD")
COOKIE = "hpo-dashboard-{port}"
"""One for each port: cookies are shared by all servers of a name."""
TOKEN_VARIABLE = "HPO_DASHBOARD_TOKEN"

_HEADERS = [
    ("X-Frame-Options", "DENY"),  # no other page may lay this one under a visitor's clicks
    ("Referrer-Policy", "no-referrer"),  # nor learn an address with a token
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-cache"),  # a page that a browser kept would show an empty dashboard instead of ours
]
_WHO_ARE_YOU = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>hpo dashboard: token needed</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}</style>
<h1>This dashboard asks for a token</h1>
<p>The terminal where <code>hpo dashboard</code> was started shows the address to open, with <code>?token=...</code> at
its end. Where the token was chosen beforehand, it is in the variable <code>{TOKEN_VARIABLE}</code> there.</p>
<p>You have followed a link with the right token? Then load this page again.</p>
<p>Programs send it as the header <code>Authorization: Bearer TOKEN</code>.</p>
</html>
"""


def is_loopback(host: str) -> bool:
    """Whether a name or address leads to this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """Stands before an application."""

    app: WSGIApplication
    loopback: bool
    """Whether the server listens on this machine's loopback alone."""
    token: str | None
    """None: nobody is asked for one."""
    allow_writes: bool

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, headers + _HEADERS, *more)

        if self.loopback and not is_loopback(_name(environ.get("HTTP_HOST", ""))):
            return _refused(start, "this dashboard answers under localhost and 127.0.0.1 alone")
        reads = environ["REQUEST_METHOD"] in READS
        if self.token is not None and not self._known(environ):
            return self._welcomed(environ, start)
        if not reads and not self.allow_writes:
            return _refused(start, "hpo serves this dashboard read-only")
        if not reads and _from_elsewhere(environ):
            return _refused(start, "this request comes from another site's page")
        return self.app(environ, start)

    def _known(self, environ: WSGIEnvironment) -> bool:
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(bearer.strip())
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(_cookie(environ))
        except CookieError:
            return False
        return cookie is not None and self._is_token(cookie.value)

    def _welcomed(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """A visitor who is not known yet: the cookie for the right token in the address, else how to get one."""
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        right = any(name == "token" and self._is_token(value) for name, value in query)
        if not right or environ["REQUEST_METHOD"] not in READS:
            return _answer(start, "401 Unauthorized", _WHO_ARE_YOU, ("WWW-Authenticate", "Bearer"))
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # One slash at the beginning: two would lead to another server.
        place = "/" + quote(environ.get("PATH_INFO", "").lstrip("/"), encoding="latin-1") + (f"?{rest}" if rest else "")
        cookie = f"{_cookie(environ)}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        return _answer(start, "303 See Other", "", ("Set-Cookie", cookie), ("Location", place))

    def _is_token(self, given: str) -> bool:
        """Compared in a time that does not tell how much of it was right."""
        return self.token is not None and secrets.compare_digest(given.encode(), self.token.encode())


def _cookie(environ: WSGIEnvironment) -> str:
    return COOKIE.format(port=environ["SERVER_PORT"])


def _name(host: str) -> str:
    """Of a Host header, without its port: behind an SSH tunnel that is another one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_elsewhere(environ: WSGIEnvironment) -> bool:
    """Whether a browser says that another site's page made it send this. Programs other than browsers say nothing."""
    origin = environ.get("HTTP_ORIGIN")
    foreign = origin is not None and origin.partition("://")[2].lower() != environ.get("HTTP_HOST", "").lower()
    return foreign or environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none")


def _refused(start: StartResponse, reason: str) -> Iterable[bytes]:
    """In the form in which the dashboard's pages show an error."""
    return _answer(start, "403 Forbidden", json.dumps({"reason": reason}), form="application/json")


def _answer(
    start: StartResponse, status: str, text: str, *more: tuple[str, str], form: str = "text/html; charset=utf-8"
) -> Iterable[bytes]:
    body = text.encode()
    start(status, [("Content-Type", form), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"), *more])
    return [body]
