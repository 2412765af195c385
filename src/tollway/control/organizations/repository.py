"""Every query of `/organization/*`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.budgets import BudgetRows
from tollway.control.kit.pagination import Page
from tollway.control.kit.rows import Rows
from tollway.db.keys import virtual_keys
from tollway.db.organizations import organization_members, organizations
from tollway.db.teams import teams
from tollway.db.users import users
from tollway.stores.sql.rows import Budget, Organization, OrganizationMember, Team, User


class Member(msgspec.Struct, frozen=True):
    """Somebody in an organization, with what they link to."""

    membership: OrganizationMember
    user: User | None
    budget: Budget | None


class Belonging(msgspec.Struct, frozen=True):
    """An organization and everything that belongs to it."""

    organization: Organization
    budget: Budget | None
    members: list[Member]
    teams: list[Team]


class OrganizationRepository:
    """Organizations, members, and what they have, through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.organizations = Rows(connection, organizations, Organization)
        self.memberships = Rows(connection, organization_members, OrganizationMember)
        self.users = Rows(connection, users, User)
        self.budgets = BudgetRows(connection)
        self._teams = Rows(connection, teams, Team)

    async def find_many(self, ids: Iterable[str]) -> list[Organization]:
        """Those of these organizations that exist."""
        return await self.organizations.all(organizations.c.organization_id.in_(set(ids)))

    async def list_page(
        self, page: Page, *, among: Collection[str] | None, organization_id: str | None, alias: str | None
    ) -> tuple[list[Organization], int]:
        """A page of the organizations, newest first, and how many there are. `among`: only these; None: all."""
        conditions: list[ColumnElement[bool]] = []
        if among is not None:
            conditions.append(organizations.c.organization_id.in_(among))
        if organization_id:
            conditions.append(organizations.c.organization_id == organization_id)
        if alias:
            conditions.append(organizations.c.organization_alias.icontains(alias, autoescape=True))
        return await self.organizations.page(*conditions, page=page, order=[organizations.c.created_at.desc()])

    async def with_belongings(self, found: list[Organization]) -> list[Belonging]:
        """The same organizations, each with its budget, members and teams."""
        ids = [one.organization_id for one in found]
        in_them = await self.memberships.all(organization_members.c.organization_id.in_(ids))
        their_teams = await self._teams.all(teams.c.organization_id.in_(ids))
        members = await self.with_details(in_them)
        budgets = await self.budgets.by_id(one.budget_id for one in found)
        return [
            Belonging(
                one,
                budgets.get(one.budget_id or ""),
                [member for member in members if member.membership.organization_id == one.organization_id],
                [team for team in their_teams if team.organization_id == one.organization_id],
            )
            for one in found
        ]

    async def with_details(self, memberships: list[OrganizationMember]) -> list[Member]:
        """Memberships with their users and budgets."""
        people = {
            user.user_id: user
            for user in await self.users.all(users.c.user_id.in_({one.user_id for one in memberships}))
        }
        budgets = await self.budgets.by_id(one.budget_id for one in memberships)
        return [Member(one, people.get(one.user_id), budgets.get(one.budget_id or "")) for one in memberships]

    async def find_person(self, user_id: str | None, email: str | None) -> User | None:
        """The user with this id, else the one with this e-mail address."""
        conditions = []
        if user_id is not None:
            conditions.append(users.c.user_id == user_id)
        if email is not None:
            conditions.append(users.c.email_key == email.lower())
        found = await self.users.all(or_(*conditions))
        return next((user for user in found if user.user_id == user_id), found[0] if found else None)

    async def delete_membership(self, membership: OrganizationMember) -> None:
        """Removes somebody from an organization."""
        await self.memberships.delete(
            organization_members.c.organization_id == membership.organization_id,
            organization_members.c.user_id == membership.user_id,
        )

    async def delete(self, organization_id: str) -> None:
        """Removes an organization and its memberships."""
        await self.memberships.delete(organization_members.c.organization_id == organization_id)
        await self.organizations.delete(organizations.c.organization_id == organization_id)

    async def count_remaining(self, organization_id: str) -> tuple[int, int]:
        """How many teams and keys belong to an organization."""
        keys = select(func.count()).where(virtual_keys.c.organization_id == organization_id)
        of_teams = await self._teams.count(teams.c.organization_id == organization_id)
        return of_teams, (await self._connection.execute(keys)).scalar_one()
