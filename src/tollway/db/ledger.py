"""Tables of the ledger: every record, and the two sums that are kept beside them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from tollway.db.metadata import JsonDocument, Micros, Nanos, metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


TOKEN_CLASSES = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)

ledger = Table(
    "ledger",
    metadata,
    # Time first: rows arrive and are read in this order, and old ones can be dropped as whole partitions.
    Column("started_at", Micros, primary_key=True, autoincrement=False),
    Column("record_id", Text, primary_key=True),
    _text("kind"),
    Column("ended_at", Micros, nullable=False),
    Column("first_token_at", Micros, nullable=False),
    _text("call_id"),
    _text("response_id"),
    _text("call_type"),
    _text("route"),
    _flag("is_success"),
    _flag("is_stream"),
    _text("key_hash"),
    _text("key_alias"),
    _text("user_id"),
    _text("team_id"),
    _text("organization_id"),
    _text("end_user"),
    _text("model"),
    _text("model_group"),
    _text("model_id"),
    _text("provider"),
    _text("api_base"),
    *(_count(name) for name in TOKEN_CLASSES),
    _flag("is_estimated"),
    Column("cost_nanos", Nanos, nullable=False),
    _flag("is_priced"),
    _text("session_id"),
    _text("trace_id"),
    _text("client_ip"),
    _text("user_agent"),
    Column("status_code", Integer, nullable=False),
    _text("error_type"),
    _text("error_class"),
    _text("error_message"),
    _count("overhead_us"),
    Column("tags", JsonDocument, nullable=False),
    Column("charges", JsonDocument, nullable=False),
    # JSON as the caller wrote it; as text, because Postgres refuses some valid JSON (escaped NUL) as `jsonb`.
    _text("metadata"),
    Index(None, "key_hash", "started_at"),
    # Partial: an index costs every insert, and these say something about few rows only.
    Index(None, "user_id", "started_at", sqlite_where=text("user_id <> ''"), postgresql_where=text("user_id <> ''")),
    Index(None, "call_id", sqlite_where=text("call_id <> record_id"), postgresql_where=text("call_id <> record_id")),
    Index(None, "response_id"),
)
"""One row per `core.record.Record`. `""` where a record has no value, as in the record itself."""

spend_windows = Table(
    "spend_windows",
    metadata,
    Column("scope_kind", Text, primary_key=True),
    Column("scope_id", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("spend_nanos", Nanos, nullable=False),
    _count("records"),
    sqlite_with_rowid=False,
)
"""Spend of each entity in each of its budget windows: the sum over `ledger.charges`."""

daily_spend = Table(
    "daily_spend",
    metadata,
    Column("day", Text, primary_key=True),  # ISO 8601, UTC
    *(
        Column(name, Text, primary_key=True)
        for name in ("key_hash", "model_group", "model", "provider", "user_id", "team_id", "end_user")
    ),
    Column("spend_nanos", Nanos, nullable=False),
    _count("calls"),
    _count("failures"),
    *(_count(name) for name in TOKEN_CLASSES),
    Index(None, "key_hash", "day"),
    sqlite_with_rowid=False,
)
"""Calls and imports by UTC day: what reports and charts read instead of the ledger. Adjustments are no usage."""
