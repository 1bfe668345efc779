"""What alembic runs for every migration; `hpo.records.versions` hands in the connection.

Developers draft a revision with `hpo.records.migrate.draft(url, message)`, on a database at the newest version,
and keep a database of it for the tests (tests/records/old/README.md).
"""

from alembic import context
from hpo.records import schema
from hpo.records.versions import is_ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.VERSION_TABLE,
    include_name=lambda name, kind, parents: is_ours(name, kind),
    render_as_batch=True,  # SQLite changes a table by making it anew
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
