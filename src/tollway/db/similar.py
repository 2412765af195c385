"""Answers that are found by meaning. A cache: whatever is in here may be deleted at any time.

Vectors are plain arrays, so that the table needs no extension: only who compares them, on Postgres, does.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, REAL, Column, Index, LargeBinary, Table, Text
from sqlalchemy.types import TypeEngine

from tollway.db.metadata import Micros, metadata

Vector: TypeEngine[Any] = ARRAY(REAL()).with_variant(LargeBinary(), "sqlite")
"""On SQLite nobody compares them, so there none is written."""

similar_answers = Table(
    "similar_answers",
    metadata,
    Column("key", Text, primary_key=True),
    # "" without a vector: it is found by its key alone.
    Column("bucket", Text, nullable=False),
    Column("vector", Vector),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("expires_at", Micros, nullable=False),
    Index(None, "bucket", "created_at"),
    Index(None, "expires_at"),
)
"""One row per `ports.responses.KeptAnswer`, as msgpack."""
