"""From the wire's fields to a stored user: which field lives where, what fills it, which of them are the key's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from tollway.control.kit.documents import merge_metadata, merge_options, pick
from tollway.control.kit.limits import check_limits, limit_values
from tollway.control.kit.people import ADMIN_ROLES, email_key
from tollway.core.principal import Role
from tollway.stores.sql.rows import User

RESERVED_METADATA = frozenset({"model_rpm_limit", "model_tpm_limit", "guardrails", "prompts"})
"""Fields that are kept inside `metadata`."""

OPTIONS = frozenset({"model_max_budget", "allowed_cache_controls", "object_permission", "policies"})
"""Fields that no query asks for."""

KEY_FIELDS = frozenset(
    {
        *("key_alias", "duration", "aliases", "config", "permissions", "blocked", "allowed_cache_controls"),
        *("guardrails", "policies", "prompts", "object_permission"),
    }
)
"""Fields of `/user/new` that the key made along with the user gets. Models and limits are the user's own: they hold for
every personal key, and change for all of them at once.
"""

ELSEWHERE = frozenset(
    {"user_id", "teams", "organizations", "spend", "password", "auto_create_key", "send_invite_email"}
)
"""Fields that name the user, are rows of their own, or acts."""

_COLUMNS = ("user_alias", "user_email", "user_role", "sso_user_id", "models")
_EMPTY: Mapping[str, Any] = {"models": [], "user_role": Role.INTERNAL_USER.value}
"""What null means where it is not "none"."""


def new_user(user_id: str, changes: Mapping[str, Any], *, now: datetime, by: str) -> User:
    """A user with these fields. Raises `InvalidRequest`."""
    blank = User(user_id=user_id, user_role=_EMPTY["user_role"], created_at=now, created_by=by, updated_at=now)
    return amend(blank, changes, now=now, by=by)


def amend(user: User, changes: Mapping[str, Any], *, now: datetime, by: str) -> User:
    """The user with these fields changed; null clears one. Raises `InvalidRequest`."""
    check_limits(changes, now=now.timestamp())
    values: dict[str, Any] = {
        name: _EMPTY.get(name) if changes[name] is None else changes[name] for name in _COLUMNS if name in changes
    }
    if "user_email" in changes:
        values["email_key"] = email_key(changes["user_email"])
    return msgspec.structs.replace(
        user,
        **values,
        **limit_values(changes),
        metadata=merge_metadata(user.metadata, changes, RESERVED_METADATA),
        options=merge_options(user.options, changes, OPTIONS),
        updated_at=now,
        updated_by=by,
    )


def fill_defaults(changes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the operator's defaults where it leaves a field empty; administrators get only their role."""
    role = changes.get("user_role") or defaults.get("user_role")
    if role in ADMIN_ROLES:
        return {**changes, "user_role": role}
    return {**changes, **{name: value for name, value in defaults.items() if changes.get(name) in (None, [], {})}}


def key_fields(user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the key of a new user is made with."""
    return {**pick(changes, KEY_FIELDS), "user_id": user.user_id}
