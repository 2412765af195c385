"""Sessions: runs of agents, each under one key. What they add up to, and which somebody has stopped."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from tollway.db.metadata import Micros, Nanos, Timestamp, metadata


def _index_where_given(name: str) -> Index:
    is_given = text(f"{name} <> ''")
    return Index(None, name, "last_seen_at", sqlite_where=is_given, postgresql_where=is_given)


session_totals = Table(
    "session_totals",
    metadata,
    Column("spend_id", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    # As of the last batch of calls; "" for none, as in the ledger.
    *(
        Column(name, Text, nullable=False)
        for name in ("key_hash", "key_alias", "user_id", "team_id", "organization_id")
    ),
    Column("spend_nanos", Nanos, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("first_seen_at", Micros, nullable=False),
    Column("last_seen_at", Micros, nullable=False),
    Index(None, "session_id"),
    Index(None, "last_seen_at"),
    *(_index_where_given(name) for name in ("user_id", "team_id", "organization_id")),
)
"""What the calls of each session of each key add up to: the sum over `ledger`, kept in its transactions."""

stopped_sessions = Table(
    "stopped_sessions",
    metadata,
    Column("spend_id", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("stopped_at", Timestamp, nullable=False),
    Column("stopped_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Sessions whose calls are refused until somebody resumes them. They need not have been seen yet."""
