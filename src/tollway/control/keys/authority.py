"""What a caller is to a key, and what that lets them do to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.keys.fields import RESERVED_METADATA
from tollway.control.kit.context import Context
from tollway.core.errors import Forbidden, InvalidRequest
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.principal import Role
from tollway.db.teams import teams
from tollway.db.users import users
from tollway.stores.sql.virtual_key import VirtualKey

_PLAIN = frozenset({Role.INTERNAL_USER, Role.TEAM})
"""Capacities of those who hold a key rather than manage it."""
_LOOK_ONLY = frozenset({Role.PROXY_ADMIN_VIEWER, Role.INTERNAL_USER_VIEWER})
_CEILINGS = ("rpm_limit", "tpm_limit", "parallel_limit", "max_budget_nanos")


class Authority:
    """The caller's rights over keys, in one transaction."""

    def __init__(self, context: Context, connection: AsyncConnection) -> None:
        self._context = context
        self._actor = context.actor
        self._connection = connection

    async def may_see(self, key: VirtualKey) -> bool:
        """Whether the key is the caller's to look at: it is theirs, their team's, or theirs to manage."""
        actor = self._actor
        if actor.key_hash == key.key_hash or (key.team_id is not None and key.team_id in actor.teams):
            return True
        organization_id = key.organization_id or await self._organization_of(key.team_id)
        own = actor.capacity_over(user_id=key.user_id, team_id=key.team_id, organization_id=organization_id)
        return own is not None

    async def over(self, key: VirtualKey, route: str) -> Role:
        """In which capacity the caller may use `route` on the key. Raises `Forbidden`.

        Plain members of a team need the route among the team's `member_permissions`, for keys of their own too.
        """
        actor = self._actor
        organization_id = key.organization_id or await self._organization_of(key.team_id)
        capacity = actor.capacity_over(user_id=key.user_id, team_id=key.team_id, organization_id=organization_id)
        if key.team_id is not None and capacity in (None, *_PLAIN):
            return self._as_member(key.team_id, route)
        if capacity is None or capacity in _LOOK_ONLY:
            raise Forbidden(f"You are not allowed to change this key. Your role={actor.role}")
        return capacity

    async def over_new(self, key: VirtualKey, route: str) -> Role:
        """The same for a key that is about to be made."""
        actor = self._actor
        if not actor.is_admin and key.user_id is None and key.team_id is None:
            raise Forbidden(
                "A key that belongs to nobody can only be made by a proxy admin. Give a team_id, or call with a key "
                "that belongs to a user.",
                param="user_id",
            )
        if not actor.is_admin:
            await self._check_belonging(key)
        return await self.over(key, route)

    def check_fields(self, capacity: Role, changes: Mapping[str, Any]) -> None:
        """Raises `Forbidden` for a field the capacity may not set, also where it hides inside `metadata`."""
        self._context.check_fields(capacity, changes)
        hidden = RESERVED_METADATA.intersection(changes.get("metadata") or ())
        self._context.check_fields(capacity, dict.fromkeys(sorted(hidden)))

    async def check_budget(self, capacity: Role, changes: Mapping[str, Any]) -> None:
        """Raises `InvalidRequest` where a caller gives a key more budget than they have themselves."""
        wanted = changes.get("max_budget")
        if capacity not in _PLAIN or wanted is None:
            return
        own = self._actor.principal.own
        limits = [await self._budget_of_user(self._actor.user_id), own.budget_nanos if own else None]
        for limit in limits:
            if limit is not None and nanos_from_dollars(wanted) > limit:
                raise InvalidRequest(
                    f"max_budget must not be above your own budget of {dollars_from_nanos(limit)}. Received: {wanted}",
                    param="max_budget",
                    type="bad_request_error",
                )

    def check_models(self, capacity: Role, models: list[str]) -> None:
        """Raises `Forbidden` for models that the calling key may not use itself.

        What its user and team may use is asked at each call of the new key anyway.
        """
        own = [grant for grant in self._actor.principal.grants if grant.kind == "key"]
        for grant in own if capacity in _PLAIN else ():
            beyond = set(models).difference(grant.models)
            if not models or beyond:
                what = f"{min(beyond)!r} is not" if beyond else "an empty list allows all, which is not"
                raise Forbidden(
                    f"models must be among those of the key you call with: {what}. "
                    f"Yours: {', '.join(sorted(grant.models))}.",
                    param="models",
                )

    def check_loosening(self, capacity: Role, before: VirtualKey, after: VirtualKey) -> None:
        """Raises `Forbidden` where a key's holder loosens what somebody else has set for it."""
        if capacity not in _PLAIN or before.created_by == self._actor.user_id:
            return
        loosened = next(_loosened(before, after), None)
        if loosened is not None:
            raise Forbidden(
                f"'{loosened}' of this key was set by somebody else, and only they or an admin can loosen it.",
                param=loosened,
            )

    def _as_member(self, team_id: str, route: str) -> Role:
        actor = self._actor
        permissions = actor.member_permissions.get(team_id)
        if permissions is None or actor.role in _LOOK_ONLY:
            raise Forbidden(f"You are not allowed to manage keys of team {team_id}. Your role={actor.role}")
        if route not in permissions:
            raise Forbidden(
                f"Team member does not have permissions for endpoint: {route}. You only have access to the following "
                f"endpoints: {', '.join(sorted(permissions)) or 'none'} for team {team_id}. A team admin can change "
                "this with POST /team/permissions_update.",
                type="team_member_permission_error",
            )
        return actor.role

    async def _check_belonging(self, key: VirtualKey) -> None:
        """Raises unless the key is the caller's own, or of a team that exists, or of an organization they manage."""
        actor, organizations = self._actor, self._actor.organizations
        is_managed = key.team_id is not None or key.organization_id in actor.administered_organizations
        if key.user_id != actor.user_id and not is_managed:
            raise Forbidden(
                f"You can make and keep keys for yourself only. Your user_id={actor.user_id}", param="user_id"
            )
        if key.team_id is not None:
            query = select(teams.c.organization_id).where(teams.c.team_id == key.team_id)
            row = (await self._connection.execute(query)).first()
            if row is None:
                raise InvalidRequest(
                    f"Team not found, passed team_id={key.team_id[:100]}. GET /team/list shows the teams there are.",
                    param="team_id",
                    type="bad_request_error",
                )
            organizations |= {row[0]}
        if key.organization_id is not None and key.organization_id not in organizations:
            raise Forbidden(f"You do not belong to organization {key.organization_id[:100]}.", param="organization_id")

    async def _organization_of(self, team_id: str | None) -> str | None:
        if team_id is None or not self._actor.administered_organizations:
            return None
        query = select(teams.c.organization_id).where(teams.c.team_id == team_id)
        organization_id: str | None = (await self._connection.execute(query)).scalar()
        return organization_id

    async def _budget_of_user(self, user_id: str | None) -> int | None:
        query = select(users.c.max_budget_nanos).where(users.c.user_id == user_id)
        nanos: int | None = (await self._connection.execute(query)).scalar()
        return nanos


