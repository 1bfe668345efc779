"""The Optuna dashboard on our database, read-only unless told otherwise, with our verdicts as notes."""

from hpo.dashboard.guard import TOKEN_VARIABLE
from hpo.dashboard.notes import write_notes
from hpo.dashboard.server import Server, serve

__all__ = ["TOKEN_VARIABLE", "Server", "serve", "write_notes"]
