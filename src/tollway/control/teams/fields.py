"""From the wire's fields to a stored team: which field lives where, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.control.kit.documents import merge_metadata, merge_options, merge_patch, pick
from tollway.control.kit.limits import DURATIONS, check_count, check_dollars, check_duration, check_limits, limit_values
from tollway.core.errors import InvalidRequest
from tollway.core.wishes import read_router_settings
from tollway.stores.sql.rows import Team

COLUMNS = {
    "team_alias": "team_alias",
    "organization_id": "organization_id",
    "models": "models",
    "model_aliases": "model_aliases",
    "blocked": "is_blocked",
    "team_member_permissions": "member_permissions",
}
"""Fields with a column of their own, as they are."""

_EMPTY = {"models": [], "model_aliases": {}, "blocked": False, "team_member_permissions": []}
"""What null means where a column cannot be."""

RESERVED_METADATA = frozenset(
    {
        *("tags", "guardrails", "policies", "prompts", "disable_global_guardrails", "secret_manager_settings"),
        *("model_rpm_limit", "model_tpm_limit", "rpm_limit_type", "tpm_limit_type", "team_member_key_duration"),
        *("allowed_passthrough_routes", "denied_passthrough_routes", "allowed_vector_store_indexes"),
        *("enforced_file_expires_after", "enforced_batch_output_expires_after"),
        *("max_iterations", "max_repeated_calls", "max_budget_per_session"),
    }
)
"""Fields that the contract keeps inside `metadata`."""

OPTIONS = frozenset(
    {
        *("budget_limits", "model_max_budget", "tpd_limit", "router_settings", "object_permission"),
        "default_team_member_models",
    }
)
"""Fields that are kept and shown, and that no query asks for."""

MEMBER_DEFAULTS = {
    "team_member_budget": "max_budget",
    "team_member_budget_duration": "budget_duration",
    "team_member_rpm_limit": "rpm_limit",
    "team_member_tpm_limit": "tpm_limit",
}
"""Fields of the budget that members have who were given none of their own, and their names in it."""

MEMBER_BUDGET_ID = "team_member_budget_id"
"""Where `metadata` shows that budget. Not stored there."""

MEMBER_PERMISSIONS = (
    *("/key/generate", "/key/update", "/key/delete", "/key/info", "/key/health", "/key/list", "/key/aliases"),
    *("/key/regenerate", "/key/{key_id}/regenerate", "/key/service-account/generate", "/key/block", "/key/unblock"),
    *("/key/bulk_update", "/team/key/bulk_update", "/key/{key_id}/reset_spend", "/key/access_group_assignment"),
    *("/team/daily/activity", "/team/daily/activity/aggregated", "/spend/logs", "/spend/logs/v2"),
    "/auto_router/manage",
)
"""What plain members of a team can be permitted."""

_MEMBER_DURATIONS = {"team_member_budget_duration": "budget_duration", "team_member_key_duration": "duration"}

_DOCUMENTS = frozenset(
    {
        *("metadata", "model_aliases", "model_rpm_limit", "model_tpm_limit", "model_max_budget"),
        *("router_settings", "object_permission", "secret_manager_settings"),
    }
)


def amend(team: Team, changes: Mapping[str, Any], *, now: float) -> Team:
    """The team with these fields changed; null clears one. Raises `InvalidRequest`."""
    check_limits(changes, now=now)
    read_router_settings(changes.get("router_settings"))
    _check_members(changes, now)
    check_permissions(changes.get("team_member_permissions") or ())
    values = {
        column: _EMPTY.get(name) if changes[name] is None else changes[name]
        for name, column in COLUMNS.items()
        if name in changes
    }
    values |= limit_values(changes)
    values["metadata"] = merge_metadata(team.metadata, _without_shown(changes), RESERVED_METADATA)
    values["options"] = merge_options(team.options, changes, OPTIONS)
    changed = msgspec.structs.replace(team, **values)
    _check_soft_budget(changed)
    return changed


def check_permissions(permissions: Any) -> None:
    """Raises `InvalidRequest` for something that members cannot be permitted."""
    unknown = [one for one in permissions if one not in MEMBER_PERMISSIONS]
    if unknown:
        raise InvalidRequest(
            f"Unknown permission {unknown[0][:100]!r}. Use some of: {', '.join(MEMBER_PERMISSIONS)}.",
            param="team_member_permissions",
            type="bad_request_error",
        )


def fill_defaults(changes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the operator's defaults where it leaves a field empty."""
    empty = [name for name in defaults if changes.get(name) in (None, [], {})]
    filled = {name: list(defaults[name]) if isinstance(defaults[name], tuple) else defaults[name] for name in empty}
    return {**changes, **filled}


def member_defaults(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those among the fields sent that belong to the budget of members, under their names there."""
    return {inside: changes[name] for name, inside in MEMBER_DEFAULTS.items() if name in changes}


def apply_patch(team: Team, patch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a merge patch with whole values: documents become what they are after it."""
    return {
        name: merge_patch(_document(team, name), value) if name in _DOCUMENTS and value is not None else value
        for name, value in patch.items()
    }


def set_by(team: Team, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Every field that these changes set: an entry of `metadata` with a field's name, if it is new, sets that field."""
    own = changes.get("metadata") or {}
    hidden = sorted(name for name in RESERVED_METADATA & own.keys() if own[name] != team.metadata.get(name))
    return {**changes, **pick(own, hidden)}


def _document(team: Team, name: str) -> Any:
    if name == "metadata":
        return {key: value for key, value in team.metadata.items() if key not in RESERVED_METADATA}
    if name in COLUMNS:
        return getattr(team, COLUMNS[name])
    return (team.metadata if name in RESERVED_METADATA else team.options).get(name)


def _without_shown(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    # Clients send back what they were shown.
    own = changes.get("metadata") or {}
    if MEMBER_BUDGET_ID not in own:
        return changes
    return {**changes, "metadata": {name: value for name, value in own.items() if name != MEMBER_BUDGET_ID}}


def _check_soft_budget(team: Team) -> None:
    soft, hard = team.soft_budget_nanos, team.max_budget_nanos
    if soft is not None and hard is not None and soft >= hard:
        raise InvalidRequest(
            "soft_budget must be below max_budget: it is told of before the hard limit refuses.",
            param="soft_budget",
            type="bad_request_error",
        )


def _check_members(changes: Mapping[str, Any], now: float) -> None:
    check_dollars("team_member_budget", changes.get("team_member_budget"))
    for name in ("team_member_rpm_limit", "team_member_tpm_limit"):
        check_count(name, changes.get(name))
    for name, kind in _MEMBER_DURATIONS.items():
        if changes.get(name) is not None:
            check_duration(name, changes[name], DURATIONS[kind], now)
