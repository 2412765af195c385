"""From the wire's fields to a stored key: which field lives where, what is allowed in it, what fills it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tollway.control.services import KeyPolicy
from tollway.core.errors import InvalidRequest
from tollway.core.money import nanos_from_dollars
from tollway.core.windows import expires_at, window
from tollway.stores.sql.keys import VirtualKey

COLUMNS = {
    "key_alias": "key_alias",
    "user_id": "user_id",
    "team_id": "team_id",
    "organization_id": "organization_id",
    "project_id": "project_id",
    "agent_id": "agent_id",
    "budget_id": "budget_id",
    "blocked": "is_blocked",
    "models": "models",
    "aliases": "aliases",
    "allowed_routes": "allowed_routes",
    "permissions": "permissions",
    "rpm_limit": "rpm_limit",
    "tpm_limit": "tpm_limit",
    "max_parallel_requests": "parallel_limit",
    "budget_duration": "budget_duration",
    "key_type": "key_type",
    "auto_rotate": "auto_rotate",
    "rotation_interval": "rotation_interval",
}
"""Fields with a column of their own, as they are."""

MONEY = {"max_budget": "max_budget_nanos", "soft_budget": "soft_budget_nanos"}

RESERVED_METADATA = frozenset(
    {
        *("tags", "guardrails", "policies", "prompts", "enforced_params", "disable_global_guardrails"),
        *("model_rpm_limit", "model_tpm_limit", "rpm_limit_type", "tpm_limit_type", "mcp_rpm_limit", "tag_rpm_limit"),
        *("allowed_passthrough_routes", "denied_passthrough_routes", "allowed_vector_store_indexes"),
        *("default_estimated_output_tokens", "default_estimated_output_tokens_per_model"),
        *("throttle_on_budget_exceeded", "enable_prompt_caching", "end_user_budget_id"),
        *("temp_budget_increase", "temp_budget_expiry"),
    }
)
"""Fields that the contract keeps inside `metadata`."""

OPTIONS = frozenset(
    {
        *("config", "model_max_budget", "budget_fallbacks", "budget_limits", "tpd_limit", "router_settings"),
        *("allowed_cache_controls", "access_group_ids", "object_permission"),
    }
)
"""Fields that are kept and shown, and that no query asks for."""

ELSEWHERE = frozenset(
    {
        "duration",  # becomes `expires_at`
        "spend",  # the ledger's
        "metadata",
        "key",
        "send_invite_email",  # an act, not a property
        *("new_key", "grace_period", "new_master_key"),  # of regeneration
    }
)

_EMPTY = {
    "models": [],
    "aliases": {},
    "allowed_routes": [],
    "permissions": {},
    "key_type": "default",
    "auto_rotate": False,
}
"""What null means where a column cannot be."""

_ROUTE_PRESETS = {
    "llm_api": ["llm_api_routes"],
    "management": ["management_routes"],
    "read_only": ["info_routes"],
    "default": [],
}

_COUNTS = ("rpm_limit", "tpm_limit", "tpd_limit", "max_parallel_requests")
_MAX_COUNT = 2**63 - 1
_MAX_DOLLARS = 9_000_000_000


def amend(key: VirtualKey, changes: Mapping[str, Any], *, now: float) -> VirtualKey:
    """The key with these fields changed; null clears one. Raises `InvalidRequest`."""
    check_fields(changes, now=now)
    changes = {name: value for name, value in changes.items() if (name, value) != ("team_id", "")}
    values = {
        column: _EMPTY.get(name) if changes[name] is None else changes[name]
        for name, column in COLUMNS.items()
        if name in changes
    }
    if changes.get("key_type") and not changes.get("allowed_routes"):
        values["allowed_routes"] = _ROUTE_PRESETS[changes["key_type"]]
    for name, column in MONEY.items():
        if name in changes:
            values[column] = None if changes[name] is None else nanos_from_dollars(changes[name])
    if "duration" in changes:
        values["expires_at"] = _expiry(changes["duration"], now)
    values["metadata"] = _merge_metadata(key.metadata, changes)
    values["options"] = _without_null({**key.options, **_pick(changes, OPTIONS)})
    return msgspec.structs.replace(key, **values)


def check_fields(changes: Mapping[str, Any], *, now: float) -> None:
    """Raises `InvalidRequest` naming the first field whose value cannot be."""
    for name in (*MONEY, "spend", "temp_budget_increase"):
        check_dollars(name, changes.get(name))
    for name in _COUNTS:
        _check_count(name, changes.get(name))
    for name in ("model_rpm_limit", "model_tpm_limit"):
        for model, limit in (changes.get(name) or {}).items():
            _check_count(f"{name}[{model!r}]", limit, field=name)
    for name, read in _DURATIONS.items():
        if changes.get(name) is not None and (name, changes[name]) != ("duration", "-1"):
            _check_duration(name, changes[name], read, now)
    if changes.get("auto_rotate") and not changes.get("rotation_interval"):
        raise InvalidRequest(
            "auto_rotate needs a rotation_interval, like '30d'.", param="rotation_interval", type="bad_request_error"
        )
    if (changes.get("temp_budget_increase") is None) != (changes.get("temp_budget_expiry") is None):
        raise InvalidRequest(
            "temp_budget_increase and temp_budget_expiry go together: send both, or neither.",
            param="temp_budget_increase",
            type="bad_request_error",
        )


def check_dollars(name: str, dollars: float | None) -> None:
    """Raises `InvalidRequest` for an amount that is negative, not finite or beyond counting."""
    if dollars is None:
        return
    if not math.isfinite(dollars) or dollars < 0:
        raise InvalidRequest(
            f"{name} must be a non-negative finite number. Received: {dollars}", type="bad_request_error"
        )
    if dollars > _MAX_DOLLARS:
        raise InvalidRequest(f"{name} must be at most {_MAX_DOLLARS}. Received: {dollars}", type="bad_request_error")


def fill_defaults(changes: Mapping[str, Any], policy: KeyPolicy) -> dict[str, Any]:
    """The request with the operator's defaults, then ceilings, where it leaves a field empty."""
    filled = dict(changes)
    for source in (policy.defaults, policy.ceilings):
        filled.update({name: value for name, value in source.items() if _is_empty(filled.get(name))})
    return filled


