"""From a stored key to the wire's fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from tollway.config.logging_entries import shown_metadata
from tollway.control.keys.schemas import (
    DeletedKeyInfo,
    KeyBlocked,
    KeyGenerated,
    KeyInfo,
    KeyListed,
    KeyToken,
    KeyUpdated,
    RouterSettings,
)
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.virtual_key import VirtualKey

Status = Literal["active", "expired", "revoked", "deleted"]


class KeySpend(msgspec.Struct, frozen=True, kw_only=True):
    """What a key has spent, from the ledger, and what else is shown of it that its row does not hold."""

    nanos: int = 0
    """In the current budget window."""
    total_nanos: int = 0
    """Ever, by calls."""
    resets_at: datetime | None = None
    last_active: datetime | None = None
    """When its last call ended."""
    access_group_ids: list[str] = []
    budget_table: dict[str, Any] | None = None
    """The budget that the key links to, as the wire shows it."""


def status_of(key: VirtualKey, now: datetime) -> Status:
    """Whether the key opens anything."""
    if key.deleted_at:
        return "deleted"
    if key.is_blocked:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= now else "active"


def render_generated(key: VirtualKey, plaintext: str, spend: KeySpend, *, token: str | None) -> KeyGenerated:
    """The answer that shows the key itself."""
    routing = RouterSettings(**key.options.get("router_settings", {}))
    return KeyGenerated(
        **_common(key, spend),
        key=plaintext,
        token=token,
        token_id=key.key_hash,
        organization_id=key.organization_id,
        router_settings=routing,
    )


def render_info(key: VirtualKey, spend: KeySpend, now: datetime) -> KeyInfo | DeletedKeyInfo:
    """`info` of `/key/info`."""
    values = _row(key, spend) | {"status": status_of(key, now)}
    if key.deleted_at:
        return DeletedKeyInfo(**values, deleted_at=key.deleted_at, deleted_by=key.deleted_by)
    return KeyInfo(**values)


def render_token(key: VirtualKey, spend: KeySpend) -> KeyToken:
    """A row with its hash."""
    return KeyToken(**_row(key, spend), token=key.key_hash)


def render_updated(key: VirtualKey, spend: KeySpend, name: str) -> KeyUpdated:
    """The answer of an update; `name` is the key as the request named it."""
    return KeyUpdated(**_row(key, spend), token=key.key_hash, key=name)


def render_blocked(key: VirtualKey, spend: KeySpend) -> KeyBlocked:
    """The answer of a block."""
    return KeyBlocked(**_state(key, spend), token=key.key_hash, org_id=key.organization_id)


def render_listed(key: VirtualKey, spend: KeySpend, *, shows_users: bool) -> KeyListed:
    """A full entry of a listing."""
    users: dict[str, Any] = {
        "user": {"user_id": key.user_id} if key.user_id else None,
        "created_by_user": {"user_id": key.created_by} if key.created_by else None,
    }
    return KeyListed(
        **_state(key, spend),
        **(users if shows_users else {}),
        token=key.key_hash,
        org_id=key.organization_id,
        soft_budget=_dollars(key.soft_budget_nanos),
    )


def _row(key: VirtualKey, spend: KeySpend) -> dict[str, Any]:
    policies = key.metadata.get("policies")
    return _state(key, spend) | {
        "organization_id": key.organization_id,
        "policies": policies if isinstance(policies, list) else [],
    }


def _state(key: VirtualKey, spend: KeySpend) -> dict[str, Any]:
    return _common(key, spend) | {
        "total_spend": dollars_from_nanos(spend.total_nanos),
        "budget_reset_at": spend.resets_at,
        "last_active": spend.last_active,
        "router_settings": key.options.get("router_settings", {}),
        "auto_rotate": key.auto_rotate,
        "rotation_interval": key.rotation_interval,
        "rotation_count": key.rotation_count,
        "last_rotation_at": key.last_rotated_at,
        "key_rotation_at": key.rotates_at,
        "settings_updated_at": key.settings_updated_at,
    }


_SAME = (
    *("key_name", "key_alias", "key_type", "models", "aliases", "allowed_routes", "permissions"),
    *("user_id", "team_id", "agent_id", "project_id", "budget_id", "rpm_limit", "tpm_limit", "budget_duration"),
    *("created_at", "created_by", "updated_at", "updated_by"),
)
_KEPT = (
    *("config", "tpd_limit", "allowed_cache_controls", "model_max_budget", "budget_fallbacks"),
    *("budget_limits", "object_permission"),
)


def _common(key: VirtualKey, spend: KeySpend) -> dict[str, Any]:
    return {
        **{name: getattr(key, name) for name in _SAME},
        "metadata": shown_metadata(key.metadata),
        **{name: key.options[name] for name in _KEPT if name in key.options},
        "access_group_ids": spend.access_group_ids,
        "spend": dollars_from_nanos(spend.nanos),
        "expires": key.expires_at,
        "blocked": key.is_blocked,
        "max_parallel_requests": key.parallel_limit,
        "max_budget": _dollars(key.max_budget_nanos),
        "litellm_budget_table": _budget_row(key, spend),
    }


def _budget_row(key: VirtualKey, spend: KeySpend) -> dict[str, Any] | None:
    """The linked budget. A soft budget of the key's own is shown where the contract has it: there."""
    if spend.budget_table is not None or key.soft_budget_nanos is None:
        return spend.budget_table
    return {"budget_id": key.budget_id, "soft_budget": _dollars(key.soft_budget_nanos), "max_budget": None}


def _dollars(nanos: int | None) -> float | None:
    return None if nanos is None else dollars_from_nanos(nanos)
