"""What Alembic runs: migrates over the connection that `db.migrate` hands in."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, False_

from tollway.db.metadata import Timestamp
from tollway.db.partitions import is_described
from tollway.db.tables import metadata


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Revisions are history: they name plain column types, never ours, which may change; and they run everywhere."""
    if kind == "type" and isinstance(item, Timestamp):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, JSON):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    if kind == "server_default" and isinstance(item.arg, False_):
        return "sa.false()"  # drafted from SQLite it would be 0, which Postgres does not take for a truth value
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things: the table is copied
    render_item=render_item,
    include_name=is_described,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
