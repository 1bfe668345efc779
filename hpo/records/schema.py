"""The tables. Only alembic creates them; a test holds its head revision to these definitions.

Columns for whatever is asked; JSON text for what only programs read. Times are naive UTC from the database's clock.
Numbers that are not finite are stored as NULL (MariaDB refuses them, SQLite turns NaN into NULL by itself). No foreign
key leads into Optuna's tables, which another program owns.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

PREFIX = "hpo_"
VERSION_TABLE = "hpo_alembic_version"

# MariaDB's TEXT ends at 64 KiB, its DATETIME at whole seconds.
LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
Name = sa.String(190)
Word = sa.String(32)
Hash = sa.String(64)


def _table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    # Names are compared byte by byte on every database: MariaDB's default would call `Digits` and `digits` equal.
    return sa.Table(
        PREFIX + name, metadata, *parts, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin"
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _of(table: str, *, key: bool = False) -> sa.Column[int]:
    """A reference to the owner; what is owned goes with it."""
    return sa.Column(
        f"{table}_id",
        sa.Integer,
        sa.ForeignKey(f"{PREFIX}{table}.id", ondelete="CASCADE"),
        primary_key=key,
        nullable=False,
        autoincrement=False if key else "auto",
    )


def _scores() -> list[sa.Column[float]]:
    names = ("training_loss", "validation_loss", "training_metric", "validation_metric")
    return [sa.Column(name, sa.Double) for name in names]


study = _table(
    "study",
    _id(),
    sa.Column("name", Name, nullable=False),
    sa.Column("spec", LongText, nullable=False),
    sa.Column("fingerprint", Hash, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("task", Word),
    sa.Column("metric", Word),
    sa.Column("direction", Word),
    sa.Column("data_source", sa.Text),
    sa.Column("data_fingerprint", Hash),
    sa.Column("state", Word, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("leader_worker_id", Name),
    sa.Column("leader_until", Moment),
    sa.UniqueConstraint("name"),
)

stage = _table(
    "stage",
    _id(),
    _of("study"),
    sa.Column("name", Word, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", Word, nullable=False),
    sa.Column("fingerprint", Hash, nullable=False),
    sa.Column("optuna_study", sa.String(255)),
    sa.Column("objective", sa.String(64)),
    sa.Column("direction", Word),
    sa.Column("trials_planned", sa.Integer, nullable=False),
    sa.Column("space", LongText),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("finished_at", Moment),
    sa.UniqueConstraint("study_id", "name", "attempt"),
)

trial = _table(
    "trial",
    _id(),
    _of("stage"),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("state", Word, nullable=False),
    sa.Column("origin", Word, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("value_tag", sa.String(8)),
    *_scores(),
    sa.Column("gap", sa.Double),
    sa.Column("parameters", sa.BigInteger),
    sa.Column("structure", Hash, nullable=False),
    sa.Column("diagnosis", Word),
    sa.Column("diagnosis_sentence", sa.Text),
    sa.Column("diagnosis_evidence", sa.Text),
    sa.Column("seconds", sa.Double),
    sa.Column("optuna_trial_id", sa.Integer),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("finished_at", Moment),
    sa.UniqueConstraint("stage_id", "number"),
    # A leader asks for the running ones at each step, a few among thousands.
    sa.Index(None, "stage_id", "state"),
)

artifact = _table(
    "artifact",
    _id(),
    _of("study"),
    sa.Column("kind", Word, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("sha256", Hash, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index(None, "study_id"),
)

run = _table(
    "run",
    _id(),
    _of("trial"),
    sa.Column("fold", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("purpose", Word, nullable=False),
    sa.Column("epochs", sa.Integer, nullable=False),
    sa.Column("state", Word, nullable=False),
    sa.Column("worker_id", Name),
    sa.Column("lease_until", Moment),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("epochs_trained", sa.Integer),
    sa.Column("best_epoch", sa.Integer),
    *_scores(),
    sa.Column("parameters", sa.BigInteger),
    sa.Column("seconds", sa.Double),
    sa.Column("engine", Word),
    sa.Column("engine_reason", sa.Text),
    sa.Column("slots", sa.Integer),
    sa.Column("judged", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("device", sa.String(128)),
    sa.Column("artifact_id", sa.Integer, sa.ForeignKey("hpo_artifact.id", ondelete="SET NULL")),
    sa.Column("error", sa.Text),
    sa.Column("finished_at", Moment),
    # Adding the same run twice is one run: what makes a repeated request harmless after a kill.
    sa.UniqueConstraint("trial_id", "purpose", "fold", "seed", "epochs", name="uq_hpo_run_request"),
    # The oldest queued runs are found in their order, however many have ended.
    sa.Index(None, "state", "id"),
    sa.Index(None, "artifact_id"),
)

param = _table(
    "param",
    _of("trial", key=True),
    sa.Column("name", Name, primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("value_number", sa.Double),
    sa.Column("value_text", sa.Text),
    sa.Column("varied", sa.Boolean, nullable=False),
)

epoch = _table(
    "epoch",
    _of("run", key=True),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    *_scores(),
    sa.Column("learning_rate", sa.Double),
    sa.Column("gradient_norm", sa.Double),
)

# By trial and fold, not by run: a trial that is carried into another attempt brings its values and no runs.
rung = _table(
    "rung",
    _of("trial", key=True),
    sa.Column("fold", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
)

layer_health = _table(
    "layer_health",
    _id(),
    _of("run"),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("layer", sa.String(128), nullable=False),
    sa.Column("weight_norm", sa.Double),
    sa.Column("update_ratio", sa.Double),
    sa.Column("gradient_norm", sa.Double),
    sa.Column("activation_mean", sa.Double),
    sa.Column("activation_deviation", sa.Double),
    sa.Column("dead_share", sa.Double),
    sa.Column("saturated_share", sa.Double),
    sa.Column("alike_share", sa.Double),
    sa.UniqueConstraint("run_id", "epoch", "layer"),
)

check = _table(
    "check",
    _of("stage", key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("status", Word, nullable=False),
    sa.Column("expected", sa.Text, nullable=False),
    sa.Column("seen", sa.Text, nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
)

verdict = _table(
    "verdict",
    _of("stage", key=True),
    sa.Column("decision", sa.String(64), nullable=False),
    sa.Column("sentence", LongText, nullable=False),
    sa.Column("hands_on", LongText, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

figure = _table(
    "figure",
    _of("stage", key=True),
    sa.Column("name", Name, primary_key=True),
    sa.Column("value", sa.Double),
)

opening = _table(
    "opening",
    _id(),
    # A look at the test set stays a look when its study is removed.
    sa.Column("study_id", sa.Integer, sa.ForeignKey("hpo_study.id", ondelete="SET NULL")),
    sa.Column("study_name", Name, nullable=False),
    sa.Column("data_fingerprint", Hash, nullable=False),
    sa.Column("frozen_hash", Hash, nullable=False),
    sa.Column("look", sa.Integer, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.UniqueConstraint("study_id"),
    sa.UniqueConstraint("data_fingerprint", "look"),
)

score = _table(
    "score",
    _of("opening", key=True),
    sa.Column("model", Word, primary_key=True),
    sa.Column("metric", Word, primary_key=True),
    sa.Column("value", sa.Double),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Column("rows", sa.Integer, nullable=False),
)

worker = _table(
    "worker",
    sa.Column("id", Name, primary_key=True),
    _of("study"),
    sa.Column("kind", Word, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    # Host, boot and process namespace: within one place a process number means one process.
    sa.Column("place", Hash, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("process_started", sa.String(32), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("gone_at", Moment),
    sa.Column("renewals", sa.Integer, nullable=False, server_default="0"),
    sa.Column("memory", sa.BigInteger),
    sa.Index(None, "study_id"),
)
