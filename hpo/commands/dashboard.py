"""`hpo dashboard`: the Optuna dashboard on our database, with each stage's verdict in its study's note."""

import os
from collections.abc import Callable


def dashboard(storage: str, *, host: str, port: int, allow_writes: bool, on_ready: Callable[[str], None]) -> None:
    """Serves until interrupted. `on_ready` gets the address once it answers.

    The token of the environment is asked for, on loopback too; see `hpo.dashboard.Server`.
    """
    from hpo.dashboard import TOKEN_VARIABLE, serve
    from hpo.records.urls import normalise
    from hpo.reports.frames import open_results
    from hpo.reports.notes import notes

    found = open_results(storage)
    serve(
        normalise(storage).render_as_string(hide_password=False), host=host, port=port,
        token=os.environ.get(TOKEN_VARIABLE), allow_writes=allow_writes, on_ready=on_ready, notes=lambda: notes(found),
    )  # fmt: skip
