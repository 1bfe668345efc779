"""The records: studies, stages, trials, runs and their curves in SQL, artifacts in files."""

import logging

# Alembic reports every step, even its own import, to whoever listens to `INFO`; our users read our messages.
logging.getLogger("alembic").setLevel(logging.WARNING)
