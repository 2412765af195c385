"""Keys and teams of a user, for the page that shows a user with everything of theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import spent_nanos
from tollway.control.users.rendering import TeamSeen
from tollway.control.users.repository import UserRepository
from tollway.db.engine import reading
from tollway.stores.sql.principals import team_scope
from tollway.stores.sql.rows import Team, TeamMember

_NO_TEAM = "None"


class Belongings(NamedTuple):
    """A page of keys and of teams, and how many of each there are."""

    keys: list[dict[str, Any]]
    key_count: int
    teams: list[TeamSeen]
    team_count: int


async def belongings_of(context: Context, desk: KeyDesk, user_id: str | None, page: Page) -> Belongings:
    """Keys and teams of this user; None: of everybody."""
    keys, key_count = await desk.list_page(context, user_id, page)
    async with reading(context.services.engine) as connection:
        users = UserRepository(connection)
        teams, team_count = await _teams(users, user_id, page)
        members = await _members(users, teams)
        aliases = await users.team_aliases({key["team_id"] for key in keys if key["team_id"]})
    spent = await spent_nanos(context.services, [team_scope(team) for team in teams])
    named = [{**key, "team_alias": aliases.get(key["team_id"], _NO_TEAM)} for key in keys]
    seen = [
        TeamSeen(team=team, members=members[team.team_id], spent_nanos=nanos)
        for team, nanos in zip(teams, spent, strict=True)
    ]
    return Belongings(named, key_count, seen, team_count)


async def _teams(users: UserRepository, user_id: str | None, page: Page) -> tuple[list[Team], int]:
    table = users.team_rows.table
    if user_id is None:
        return await users.team_rows.page(page=page)
    own = (await users.teams_of([user_id]))[user_id]
    return await users.team_rows.page(table.c.team_id.in_(own), page=page)


async def _members(users: UserRepository, teams: Sequence[Team]) -> defaultdict[str, list[TeamMember]]:
    found: defaultdict[str, list[TeamMember]] = defaultdict(list)
    table = users.team_members.table
    for member in await users.team_members.all(table.c.team_id.in_([team.team_id for team in teams])):
        found[member.team_id].append(member)
    return found
