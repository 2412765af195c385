"""Every query of `/team/*`. Nothing commits here.

Of other resources' tables only what belongs to a team is read, added or removed, and nothing that has rules of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Table, delete, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.access_groups import set_groups
from tollway.control.kit.budgets import BudgetRows
from tollway.control.kit.pagination import Page
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import current_spend
from tollway.control.services import Services
from tollway.core.errors import Conflict, NotFound
from tollway.db.access_groups import access_group_members, access_groups
from tollway.db.keys import virtual_keys
from tollway.db.models import models
from tollway.db.organizations import organizations
from tollway.db.teams import deleted_teams, team_members, teams
from tollway.db.users import users
from tollway.stores.sql.limited import from_row
from tollway.stores.sql.rows import AccessGroup, Budget, Organization, Team, TeamMember, User
from tollway.stores.sql.virtual_key import VirtualKey

SortColumn = Literal["team_id", "team_alias", "created_at", "updated_at", "max_budget"]
_SORT_COLUMNS: dict[SortColumn, str] = {
    "team_id": "team_id",
    "team_alias": "team_alias",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "max_budget": "max_budget_nanos",
}


class DeletedTeam(Team, frozen=True, kw_only=True):
    """One row of `deleted_teams`, or of `teams`, where nobody deleted anything."""

    deleted_at: datetime | None = None
    deleted_by: str | None = None


class Visible(msgspec.Struct, frozen=True):
    """What somebody sees who does not see everything."""

    team_ids: frozenset[str]
    organization_ids: frozenset[str]
    """All teams of these."""


class TeamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which teams a listing shows: those that match every field given."""

    visible: Visible | None = None
    """None: everything is."""
    user_id: str | None = None
    """A member."""
    organization_id: str | None = None
    team_id: str | None = None
    team_id_part: str | None = None
    team_alias: str | None = None
    """Part of the alias, in any case; likewise the id's part."""
    search: str | None = None
    """Part of the alias, or the id."""
    matches_part_of_id: bool = False
    is_deleted: bool = False


