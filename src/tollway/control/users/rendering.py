"""From a stored user to the wire's fields. Passwords and their hashes are no part of what comes in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.limits import render_limits
from tollway.control.kit.spending import resets_at
from tollway.control.users.schemas import UserCreated, UserDetails, UserListed, UserProfile, UserRow
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.rows import OrganizationMember, User


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A user with what is known about them from elsewhere."""

    user: User
    spent_nanos: int = 0
    """In the current budget window."""
    teams: Sequence[str] = ()
    organizations: Sequence[OrganizationMember] = ()


def render_created(seen: Seen, key: Mapping[str, Any]) -> UserCreated:
    """The answer to making a user; `key`: that of making their key."""
    user = _common(seen, resets=None)
    own = {name: user[name] for name in UserCreated.model_fields if name in user}
    # The key comes without its hash and its maker here (contract).
    hidden = {"token": None, "token_id": None, "created_by": None, "updated_by": None}
    return UserCreated(**{**key, **hidden, **own, "teams": list(seen.teams) or None})


def render_row(context: Context, seen: Seen) -> UserRow:
    """`data` of `/user/update`."""
    return UserRow(**_row(context, seen))


def render_details(context: Context, seen: Seen) -> UserDetails:
    """`user_info` of `/user/info`."""
    memberships = [
        {
            "user_id": one.user_id,
            "organization_id": one.organization_id,
            "user_role": one.role,
            "budget_id": one.budget_id,
            "created_at": one.created_at,
            "updated_at": one.updated_at,
        }
        for one in seen.organizations
    ]
    return UserDetails(**_row(context, seen), organization_memberships=memberships)


def render_profile(context: Context, seen: Seen) -> UserProfile:
    """`/v2/user/info`."""
    row = _row(context, seen)
    return UserProfile(**{name: row[name] for name in UserProfile.model_fields if name in row})


def render_listed(context: Context, seen: Seen, *, key_count: int) -> UserListed:
    """An entry of `/user/list`."""
    return UserListed(**_row(context, seen), key_count=key_count)


def _row(context: Context, seen: Seen) -> dict[str, Any]:
    return _common(seen, resets=resets_at(context.services, seen.user.budget_duration))


def _common(seen: Seen, *, resets: Any) -> dict[str, Any]:
    user = seen.user
    limits = render_limits(user)
    limits.pop("soft_budget")  # a user's row does not show it (contract)
    return {
        "user_id": user.user_id,
        "user_alias": user.user_alias,
        "user_email": user.user_email,
        "user_role": user.user_role,
        "sso_user_id": user.sso_user_id,
        "teams": list(seen.teams),
        "models": user.models,
        "spend": dollars_from_nanos(seen.spent_nanos),
        **limits,
        "budget_reset_at": resets,
        "metadata": user.metadata,
        "allowed_cache_controls": user.options.get("allowed_cache_controls", []),
        "policies": user.options.get("policies", []),
        "model_max_budget": user.options.get("model_max_budget", {}),
        "object_permission": user.options.get("object_permission"),
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