_WIRE_NAMES = {
    "rpm_limit": "rpm_limit",
    "tpm_limit": "tpm_limit",
    "parallel_limit": "max_parallel_requests",
    "max_budget_nanos": "max_budget",
}


_DOCUMENTED = (
    *("model_rpm_limit", "model_tpm_limit", "tags", "enforced_params"),
    *("max_iterations", "max_repeated_calls", "max_budget_per_session"),
)
"""What is kept in `metadata`: whether a change of it loosens anything is not looked at more closely."""


def _loosened(before: VirtualKey, after: VirtualKey) -> Iterator[str]:
    """Fields, under their names on the wire, in which `after` allows more than `before`."""
    for column in _CEILINGS:
        old, new = getattr(before, column), getattr(after, column)
        if old is not None and (new is None or new > old):
            yield _WIRE_NAMES[column]
    if before.max_budget_nanos is not None and before.budget_duration != after.budget_duration:
        yield "budget_duration"
    if before.models and (not after.models or set(after.models) - set(before.models)):
        yield "models"
    if before.expires_at is not None and (after.expires_at is None or after.expires_at > before.expires_at):
        yield "duration"
    if before.is_blocked and not after.is_blocked:
        yield "blocked"
    if before.allowed_routes != after.allowed_routes:
        yield "key_type"
    for name in _DOCUMENTED:
        if name in before.metadata and before.metadata[name] != after.metadata.get(name):
            yield name
    for name in ("model_max_budget", "budget_limits"):
        if name in before.options and before.options[name] != after.options.get(name):
            yield name
