"""Why an engine trained a run, and in how many slots; a worker's memory; indexes that keep up with many trials.

Frozen, and repeatable after a kill in between, as the first.
"""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = (
    ("hpo_run", "engine_reason", sa.Text(), {}),
    ("hpo_run", "slots", sa.Integer(), {}),
    ("hpo_worker", "renewals", sa.Integer(), {"nullable": False, "server_default": "0"}),
    ("hpo_worker", "memory", sa.BigInteger(), {}),
)


def upgrade() -> None:
    """To this version."""
    for table, name, kind, more in COLUMNS:
        if name not in _columns(table):
            op.add_column(table, sa.Column(name, kind, **more))
    op.create_index("ix_hpo_run_state_id", "hpo_run", ["state", "id"], if_not_exists=True)
    op.drop_index("ix_hpo_run_state", "hpo_run", if_exists=True)
    op.create_index("ix_hpo_trial_stage_id_state", "hpo_trial", ["stage_id", "state"], if_not_exists=True)


def downgrade() -> None:
    """To the version before."""
    op.drop_index("ix_hpo_trial_stage_id_state", "hpo_trial", if_exists=True)
    op.create_index("ix_hpo_run_state", "hpo_run", ["state"], if_not_exists=True)
    op.drop_index("ix_hpo_run_state_id", "hpo_run", if_exists=True)
    for table, name, _, _ in reversed(COLUMNS):
        if name in _columns(table):
            op.drop_column(table, name)


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
