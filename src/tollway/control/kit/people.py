"""Users as several resources need them: found by id or address, and whose they are to manage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Column, ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.actor import Actor
from tollway.control.kit.rows import Rows
from tollway.core.errors import Forbidden, NotFound
from tollway.core.principal import Role
from tollway.db.organizations import organization_members
from tollway.db.teams import team_members
from tollway.db.users import users
from tollway.stores.sql.rows import User

ADMIN_ROLES = frozenset({Role.PROXY_ADMIN, Role.PROXY_ADMIN_VIEWER})
"""Roles that reach beyond any organization: given and managed by proxy admins alone."""


def email_key(email: str | None) -> str | None:
    """What two spellings of one address have in common."""
    return email.strip().lower() if email else None


class UserRows(Rows[User]):
    """The table `users`, and what its rows belong to."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, users, User)

    async def by_email(self, email: str) -> User | None:
        """The user with this address, however it is spelled."""
        return await self.first(users.c.email_key == email_key(email))

    async def named(self, user_id: str) -> User:
        """The user with this id. Raises `NotFound`."""
        user = await self.find(user_id)
        if user is None:
            raise unknown_user(user_id)
        return user

    async def teams_of(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        """The teams of each of these users, by user."""
        return await self._belongings(user_ids, team_members, team_members.c.team_id)

    async def organizations_of(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        """The organizations of each of these users, by user."""
        return await self._belongings(user_ids, organization_members, organization_members.c.organization_id)

    async def capacity_over(self, actor: Actor, user: User) -> Role | None:
        """What the caller is to this user; None: nothing. An organization's admin is something to those users whose
        organizations are all theirs to administer, and who have no role beyond them.
        """
        if not actor.sees_everything and user.user_id != actor.user_id and actor.administered_organizations:
            organizations = (await self.organizations_of([user.user_id]))[user.user_id]
            is_theirs = organizations and actor.administered_organizations.issuperset(organizations)
            return Role.ORG_ADMIN if is_theirs and user.role not in ADMIN_ROLES else None
        return actor.capacity_over(user_id=user.user_id)

    async def require_over(self, actor: Actor, user: User) -> Role:
        """The same, for changing them. Raises `Forbidden`."""
        if await self.capacity_over(actor, user) is Role.ORG_ADMIN:
            return Role.ORG_ADMIN
        return actor.require_over("this user", user_id=user.user_id)

    async def _belongings(
        self, user_ids: Collection[str], table: Table, column: Column[str]
    ) -> defaultdict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        is_asked: ColumnElement[bool] = table.c.user_id.in_(user_ids)
        rows = await self.connection.execute(select(table.c.user_id, column).where(is_asked).order_by(column))
        for user_id, belonging in rows:
            found[user_id].append(belonging)
        return found


def unknown_user(user_id: str) -> NotFound:
    """The refusal of an id that nobody has."""
    return NotFound(f"User {user_id[:100]} not found", type="not_found_error")


def check_role(actor: Actor, role: str | None) -> None:
    """Raises `Forbidden` if the caller may not give this role."""
    if role in ADMIN_ROLES and not actor.is_admin:
        raise Forbidden(
            f"Only a proxy_admin can make somebody {role}. Your role={actor.role}. "
            "Use internal_user or internal_user_viewer.",
            param="user_role",
        )
