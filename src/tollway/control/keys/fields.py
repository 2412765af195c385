"""From the wire's fields to a stored key: which field lives where, what is allowed in it, what fills it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tollway.control.kit.documents import merge_metadata, merge_options
from tollway.control.kit.limits import DURATIONS, check_duration, check_limits, limit_values
from tollway.control.services import KeyPolicy
from tollway.core.errors import InvalidRequest
from tollway.core.windows import expires_at
from tollway.core.wishes import read_router_settings
from tollway.stores.sql.virtual_key import VirtualKey

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
    "key_type": "key_type",
    "auto_rotate": "auto_rotate",
    "rotation_interval": "rotation_interval",
}
"""Fields with a column of their own, as they are."""

RESERVED_METADATA = frozenset(
    {
        *("tags", "guardrails", "policies", "prompts", "enforced_params", "disable_global_guardrails"),
        *("model_rpm_limit", "model_tpm_limit", "rpm_limit_type", "tpm_limit_type", "mcp_rpm_limit", "tag_rpm_limit"),
        *("allowed_passthrough_routes", "denied_passthrough_routes", "allowed_vector_store_indexes"),
        *("default_estimated_output_tokens", "default_estimated_output_tokens_per_model"),
        *("throttle_on_budget_exceeded", "enable_prompt_caching", "end_user_budget_id"),
        *("temp_budget_increase", "temp_budget_expiry"),
        *("max_iterations", "max_repeated_calls", "max_budget_per_session"),
    }
)
"""Fields that the contract keeps inside `metadata`."""

OPTIONS = frozenset(
    {
        *("config", "model_max_budget", "budget_fallbacks", "budget_limits", "tpd_limit", "router_settings"),
        *("allowed_cache_controls", "object_permission"),
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
        "access_group_ids",  # in the table of their members
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
    values |= limit_values(changes)
    if "duration" in changes:
        values["expires_at"] = _expiry(changes["duration"], now)
    values["metadata"] = merge_metadata(key.metadata, changes, RESERVED_METADATA)
    values["options"] = merge_options(key.options, changes, OPTIONS)
    return msgspec.structs.replace(key, **values)


def check_fields(changes: Mapping[str, Any], *, now: float) -> None:
    """Raises `InvalidRequest` naming the first field whose value cannot be."""
    check_limits(changes, now=now)
    read_router_settings(changes.get("router_settings"))
    if changes.get("auto_rotate") and not changes.get("rotation_interval"):
        raise InvalidRequest(
            "auto_rotate needs a rotation_interval, like '30d'.", param="rotation_interval", type="bad_request_error"
        )


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
    read = DURATIONS.get(name)
    if read is None:
        return float(value)
    if value == "-1":
        return math.inf
    check_duration(name, value, read, now)
    return read(value, now)


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {})


def _expiry(duration: str | None, now: float) -> datetime | None:
    if duration is None or duration == "-1":
        return None
    return datetime.fromtimestamp(expires_at(duration, now), UTC)
