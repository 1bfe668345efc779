"""`hpo dashboard`: the Optuna dashboard on our database, with each stage's verdict in its study's note."""

from collections.abc import Callable


def dashboard(storage: str, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves until interrupted. `on_ready` gets the address once it answers."""
    from hpo.dashboard import serve
    from hpo.reports.frames import open_results
    from hpo.reports.notes import notes

    found = open_results(storage)
    serve(storage, host=host, port=port, on_ready=on_ready, notes=lambda: notes(found))
