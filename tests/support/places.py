"""Teams and organizations that people belong to, written straight into their tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.management import Management

from tollway.control.kit.rows import Rows
from tollway.db.engine import reading, writing
from tollway.db.organizations import organization_members, organizations
from tollway.db.teams import team_members, teams
from tollway.stores.sql.rows import Organization, OrganizationMember, Team, TeamMember

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def make_team(management: Management, team_id: str, **fields: Any) -> None:
    """A team."""
    async with writing(management.services.engine) as connection:
        await Rows(connection, teams, Team).insert(Team(team_id=team_id, created_at=_NOW, updated_at=_NOW, **fields))


async def make_organization(management: Management, organization_id: str) -> None:
    """An organization."""
    row = Organization(organization_id=organization_id, created_at=_NOW, updated_at=_NOW)
    async with writing(management.services.engine) as connection:
        await Rows(connection, organizations, Organization).insert(row)


async def join_team(management: Management, team_id: str, user_id: str, *, role: str = "user") -> None:
    """Membership in a team."""
    row = TeamMember(team_id=team_id, user_id=user_id, role=role, created_at=_NOW)
    async with writing(management.services.engine) as connection:
        await Rows(connection, team_members, TeamMember).insert(row)


async def join_organization(
    management: Management, organization_id: str, user_id: str, *, role: str = "internal_user"
) -> None:
    """Membership in an organization."""
    row = OrganizationMember(
        organization_id=organization_id, user_id=user_id, role=role, created_at=_NOW, updated_at=_NOW
    )
    async with writing(management.services.engine) as connection:
        await Rows(connection, organization_members, OrganizationMember).insert(row)


async def team_memberships(management: Management) -> list[TeamMember]:
    """Everybody in every team."""
    async with reading(management.services.engine) as connection:
        return await Rows(connection, team_members, TeamMember).all()


async def organization_memberships(management: Management) -> list[OrganizationMember]:
    """Everybody in every organization."""
    async with reading(management.services.engine) as connection:
        return await Rows(connection, organization_members, OrganizationMember).all()


async def make_org_admin(management: Management, organization_id: str, user_id: str) -> str:
    """Somebody who administers an organization; their key."""
    await make_organization(management, organization_id)
    made = await management.new_user(user_id=user_id)
    await join_organization(management, organization_id, user_id, role="org_admin")
    key: str = made["key"]
    return key
