"""Projects: parts of a team with models, limits and a budget of their own."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table, Text, false

from tollway.db.entity import document, history_columns, options_column
from tollway.db.metadata import metadata

projects = Table(
    "projects",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("project_alias", Text),
    Column("description", Text),
    Column("team_id", Text),
    Column("budget_id", Text),
    document("models"),
    Column("is_blocked", Boolean, nullable=False, server_default=false()),
    document("metadata"),
    options_column(),
    *history_columns(),
)
Index(None, projects.c.team_id)
