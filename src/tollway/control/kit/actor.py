"""Who calls the management plane, and what is theirs to manage."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.core.errors import Forbidden
from tollway.core.principal import Principal, Role
from tollway.db.engine import reading
from tollway.db.organizations import organization_members
from tollway.db.teams import team_members, teams


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A caller with everything that decides what they may see and change."""

    principal: Principal
    administered_teams: frozenset[str] = frozenset()
    """Teams in which the caller is an admin."""
    member_permissions: Mapping[str, frozenset[str]] = {}
    """Teams in which the caller is a plain member, with the key routes that members of each may use.

    A team's own key counts as one.
    """
    administered_organizations: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    """Every organization the caller belongs to."""

    @property
    def role(self) -> Role:
        """The caller's own role, whatever else they are to single teams and organizations."""
        return self.principal.role

    @property
    def user_id(self) -> str | None:
        """The caller's user."""
        return self.principal.user_id

    @property
    def key_hash(self) -> str:
        """The key they call with."""
        return self.principal.key_hash

    @property
    def name(self) -> str:
        """How records of changes call them."""
        return self.user_id or self.key_hash

    @property
    def is_admin(self) -> bool:
        """Whether everything is theirs to change."""
        return self.role is Role.PROXY_ADMIN

    @property
    def sees_everything(self) -> bool:
        """Whether everything is theirs to see."""
        return self.role in (Role.PROXY_ADMIN, Role.PROXY_ADMIN_VIEWER)

    @property
    def teams(self) -> frozenset[str]:
        """Every team the caller belongs to, the key's own included."""
        own = {self.principal.team_id} if self.principal.team_id else set()
        return self.administered_teams | self.member_permissions.keys() | own

    @property
    def roles(self) -> frozenset[Role]:
        """Every role the caller has somewhere: what a route asks before it looks at the object."""
        held = {self.role}
        if self.administered_teams:
            held.add(Role.TEAM_ADMIN)
        if self.administered_organizations:
            held.add(Role.ORG_ADMIN)
        return frozenset(held)

    def capacity_over(
        self, *, user_id: str | None = None, team_id: str | None = None, organization_id: str | None = None
    ) -> Role | None:
        """The highest role the caller has over something of this user, team and organization; None: it is not theirs.

        An owner's capacity is their own role, so a viewer stays one.
        """
        if self.sees_everything:
            return self.role
        if organization_id is not None and organization_id in self.administered_organizations:
            return Role.ORG_ADMIN
        if team_id is not None and team_id in self.administered_teams:
            return Role.TEAM_ADMIN
        if user_id is not None and user_id == self.user_id:
            return self.role
        return None

    def require_over(
        self,
        what: str,
        *,
        user_id: str | None = None,
        team_id: str | None = None,
        organization_id: str | None = None,
    ) -> Role:
        """The same, for changing it. Raises `Forbidden` if it is not the caller's to change. `what` is for the text."""
        capacity = self.capacity_over(user_id=user_id, team_id=team_id, organization_id=organization_id)
        if capacity is None or capacity in _LOOK_ONLY:
            raise Forbidden(f"You are not allowed to change {what}. Your role={self.role}")
        return capacity


_LOOK_ONLY = frozenset({Role.PROXY_ADMIN_VIEWER, Role.INTERNAL_USER_VIEWER})


async def load_actor(engine: AsyncEngine, principal: Principal) -> Actor:
    """Looks up what is the caller's. Raises `StoreUnavailable`."""
    if principal.is_admin:
        return Actor(principal=principal)
    if principal.user_id is None:
        return Actor(principal=principal, member_permissions=await _permissions_of_team(engine, principal.team_id))
    in_teams = (
        select(team_members.c.team_id, team_members.c.role, teams.c.member_permissions)
        .join(teams, teams.c.team_id == team_members.c.team_id)
        .where(team_members.c.user_id == principal.user_id)
    )
    in_organizations = select(organization_members.c.organization_id, organization_members.c.role).where(
        organization_members.c.user_id == principal.user_id
    )
    async with reading(engine) as connection:
        memberships = (await connection.execute(in_teams)).all()
        belongings = (await connection.execute(in_organizations)).all()
    return Actor(
        principal=principal,
        administered_teams=frozenset(team_id for team_id, role, _ in memberships if role == "admin"),
        member_permissions={
            team_id: frozenset(permissions) for team_id, role, permissions in memberships if role != "admin"
        },
        administered_organizations=frozenset(one for one, role in belongings if role == Role.ORG_ADMIN),
        organizations=frozenset(one for one, _ in belongings),
    )


async def _permissions_of_team(engine: AsyncEngine, team_id: str | None) -> dict[str, frozenset[str]]:
    if team_id is None:
        return {}
    query = select(teams.c.member_permissions).where(teams.c.team_id == team_id)
    async with reading(engine) as connection:
        row = (await connection.execute(query)).first()
    return {team_id: frozenset(row[0])} if row else {}
