"""Organizations: what teams, people and keys may belong to, with one budget over all of them."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from tollway.db.entity import document, history_columns, options_column
from tollway.db.metadata import Timestamp, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("organization_alias", Text),
    Column("budget_id", Text),
    document("models"),
    document("metadata"),
    options_column(),
    *history_columns(),
)
Index(None, organizations.c.organization_alias)

organization_members = Table(
    "organization_members",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("role", String(32), nullable=False),
    Column("budget_id", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)
Index(None, organization_members.c.user_id)
