"""Answers that conversations go on from. What was said is sealed with the salt key."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from tollway.db.metadata import Micros, metadata

stored_responses = Table(
    "stored_responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    # "" for none; it may be gone by now, so it is no reference.
    Column("previous", Text, nullable=False),
    Column("deployment_id", Text, nullable=False),
    Column("upstream_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("expires_at", Micros, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index(None, "expires_at"),
)
