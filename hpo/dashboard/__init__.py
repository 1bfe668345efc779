"""The Optuna dashboard on our database, read-only, with our verdicts as notes."""

from hpo.dashboard.notes import write_notes
from hpo.dashboard.server import Server, serve

__all__ = ["Server", "serve", "write_notes"]
