"""Every query of `/user/*`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Table, delete, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from tollway.control.kit.pagination import Page
from tollway.control.kit.people import UserRows
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import current_spend
from tollway.control.services import Services
from tollway.core.errors import Conflict, NotFound
from tollway.core.principal import Role
from tollway.db.organizations import organization_members, organizations
from tollway.db.teams import team_members, teams
from tollway.db.users import invitations, users
from tollway.stores.sql.rows import Organization, OrganizationMember, Team, TeamMember, User

SortColumn = Literal["user_id", "user_email", "created_at", "user_alias", "user_role"]


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which users a listing shows: those that match every field given."""

    role: str | None = None
    user_ids: Collection[str] | None = None
    sso_user_ids: Collection[str] | None = None
    user_id_part: str | None = None
    email_part: str | None = None
    search: str | None = None
    """Part of an id, an address or an alias."""
    team: str | None = None
    organization_ids: Collection[str] | None = None
    within_organizations: Collection[str] | None = None
    """Organizations of a caller who sees only their users."""

    def within(self, organization_ids: Collection[str]) -> UserQuery:
        """The same, for somebody who sees only users of these organizations."""
        return msgspec.structs.replace(self, within_organizations=organization_ids)


class UserRepository(UserRows):
    """Users and what they belong to, through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self.team_rows: Rows[Team] = Rows(connection, teams, Team)
        self.team_members: Rows[TeamMember] = Rows(connection, team_members, TeamMember)
        self.organization_rows: Rows[Organization] = Rows(connection, organizations, Organization)
        self.organization_members: Rows[OrganizationMember] = Rows(connection, organization_members, OrganizationMember)

    async def check_is_free(self, user: User) -> None:
        """Raises `Conflict` if another user has this one's address or identity at the sign-in provider."""
        holder = await self.by_email(user.user_email) if user.user_email else None
        if holder is not None and holder.user_id != user.user_id:
            raise _taken("email", user.user_email, "user_email")
        if user.sso_user_id is None:
            return
        holder = await self.first(users.c.sso_user_id == user.sso_user_id)
        if holder is not None and holder.user_id != user.user_id:
            raise _taken("sso_user_id", user.sso_user_id, "sso_user_id")

    @override
    async def insert(self, row: User) -> None:
        """Adds a user. Raises `Conflict`."""
        if await self.find(row.user_id) is not None:
            raise _taken("id", row.user_id, None)
        await self.check_is_free(row)
        with _conflicts_named(row):
            await super().insert(row)

    @override
    async def replace(self, row: User) -> None:
        """Writes a user over the one with this id; the password stays. Raises `Conflict`."""
        await self.check_is_free(row)
        with _conflicts_named(row):
            await super().replace(row)

    async def password_hash(self, user_id: str) -> str | None:
        """What is stored instead of the user's password."""
        query = select(users.c.password_hash).where(users.c.user_id == user_id)
        stored: str | None = (await self.connection.execute(query)).scalar_one_or_none()
        return stored

    async def set_password_hash(self, user_id: str, password_hash: str | None) -> None:
        """Gives the user another password; None: none."""
        changed = update(users).where(users.c.user_id == user_id).values(password_hash=password_hash)
        await self.connection.execute(changed)

    async def team(self, team_id: str) -> Team:
        """The team with this id. Raises `NotFound`."""
        team = await self.team_rows.find(team_id)
        if team is None:
            raise NotFound(f"Team not found, passed team_id={team_id[:100]}", param="teams")
        return team

    async def team_aliases(self, team_ids: Collection[str]) -> dict[str, str | None]:
        """What these teams are called; unknown ones are left out."""
        query = select(teams.c.team_id, teams.c.team_alias).where(teams.c.team_id.in_(team_ids))
        return {row[0]: row[1] for row in await self.connection.execute(query)}

    async def check_organization(self, organization_id: str) -> None:
        """Raises `NotFound` if there is no such organization."""
        if await self.organization_rows.find(organization_id) is None:
            raise NotFound(
                f"Organization not found, passed organization_id={organization_id[:100]}", param="organizations"
            )

    async def remove(self, user_id: str) -> None:
        """Deletes a user with their invitations and everything they are a member of."""
        for table in (invitations, team_members, organization_members, users):
            await self.connection.execute(delete(table).where(table.c.user_id == user_id))

    async def list_page(
        self, query: UserQuery, page: Page, *, sort_by: SortColumn, is_descending: bool
    ) -> tuple[list[User], int]:
        """A page of the users that match, and how many there are."""
        column = users.c[sort_by]
        order = column.desc().nulls_last() if is_descending else column.asc().nulls_last()
        return await self.page(*_conditions(query), page=page, order=[order])

    async def list_by_spend(
        self, query: UserQuery, page: Page, *, services: Services, is_descending: bool
    ) -> tuple[list[User], int]:
        """The same, by what they have spent in their budget window."""
        period = users.c.budget_duration
        found = await self.connection.execute(select(period).where(period.is_not(None)).distinct())
        spent = current_spend(services, "user", users.c.user_id, period, list(found.scalars()))
        return await self.page(*_conditions(query), page=page, order=[spent.desc() if is_descending else spent.asc()])

    async def all_ids(self, limit: int) -> list[str]:
        """Ids of all users, at most so many."""
        return list((await self.connection.execute(select(users.c.user_id).limit(limit))).scalars())


def _conditions(query: UserQuery) -> Sequence[ColumnElement[bool]]:
    columns = users.c
    conditions: list[ColumnElement[bool]] = []
    if query.role == Role.INTERNAL_USER:
        conditions.append(func.coalesce(columns.user_role, query.role) == query.role)
    elif query.role:
        conditions.append(columns.user_role == query.role)
    if query.user_ids:
        conditions.append(columns.user_id.in_(query.user_ids))
    if query.sso_user_ids:
        conditions.append(columns.sso_user_id.in_(query.sso_user_ids))
    if query.user_id_part:
        conditions.append(columns.user_id.icontains(query.user_id_part, autoescape=True))
    if query.email_part:
        conditions.append(columns.user_email.icontains(query.email_part, autoescape=True))
    if query.search:
        named = (columns.user_id, columns.user_email, columns.user_alias)
        conditions.append(or_(*(column.icontains(query.search, autoescape=True) for column in named)))
    if query.team:
        conditions.append(_belongs(team_members, team_members.c.team_id == query.team))
    for organization_ids in (query.organization_ids, query.within_organizations):
        if organization_ids is not None:
            is_one = organization_members.c.organization_id.in_(organization_ids)
            conditions.append(_belongs(organization_members, is_one))
    return conditions


def _belongs(table: Table, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(table.c.user_id).where(table.c.user_id == users.c.user_id, condition))


@contextmanager
def _conflicts_named(user: User) -> Iterator[None]:
    # Two writers at once both find an address free; the unique index lets one of them through.
    try:
        yield
    except IntegrityError as error:
        raise _taken("id or email", user.user_email or user.user_id, None) from error


def _taken(what: str, value: Any, field: str | None) -> Conflict:
    return Conflict(f"User with {what} {value} already exists", param=field, status=409)
