"""What alembic runs for every migration. `hpo.records.versions` hands in the connection.

Developers make a revision with `python -m alembic -x url=sqlite:///scratch.db revision --autogenerate -m "what"`, after
`hpo db upgrade --storage sqlite:///scratch.db`.
"""

from alembic import context
from hpo.records import schema
from hpo.records.database import open_database
from hpo.records.versions import is_ours


def _migrate(connection: object) -> None:
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        version_table=schema.VERSION_TABLE,
        include_name=lambda name, kind, parents: is_ours(name, kind) and name != schema.VERSION_TABLE,
        render_as_batch=True,  # SQLite changes a table by making it anew
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes.get("connection")
if _given is not None:
    _migrate(_given)
else:
    with open_database(context.get_x_argument(as_dictionary=True)["url"], create=False) as _db, _db.write() as _own:
        _migrate(_own)
