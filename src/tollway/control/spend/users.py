"""`GET /spend/users`: users with what they have spent in their current budget window."""

from __future__ import annotations

from typing import Any

from tollway.control.kit.context import Context
from tollway.control.kit.limits import render_limits
from tollway.control.kit.spending import resets_at, spent_nanos
from tollway.control.spend.repository import SpendRepository
from tollway.core.errors import Forbidden
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.principals import user_scope
from tollway.stores.sql.rows import User

_MAX_USERS = 10_000


async def list_users(context: Context, *, user_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Users as the wire has them, the dearest first. Raises `Forbidden` for somebody else's row."""
    repository = SpendRepository(context.services.engine)
    if not context.actor.sees_everything:
        if user_id not in (None, context.actor.user_id):
            raise Forbidden(f"You are not allowed to see the spend of another user. Your role={context.actor.role}")
        user_id = context.actor.user_id or ""
    if user_id is not None:
        found = list((await repository.users_by_id([user_id])).values())
    else:
        found = await repository.list_users(limit=_MAX_USERS)
    spent = await spent_nanos(context.services, [user_scope(user) for user in found])
    dearest = sorted(zip(found, spent, strict=True), key=lambda pair: (-pair[1], pair[0].user_id))[:limit]
    teams = await repository.teams_of_users(user.user_id for user, _ in dearest)
    return [_render(context, user, nanos, teams.get(user.user_id, [])) for user, nanos in dearest]


def _render(context: Context, user: User, nanos: int, teams: list[str]) -> dict[str, Any]:
    limits = render_limits(user)
    return {
        "user_id": user.user_id,
        "user_alias": user.user_alias,
        "user_email": user.user_email,
        "user_role": user.user_role,
        "sso_user_id": user.sso_user_id,
        "teams": teams,
        "team_id": None,
        "organization_id": None,
        "key_aliases": [],
        "spend": dollars_from_nanos(nanos),
        **{name: value for name, value in limits.items() if name != "soft_budget"},
        "budget_reset_at": resets_at(context.services, user.budget_duration),
        "models": user.models,
        "metadata": user.metadata,
        "model_max_budget": user.options.get("model_max_budget", {}),
        "model_spend": {},
        "allowed_cache_controls": user.options.get("allowed_cache_controls", []),
        "object_permission_id": user.options.get("object_permission_id"),
        "policies": user.options.get("policies", []),
        "password_reset_required": None,
        "last_breach_check_at": None,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
