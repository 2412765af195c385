"""Answers that are given again to those who ask the same. They are sealed with the salt key."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table

from tollway.db.metadata import Micros, metadata

cached_answers = Table(
    "cached_answers",
    metadata,
    # SHA-256 of the key, which callers may put any text in.
    Column("digest", LargeBinary, primary_key=True),
    Column("expires_at", Micros, nullable=False),
    # Bytes of `content`, so that adding them up reads the index alone.
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index(None, "expires_at", "size"),
)
