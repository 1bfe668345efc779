"""Whether a layer's units are alike, in the health of layers.

Frozen, and repeatable after a kill in between, as the first.
"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    if "alike_share" not in _columns():
        op.add_column("hpo_layer_health", sa.Column("alike_share", sa.Double()))


def downgrade() -> None:
    """To the version before."""
    if "alike_share" in _columns():
        op.drop_column("hpo_layer_health", "alike_share")


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("hpo_layer_health")}