class TeamRepository(Rows[Team]):
    """Teams and their members through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, teams, Team)
        self.members = Rows(connection, team_members, TeamMember)
        self.budgets = BudgetRows(connection)
        self._users = Rows(connection, users, User)

    async def named(self, team_id: str) -> Team:
        """The team with this id. Raises `NotFound`."""
        team = await self.find(team_id)
        if team is None:
            raise NotFound(f"Team not found, passed team_id={team_id[:255]}", param="team_id")
        return team

    async def create(self, team: Team) -> None:
        """Adds a team. Raises `Conflict` if its id is taken."""
        try:
            await self.insert(team)
        except IntegrityError as error:
            raise already_exists(team.team_id) from error

    async def archive(self, team: Team, *, at: datetime, by: str) -> None:
        """Moves a team to the archive of deleted ones; its memberships and its places in access groups go."""
        row = {**self._values(team), "deleted_at": at, "deleted_by": by}
        await self.connection.execute(insert(deleted_teams).values(**row))
        await self.members.delete(team_members.c.team_id == team.team_id)
        await set_groups(self.connection, "team", team.team_id, [])
        await self.delete(teams.c.team_id == team.team_id)

    async def list_page(
        self, query: TeamQuery, page: Page, *, sort_by: SortColumn, is_descending: bool
    ) -> tuple[list[DeletedTeam], int]:
        """One page of the teams that match, and how many there are."""
        rows, conditions = self._matching(query)
        column = rows.table.c[_SORT_COLUMNS[sort_by]]
        order = column.desc().nulls_last() if is_descending else column.asc().nulls_last()
        return await rows.page(*conditions, page=page, order=[order])

    async def list_by_spend(
        self, query: TeamQuery, page: Page, *, services: Services, is_descending: bool
    ) -> tuple[list[DeletedTeam], int]:
        """The same, by what they have spent in their budget window."""
        rows, conditions = self._matching(query)
        columns = rows.table.c
        periods = select(columns.budget_duration).where(columns.budget_duration.is_not(None)).distinct()
        durations = list((await self.connection.execute(periods)).scalars())
        spent = current_spend(services, "team", columns.team_id, columns.budget_duration, durations)
        return await rows.page(*conditions, page=page, order=[spent.desc() if is_descending else spent.asc()])

    async def members_of(self, team_ids: Iterable[str]) -> dict[str, list[TeamMember]]:
        """Who is in these teams, by team, in the order of joining."""
        order = (team_members.c.created_at, team_members.c.user_id)
        grouped: dict[str, list[TeamMember]] = defaultdict(list)
        for member in await self.members.all(team_members.c.team_id.in_(list(team_ids)), order=order):
            grouped[member.team_id].append(member)
        return grouped

    async def people_in(self, team_ids: Iterable[str]) -> dict[str, User]:
        """The members of these teams, as far as there is more to know about them than their id."""
        ids = select(team_members.c.user_id).where(team_members.c.team_id.in_(list(team_ids)))
        return {user.user_id: user for user in await self._users.all(users.c.user_id.in_(ids))}

    async def add_member(self, member: TeamMember) -> None:
        """Adds somebody to a team. Raises SQLAlchemy's `IntegrityError` if they are in it."""
        await self.members.insert(member)

    async def remove_member(self, member: TeamMember) -> None:
        """Takes somebody out of a team."""
        of_team, of_user = team_members.c.team_id == member.team_id, team_members.c.user_id == member.user_id
        await self.members.delete(of_team, of_user)

    async def member_named(self, team_id: str, *, user_id: str | None, email: str | None) -> TeamMember | None:
        """The member with this id or this address."""
        if user_id is None:
            user = await self.user_by_email(email) if email else None
            user_id = user.user_id if user else None
        return await self.members.find(team_id, user_id) if user_id else None

    async def user(self, user_id: str) -> User | None:
        """The user with this id."""
        return await self._users.find(user_id)

    async def user_by_email(self, email: str) -> User | None:
        """The user with this address, however it is spelled."""
        return await self._users.first(users.c.email_key == email.lower())

    async def all_users(self) -> list[User]:
        """Everybody there is, in order of id."""
        return await self._users.all()

    async def create_user(self, user: User) -> None:
        """Adds a user. Raises `Conflict` if their id or address is taken: somebody else was quicker."""
        try:
            await self._users.insert(user)
        except IntegrityError as error:
            raise Conflict(f"User with id {user.user_id} or this address already exists.", param="member") from error

    async def teams_of(self, user_ids: Iterable[str]) -> dict[str, list[str]]:
        """The teams each of these users is in."""
        query = select(team_members.c.user_id, team_members.c.team_id).where(team_members.c.user_id.in_(list(user_ids)))
        grouped: dict[str, list[str]] = defaultdict(list)
        for user_id, team_id in await self.connection.execute(query.order_by(team_members.c.team_id)):
            grouped[user_id].append(team_id)
        return grouped

    async def keys_of(
        self, team_ids: Iterable[str], *, user_id: str | None = None, key_hash: str | None = None, limit: int | None
    ) -> list[VirtualKey]:
        """Keys of these teams, newest first; with `user_id` or `key_hash` only those."""
        conditions: list[ColumnElement[bool]] = [virtual_keys.c.team_id.in_(list(team_ids))]
        if user_id is not None:
            conditions.append(virtual_keys.c.user_id == user_id)
        if key_hash is not None:
            conditions.append(virtual_keys.c.key_hash == key_hash)
        order = (virtual_keys.c.created_at.desc(), virtual_keys.c.key_hash)
        return await Rows(self.connection, virtual_keys, VirtualKey).all(*conditions, order=order, limit=limit)

    async def count_members(self, team_ids: Iterable[str]) -> dict[str, int]:
        """How many are in each of these teams."""
        return await self._count(team_members, team_ids)

    async def count_keys(self, team_ids: Iterable[str]) -> dict[str, int]:
        """How many keys each of these teams has."""
        return await self._count(virtual_keys, team_ids)

    async def organization(self, organization_id: str | None) -> Organization | None:
        """The organization with this id."""
        if organization_id is None:
            return None
        return await Rows(self.connection, organizations, Organization).find(organization_id)

    async def budget(self, budget_id: str | None) -> Budget | None:
        """The budget with this id."""
        return await self.budgets.find(budget_id) if budget_id else None

    async def access_groups_of(self, team_ids: Iterable[str]) -> dict[str, list[AccessGroup]]:
        """The access groups each of these teams was given."""
        member = access_group_members.c
        query = (
            select(member.member_id, access_groups)
            .join(access_groups, access_groups.c.access_group_id == member.access_group_id)
            .where(member.member_kind == "team", member.member_id.in_(list(team_ids)))
            .order_by(access_groups.c.access_group_id)
        )
        grouped: dict[str, list[AccessGroup]] = defaultdict(list)
        for row in await self.connection.execute(query):
            grouped[row.member_id].append(from_row(AccessGroup, row))
        return grouped

    async def remove_models(self, team_id: str) -> list[str]:
        """Removes the models that only this team could use; their ids."""
        found = list(
            (await self.connection.execute(select(models.c.model_id).where(models.c.team_id == team_id))).scalars()
        )
        if found:
            await self.connection.execute(delete(models).where(models.c.team_id == team_id))
        return found

    async def _count(self, table: Table, team_ids: Iterable[str]) -> dict[str, int]:
        column = table.c.team_id
        query = select(column, func.count()).where(column.in_(list(team_ids))).group_by(column)
        rows = await self.connection.execute(query)
        return {row[0]: row[1] for row in rows}

    def _matching(self, query: TeamQuery) -> tuple[Rows[DeletedTeam], list[ColumnElement[bool]]]:
        table = deleted_teams if query.is_deleted else teams
        return Rows(self.connection, table, DeletedTeam), _conditions(query, table)


def already_exists(team_id: str) -> Conflict:
    """The error for an id that another team has."""
    return Conflict(
        f"Team id = {team_id} already exists. Please use a different team id.",
        param="team_id",
        type="bad_request_error",
    )


def _conditions(query: TeamQuery, table: Table) -> list[ColumnElement[bool]]:
    columns = table.c
    conditions: list[ColumnElement[bool]] = []
    if query.visible is not None:
        conditions.append(
            or_(
                columns.team_id.in_(query.visible.team_ids),
                columns.organization_id.in_(query.visible.organization_ids),
            )
        )
    if query.user_id is not None:
        conditions.append(
            columns.team_id.in_(select(team_members.c.team_id).where(team_members.c.user_id == query.user_id))
        )
    exact: dict[str, Any] = {"organization_id": query.organization_id, "team_id": query.team_id}
    conditions += [columns[name] == value for name, value in exact.items() if value is not None]
    if query.team_id_part:
        conditions.append(columns.team_id.icontains(query.team_id_part, autoescape=True))
    if query.team_alias:
        conditions.append(columns.team_alias.icontains(query.team_alias, autoescape=True))
    if query.search:
        by_id = columns.team_id == query.search
        if query.matches_part_of_id:
            by_id = columns.team_id.icontains(query.search, autoescape=True)
        conditions.append(or_(columns.team_alias.icontains(query.search, autoescape=True), by_id))
    return conditions