def check_ceilings(changes: Mapping[str, Any], policy: KeyPolicy, *, now: float) -> dict[str, Any]:
    """The changes, with a cleared field at its ceiling. Raises `InvalidRequest` for one above."""
    held = dict(changes)
    for name, ceiling in policy.ceilings.items():
        if name not in held:
            continue
        if held[name] is None:
            held[name] = ceiling
        if _size(name, held[name], now) > _size(name, ceiling, now):
            raise InvalidRequest(
                f"{name} is over max limit set in config - user_value={held[name]}; max_value={ceiling}",
                param=name,
                type="bad_request_error",
            )
    return held


def _size(name: str, value: Any, now: float) -> float:
    read = _DURATIONS.get(name)
    if read is None:
        return float(value)
    if value == "-1":
        return math.inf
    _check_duration(name, value, read, now)
    return read(value, now)


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {})


def _check_count(name: str, count: int | None, *, field: str | None = None) -> None:
    if count is not None and not 0 <= count <= _MAX_COUNT:
        raise InvalidRequest(
            f"{name} must be a non-negative 64-bit integer. Received: {count}",
            param=field or name,
            type="bad_request_error",
        )


def _check_duration(name: str, text: str, read: Callable[[str, float], float], now: float) -> None:
    try:
        read(text, now)
    except ValueError as error:
        raise InvalidRequest(str(error), param=name, type="bad_request_error") from None


def _window_length(duration: str, now: float) -> float:
    start, end = window(duration, now)
    return end - start


def _lifetime(duration: str, now: float) -> float:
    return expires_at(duration, now) - now


_DURATIONS: Mapping[str, Callable[[str, float], float]] = {
    "duration": _lifetime,
    "budget_duration": _window_length,
    "rotation_interval": _lifetime,
    "grace_period": _lifetime,
}
"""How long each is, in seconds."""


def _expiry(duration: str | None, now: float) -> datetime | None:
    if duration is None or duration == "-1":
        return None
    return datetime.fromtimestamp(expires_at(duration, now), UTC)


def _merge_metadata(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """New `metadata` replaces the caller's own entries; reserved ones stay until their field is changed."""
    own = dict(stored)
    if "metadata" in changes:
        own = {**_pick(stored, RESERVED_METADATA), **(changes["metadata"] or {})}
    fields = _pick(changes, RESERVED_METADATA)
    if isinstance(fields.get("temp_budget_expiry"), datetime):
        fields["temp_budget_expiry"] = fields["temp_budget_expiry"].isoformat()
    return _without_null({**own, **fields}, names=fields)


def _pick(values: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def _without_null(values: Mapping[str, Any], *, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Without the entries that are null; with `names`, only those among them."""
    return {
        name: value for name, value in values.items() if value is not None or (names is not None and name not in names)
    }
