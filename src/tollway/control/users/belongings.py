"""Keys and teams of a user, for the page that shows a user with everything of theirs."""

from __future__ import annotations

from typing import Any, NamedTuple

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page
from tollway.control.kit.teams import TeamDesk
from tollway.control.users.repository import UserRepository
from tollway.db.engine import reading

_NO_TEAM = "None"


class Belongings(NamedTuple):
    """A page of keys and of teams, and how many of each there are."""

    keys: list[dict[str, Any]]
    key_count: int
    teams: list[dict[str, Any]]
    team_count: int


async def belongings_of(
    context: Context, keys: KeyDesk, teams: TeamDesk, user_id: str | None, page: Page
) -> Belongings:
    """Keys of this user and those of their teams that the caller may see; None: of everybody."""
    found, key_count = await keys.list_page(context, user_id, page)
    in_teams, team_count = await teams.list_page(context, keys, user_id, page)
    async with reading(context.services.engine) as connection:
        aliases = await UserRepository(connection).team_aliases({key["team_id"] for key in found if key["team_id"]})
    named = [{**key, "team_alias": aliases.get(key["team_id"], _NO_TEAM)} for key in found]
    return Belongings(named, key_count, in_teams, team_count)
