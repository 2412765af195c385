"""Virtual keys: the living, their earlier hashes, and the deleted. No plaintext, and no spend: that is the ledger's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false

from tollway.db.metadata import JsonDocument, Nanos, Timestamp, metadata

_HASH = String(64)


def _key_columns() -> list[Column[Any]]:
    """What is known about a key, living or deleted."""
    return [
        # The hash that spend and limits are counted under: the key's first one, so that both go on when the key is
        # regenerated and gets another hash.
        Column("spend_id", _HASH, nullable=False),
        Column("key_name", String(32)),
        Column("key_alias", Text),
        Column("key_type", String(32)),
        Column("user_id", Text),
        Column("team_id", Text),
        Column("organization_id", Text),
        Column("project_id", Text),
        Column("agent_id", Text),
        Column("budget_id", Text),
        # May it be used?
        Column("expires_at", Timestamp),
        Column("is_blocked", Boolean),  # NULL: nobody has ever decided; the wire contract tells it from false
        # For what?
        Column("models", JsonDocument, nullable=False),
        Column("aliases", JsonDocument, nullable=False),
        Column("allowed_routes", JsonDocument, nullable=False),
        Column("permissions", JsonDocument, nullable=False),
        # How much? NULL: no limit.
        Column("rpm_limit", BigInteger),
        Column("tpm_limit", BigInteger),
        Column("parallel_limit", BigInteger),
        Column("max_budget_nanos", Nanos),
        Column("soft_budget_nanos", Nanos),
        Column("budget_duration", String(32)),
        # The caller's own, with the contract's reserved names (`tags`, `model_rpm_limit`, …) among them.
        Column("metadata", JsonDocument, nullable=False),
        # Fields of the wire contract that nothing queries by, under their names there; absent: no value.
        Column("options", JsonDocument, nullable=False),
        Column("auto_rotate", Boolean, nullable=False, server_default=false()),
        Column("rotation_interval", String(32)),
        Column("rotation_count", Integer, nullable=False, server_default="0"),
        Column("last_rotated_at", Timestamp),
        Column("created_at", Timestamp, nullable=False),
        Column("created_by", Text),
        Column("updated_at", Timestamp, nullable=False),
        Column("updated_by", Text),
        Column("settings_updated_at", Timestamp),
    ]


virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("key_hash", _HASH, primary_key=True),
    *_key_columns(),
    Column("rotates_at", Timestamp),  # follows from the columns of its rotation; here so that an index finds who is due
)
Index(None, virtual_keys.c.key_alias, unique=True)
Index(None, virtual_keys.c.spend_id, unique=True)
Index(None, virtual_keys.c.user_id)
Index(None, virtual_keys.c.team_id)
Index(None, virtual_keys.c.organization_id)
Index(None, virtual_keys.c.created_at, virtual_keys.c.key_hash)
_IS_ROTATING = virtual_keys.c.rotates_at.is_not(None)
Index(None, virtual_keys.c.rotates_at, sqlite_where=_IS_ROTATING, postgresql_where=_IS_ROTATING)

retired_key_hashes = Table(
    "retired_key_hashes",
    metadata,
    Column("key_hash", _HASH, primary_key=True),
    Column("spend_id", _HASH, nullable=False),
    Column("retired_at", Timestamp, nullable=False),
    Column("works_until", Timestamp, nullable=False),
    Column("successor", Text),  # sealed: the new value of a key that was rotated by itself, until its holder has it
)
"""Hashes that a key had before it was regenerated. Until `works_until` the old key opens the same door.

Rows outlive their key: calls made under an old hash stay in the ledger under it.
"""
Index(None, retired_key_hashes.c.spend_id)
_IS_FETCHABLE = retired_key_hashes.c.successor.is_not(None)
Index(None, retired_key_hashes.c.works_until, sqlite_where=_IS_FETCHABLE, postgresql_where=_IS_FETCHABLE)

deleted_keys = Table(
    "deleted_keys",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key_hash", _HASH, nullable=False),  # not unique: a custom key can be made and deleted again
    *_key_columns(),
    Column("deleted_at", Timestamp, nullable=False),
    Column("deleted_by", Text),
    Column("deleted_by_key", _HASH),
    Column("changed_by", Text),  # the `litellm-changed-by` header: on whose behalf
)
Index(None, deleted_keys.c.key_hash)
Index(None, deleted_keys.c.deleted_at)
