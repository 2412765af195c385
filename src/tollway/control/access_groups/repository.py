"""Every query of `/v1/access_group`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.access_groups import members_of
from tollway.control.kit.rows import Rows
from tollway.db.access_groups import access_groups
from tollway.db.keys import retired_key_hashes, virtual_keys
from tollway.db.teams import teams
from tollway.stores.sql.rows import AccessGroup


class Key(NamedTuple):
    """As much of a key as an access group knows."""

    spend_id: str
    key_hash: str
    alias: str | None


class Team(NamedTuple):
    """As much of a team as an access group knows."""

    team_id: str
    alias: str | None


class Members(NamedTuple):
    """Who was given an access group."""

    teams: list[Team]
    keys: list[Key]


class AccessGroupRepository(Rows[AccessGroup]):
    """Access groups through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, access_groups, AccessGroup)

    async def members(self, group_ids: Iterable[str]) -> dict[str, Members]:
        """Teams and keys of each of these groups that exist."""
        wanted = list(group_ids)
        team_ids = await members_of(self.connection, "team", wanted)
        spend_ids = await members_of(self.connection, "key", wanted)
        team_by_id = {one.team_id: one for one in await self.teams(_all(team_ids))}
        key_by_id = {one.spend_id: one for one in await self._keys(virtual_keys.c.spend_id, _all(spend_ids))}
        return {
            group: Members(
                [team_by_id[one] for one in team_ids.get(group, ()) if one in team_by_id],
                [key_by_id[one] for one in spend_ids.get(group, ()) if one in key_by_id],
            )
            for group in wanted
        }

    async def teams(self, ids: Iterable[str]) -> list[Team]:
        """Those of these teams that exist."""
        query = select(teams.c.team_id, teams.c.team_alias).where(teams.c.team_id.in_(set(ids)))
        return [Team(*row) for row in await self.connection.execute(query)]

    async def keys(self, hashes: Iterable[str]) -> list[Key]:
        """Those of these keys that exist."""
        return await self._keys(virtual_keys.c.key_hash, hashes)

    async def hashes(self, spend_ids: Iterable[str]) -> list[str]:
        """Every hash that opens, or opened, one of these keys."""
        wanted = set(spend_ids)
        tables = (virtual_keys, retired_key_hashes)
        queries = [select(table.c.key_hash).where(table.c.spend_id.in_(wanted)) for table in tables]
        return [found for query in queries for (found,) in await self.connection.execute(query)]

    async def _keys(self, column: ColumnElement[Any], values: Iterable[str]) -> list[Key]:
        known = virtual_keys.c
        query = select(known.spend_id, known.key_hash, known.key_alias).where(column.in_(set(values)))
        return [Key(*row) for row in await self.connection.execute(query)]


def _all(members: dict[str, list[str]]) -> set[str]:
    return {one for ids in members.values() for one in ids}
