"""A WSGI middleware that lets reading through and nothing else."""

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

READS = ("GET", "HEAD")


def read_only(app: WSGIApplication) -> WSGIApplication:
    """The application without its ways to write.

    The dashboard has no accounts: whoever reaches it could delete a study. Every request that is not a GET or HEAD is
    answered 403 with `{"reason": ...}`, the form in which the dashboard's pages show an error. (None of the
    dashboard's GET routes writes.)
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READS:
            return app(environ, start_response)
        body = json.dumps({"reason": "hpo serves this dashboard read-only"}).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return guarded
