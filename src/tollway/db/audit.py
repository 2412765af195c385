"""Who changed what, when, from where: before and after, secrets masked."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from tollway.db.metadata import JsonDocument, Timestamp, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("changed_at", Timestamp, nullable=False),
    Column("changed_by", Text),  # the `litellm-changed-by` header, else the caller's user
    Column("changed_by_key", Text),
    Column("action", String(16), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("before", JsonDocument),
    Column("after", JsonDocument),
    Column("client_ip", Text),
    Column("user_agent", Text),
)
Index(None, audit_log.c.changed_at, audit_log.c.id)
Index(None, audit_log.c.object_id, audit_log.c.changed_at)
