"""The first tables.

Frozen: it holds its own copy of every table, and never imports hpo's schema. MariaDB commits each CREATE TABLE by
itself, so every step may be repeated after a kill in between (`if_not_exists`).
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
FORM = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "if_not_exists": True,
}


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "hpo_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=190), nullable=False),
        sa.Column("spec", LONG_TEXT, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("task", sa.String(length=32)),
        sa.Column("metric", sa.String(length=32)),
        sa.Column("direction", sa.String(length=32)),
        sa.Column("data_source", sa.Text()),
        sa.Column("data_fingerprint", sa.String(length=64)),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("leader_worker_id", sa.String(length=190)),
        sa.Column("leader_until", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_study"),
        sa.UniqueConstraint("name", name="uq_hpo_study_name"),
        **FORM,
    )
    op.create_table(
        "hpo_artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.id"], name="fk_hpo_artifact_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_artifact"),
        **FORM,
    )
    op.create_index("ix_hpo_artifact_study_id", "hpo_artifact", ["study_id"], if_not_exists=True)
    op.create_table(
        "hpo_opening",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer()),
        sa.Column("study_name", sa.String(length=190), nullable=False),
        sa.Column("data_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("frozen_hash", sa.String(length=64), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.id"], name="fk_hpo_opening_study_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_opening"),
        sa.UniqueConstraint("data_fingerprint", "look", name="uq_hpo_opening_data_fingerprint_look"),
        sa.UniqueConstraint("study_id", name="uq_hpo_opening_study_id"),
        **FORM,
    )
    op.create_table(
        "hpo_stage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("optuna_study", sa.String(length=255)),
        sa.Column("objective", sa.String(length=64)),
        sa.Column("direction", sa.String(length=32)),
        sa.Column("trials_planned", sa.Integer(), nullable=False),
        sa.Column("space", LONG_TEXT),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.id"], name="fk_hpo_stage_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_stage"),
        sa.UniqueConstraint("study_id", "name", "attempt", name="uq_hpo_stage_study_id_name_attempt"),
        **FORM,
    )
    op.create_table(
        "hpo_worker",
        sa.Column("id", sa.String(length=190), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.String(length=32), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("gone_at", MOMENT),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.id"], name="fk_hpo_worker_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_worker"),
        **FORM,
    )
    op.create_index("ix_hpo_worker_study_id", "hpo_worker", ["study_id"], if_not_exists=True)
    op.create_table(
        "hpo_check",
        sa.Column("stage_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["stage_id"], ["hpo_stage.id"], name="fk_hpo_check_stage_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("stage_id", "position", name="pk_hpo_check"),
        **FORM,
    )
    op.create_table(
        "hpo_figure",
        sa.Column("stage_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=190), nullable=False),
        sa.Column("value", sa.Double()),
        sa.ForeignKeyConstraint(["stage_id"], ["hpo_stage.id"], name="fk_hpo_figure_stage_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("stage_id", "name", name="pk_hpo_figure"),
        **FORM,
    )
    op.create_table(
        "hpo_score",
        sa.Column("opening_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=32), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("low", sa.Double()),
        sa.Column("high", sa.Double()),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["opening_id"], ["hpo_opening.id"], name="fk_hpo_score_opening_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("opening_id", "model", "metric", name="pk_hpo_score"),
        **FORM,
    )
    op.create_table(
        "hpo_trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("value_tag", sa.String(length=8)),
        sa.Column("training_loss", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("training_metric", sa.Double()),
        sa.Column("validation_metric", sa.Double()),
        sa.Column("gap", sa.Double()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("structure", sa.String(length=64), nullable=False),
        sa.Column("diagnosis", sa.String(length=32)),
        sa.Column("diagnosis_sentence", sa.Text()),
        sa.Column("diagnosis_evidence", sa.Text()),
        sa.Column("seconds", sa.Double()),
        sa.Column("optuna_trial_id", sa.Integer()),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(["stage_id"], ["hpo_stage.id"], name="fk_hpo_trial_stage_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_trial"),
        sa.UniqueConstraint("stage_id", "number", name="uq_hpo_trial_stage_id_number"),
        **FORM,
    )
    op.create_table(
        "hpo_verdict",
        sa.Column("stage_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decision", sa.String(length=64), nullable=False),
        sa.Column("sentence", LONG_TEXT, nullable=False),
        sa.Column("hands_on", LONG_TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["stage_id"], ["hpo_stage.id"], name="fk_hpo_verdict_stage_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("stage_id", name="pk_hpo_verdict"),
        **FORM,
    )
    op.create_table(
        "hpo_param",
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=190), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value_number", sa.Double()),
        sa.Column("value_text", sa.Text()),
        sa.Column("varied", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.id"], name="fk_hpo_param_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trial_id", "name", name="pk_hpo_param"),
        **FORM,
    )
    op.create_table(
        "hpo_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("fold", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("worker_id", sa.String(length=190)),
        sa.Column("lease_until", MOMENT),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("epochs_trained", sa.Integer()),
        sa.Column("best_epoch", sa.Integer()),
        sa.Column("training_loss", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("training_metric", sa.Double()),
        sa.Column("validation_metric", sa.Double()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("seconds", sa.Double()),
        sa.Column("engine", sa.String(length=32)),
        sa.Column("device", sa.String(length=128)),
        sa.Column("artifact_id", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["hpo_artifact.id"], name="fk_hpo_run_artifact_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.id"], name="fk_hpo_run_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_run"),
        sa.UniqueConstraint("trial_id", "purpose", "fold", "seed", "epochs", name="uq_hpo_run_request"),
        **FORM,
    )
    op.create_index("ix_hpo_run_artifact_id", "hpo_run", ["artifact_id"], if_not_exists=True)
    op.create_index("ix_hpo_run_state", "hpo_run", ["state"], if_not_exists=True)
    op.create_table(
        "hpo_epoch",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("training_loss", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("training_metric", sa.Double()),
        sa.Column("validation_metric", sa.Double()),
        sa.Column("learning_rate", sa.Double()),
        sa.Column("gradient_norm", sa.Double()),
        sa.ForeignKeyConstraint(["run_id"], ["hpo_run.id"], name="fk_hpo_epoch_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "epoch", name="pk_hpo_epoch"),
        **FORM,
    )
    op.create_table(
        "hpo_layer_health",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(length=128), nullable=False),
        sa.Column("weight_norm", sa.Double()),
        sa.Column("update_ratio", sa.Double()),
        sa.Column("gradient_norm", sa.Double()),
        sa.Column("activation_mean", sa.Double()),
        sa.Column("activation_deviation", sa.Double()),
        sa.Column("dead_share", sa.Double()),
        sa.Column("saturated_share", sa.Double()),
        sa.ForeignKeyConstraint(["run_id"], ["hpo_run.id"], name="fk_hpo_layer_health_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hpo_layer_health"),
        sa.UniqueConstraint("run_id", "epoch", "layer", name="uq_hpo_layer_health_run_id_epoch_layer"),
        **FORM,
    )


def downgrade() -> None:
    """To a database without our tables."""
    op.drop_table("hpo_layer_health", if_exists=True)
    op.drop_table("hpo_epoch", if_exists=True)
    op.drop_table("hpo_run", if_exists=True)
    op.drop_table("hpo_param", if_exists=True)
    op.drop_table("hpo_verdict", if_exists=True)
    op.drop_table("hpo_trial", if_exists=True)
    op.drop_table("hpo_score", if_exists=True)
    op.drop_table("hpo_figure", if_exists=True)
    op.drop_table("hpo_check", if_exists=True)
    op.drop_table("hpo_worker", if_exists=True)
    op.drop_table("hpo_stage", if_exists=True)
    op.drop_table("hpo_opening", if_exists=True)
    op.drop_table("hpo_artifact", if_exists=True)
    op.drop_table("hpo_study", if_exists=True)
