"""What runs had come to at the rungs of asynchronous halving, and which runs are judged there.

Frozen, and repeatable after a kill in between, as the first.
"""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FORM = {
    "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "if_not_exists": True,
}  # fmt: skip


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "hpo_rung",
        sa.Column("trial_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("fold", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("epoch", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Double()),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.id"], name="fk_hpo_rung_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trial_id", "fold", "epoch", name="pk_hpo_rung"),
        **FORM,
    )
    if "judged" not in _columns():
        op.add_column("hpo_run", sa.Column("judged", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """To the version before."""
    if "judged" in _columns():
        op.drop_column("hpo_run", "judged")
    op.drop_table("hpo_rung", if_exists=True)


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("hpo_run")}
