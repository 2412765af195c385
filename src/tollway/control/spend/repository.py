"""Queries of the spend views beside the ledger: names of what the ledger knows by id, and whose is what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.budgets import budgets
from tollway.db.engine import reading
from tollway.db.keys import deleted_keys, virtual_keys
from tollway.db.teams import deleted_teams, team_members, teams
from tollway.db.users import users
from tollway.stores.sql.limited import from_row
from tollway.stores.sql.rows import Budget, Team, User
from tollway.stores.sql.virtual_key import VirtualKey

_IDS_PER_QUERY = 500
"""Databases bound the parameters of a statement."""


class SpendRepository:
    """Reads; every method raises `StoreUnavailable` in an outage."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def team_aliases(self, ids: Iterable[str]) -> dict[str, str]:
        """Aliases of those of these teams that have one, deleted ones included."""
        found: dict[str, str] = {}
        for some in _chunks(ids):
            async with reading(self._engine) as connection:
                for table in (deleted_teams, teams):  # the living win
                    query = select(table.c.team_id, table.c.team_alias).where(table.c.team_id.in_(some))
                    found |= {team_id: alias for team_id, alias in await connection.execute(query) if alias}
        return found

    async def users_by_id(self, ids: Iterable[str]) -> dict[str, User]:
        """Those of these users that have a row."""
        found: dict[str, User] = {}
        for some in _chunks(ids):
            async with reading(self._engine) as connection:
                rows = await connection.execute(select(users).where(users.c.user_id.in_(some)))
                found |= {user.user_id: user for user in (from_row(User, row) for row in rows)}
        return found

    async def list_users(self, *, after: str = "", limit: int) -> list[User]:
        """Users in order of id."""
        query = select(users).where(users.c.user_id > after).order_by(users.c.user_id).limit(limit)
        async with reading(self._engine) as connection:
            return [from_row(User, row) for row in await connection.execute(query)]

    async def teams_of_users(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """The teams that each of these users is a member of."""
        found: dict[str, list[str]] = {}
        for some in _chunks(ids):
            query = select(team_members.c.user_id, team_members.c.team_id).where(team_members.c.user_id.in_(some))
            async with reading(self._engine) as connection:
                for user_id, team_id in await connection.execute(query.order_by(team_members.c.team_id)):
                    found.setdefault(user_id, []).append(team_id)
        return found

    async def teams_of_organizations(self, ids: Iterable[str]) -> list[str]:
        """Ids of the teams of these organizations."""
        found: list[str] = []
        for some in _chunks(ids):
            query = select(teams.c.team_id).where(teams.c.organization_id.in_(some))
            async with reading(self._engine) as connection:
                found += (await connection.execute(query)).scalars()
        return found

    async def hashes_by_alias(self, alias: str) -> list[str]:
        """Hashes of keys that have this alias, or had it when they were deleted."""
        queries = [select(table.c.key_hash).where(table.c.key_alias == alias) for table in (virtual_keys, deleted_keys)]
        async with reading(self._engine) as connection:
            return sorted({found for query in queries for found in (await connection.execute(query)).scalars()})

    async def list_keys(self, *, after: str = "", limit: int) -> list[VirtualKey]:
        """Living keys in order of hash."""
        query = select(virtual_keys).where(virtual_keys.c.key_hash > after).order_by(virtual_keys.c.key_hash)
        async with reading(self._engine) as connection:
            return [from_row(VirtualKey, row) for row in await connection.execute(query.limit(limit))]

    async def budgets_by_id(self, ids: Iterable[str]) -> dict[str, Budget]:
        """Those of these budgets that exist."""
        found: dict[str, Budget] = {}
        for some in _chunks(ids):
            async with reading(self._engine) as connection:
                rows = await connection.execute(select(budgets).where(budgets.c.budget_id.in_(some)))
                found |= {budget.budget_id: budget for budget in (from_row(Budget, row) for row in rows)}
        return found

    async def list_teams(self, *, after: str = "", limit: int) -> list[Team]:
        """Living teams in order of id."""
        query = select(teams).where(teams.c.team_id > after).order_by(teams.c.team_id).limit(limit)
        async with reading(self._engine) as connection:
            return [from_row(Team, row) for row in await connection.execute(query)]


def _chunks(ids: Iterable[str]) -> Iterable[Sequence[str]]:
    rest = iter(ids)
    while some := list(islice(rest, _IDS_PER_QUERY)):
        yield some
