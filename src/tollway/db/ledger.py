"""Tables of the ledger: every record, and the sums that are kept beside them."""

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

_IS_FAILURE = text("NOT is_success")
_IS_ADJUSTMENT = text("kind = 'adjustment'")


def _index_where_given(name: str) -> Index:
    is_given = text(f"{name} <> ''")
    return Index(None, name, "started_at", sqlite_where=is_given, postgresql_where=is_given)


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
    Column("project_id", Text, nullable=False, server_default=text("''")),
    Column("cache_key", Text, nullable=False, server_default=text("''")),
    Column("is_cached", Boolean, nullable=False, server_default=text("false")),
    Column("saved_nanos", Nanos, nullable=False, server_default=text("0")),
    Column("attempts", Text, nullable=False, server_default=text("''")),
    Column("tags", JsonDocument, nullable=False),
    Column("charges", JsonDocument, nullable=False),
    # JSON as the caller wrote it; as text, because Postgres refuses some valid JSON (escaped NUL) as `jsonb`.
    _text("metadata"),
    Index(None, "key_hash", "started_at"),
    # Partial: an index costs every insert, and these say something about few rows only.
    *(_index_where_given(name) for name in ("user_id", "team_id", "organization_id", "end_user", "session_id")),
    Index("ix_ledger_failures", "is_success", "started_at", sqlite_where=_IS_FAILURE, postgresql_where=_IS_FAILURE),
    Index("ix_ledger_adjustments", "kind", "started_at", sqlite_where=_IS_ADJUSTMENT, postgresql_where=_IS_ADJUSTMENT),
    Index(None, "call_id", sqlite_where=text("call_id <> record_id"), postgresql_where=text("call_id <> record_id")),
    Index(None, "response_id"),
    # By month, see `stores.sql.partitions`. On SQLite it is one table.
    postgresql_partition_by="RANGE (started_at)",
)
"""One row per `core.record.Record`. `""` where a record has no value, as in the record itself."""

ledger_horizon = Table(
    "ledger_horizon",
    metadata,
    Column("only_row", Integer, primary_key=True, autoincrement=False),
    Column("dropped_before", Micros, nullable=False),
)
"""Up to where rows of the ledger were dropped because their time was over: one row, whose id is 1; none: all are there.

The sums beside the ledger go on counting what was dropped.
"""

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
"""Spend of each entity in each of its budget windows: the sum over `ledger.charges`.

`records` counts calls alone: adjustments and imports are nobody's steps.
"""

ROLLED_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
USAGE_SUMS = ("spend_nanos", "calls", "failures", "rate_limited", *ROLLED_TOKENS, "response_ms", "timed_calls")
"""What rollups add up. Calls and imports only: adjustments are no usage."""

OWNERS = ("user_id", "team_id", "organization_id", "project_id")
"""Whose a key was when it called; told apart in the rows of keys alone."""
MODELS = ("model_group", "model", "provider", "call_type")


def _key(*names: str) -> list[Column[str]]:
    return [Column(name, Text, primary_key=True) for name in names]


daily_usage = Table(
    "daily_usage",
    metadata,
    *_key("dimension", "entity", "day", *OWNERS, *MODELS),
    *(_count(name) for name in USAGE_SUMS),
    sqlite_with_rowid=False,
)
"""Usage by UTC day (ISO 8601) and model, of each entity of each dimension (`ports.spend.Dimension`).

Entity before day: one entity over a range of days is one range of the table. A call counts once in every dimension that
it belongs to, so the rows of one dimension add up to its part of the ledger, and rows of two must never be added.
"""

daily_totals = Table(
    "daily_totals",
    metadata,
    *_key("dimension", "day", "entity", *OWNERS),
    *(_count(name) for name in USAGE_SUMS),
    sqlite_with_rowid=False,
)
"""The same, all models together. Day before entity: all entities over a range of days are one range of the table.

Of dimensions with many entities (`ports.spend.BY_WEEK`) there are sums of whole weeks too, in rows of a dimension of
their own (`week_of`) whose day is a Monday.
"""


def week_of(dimension: str) -> str:
    """The dimension in whose rows the weeks of this one are."""
    return f"{dimension}/week"
