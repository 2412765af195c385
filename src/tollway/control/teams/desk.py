"""Teams, for the resources of those who belong to them: `control.kit.teams.TeamDesk`."""

from __future__ import annotations

from typing import Any

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page
from tollway.control.teams.answers import TeamListed
from tollway.control.teams.reading import TeamContents, TeamReader
from tollway.control.teams.rendering import render_sourced, render_team


class Teams:
    """The rules of `/team/*`, whoever asks."""

    async def list_page(
        self, context: Context, keys: KeyDesk, user_id: str | None, page: Page
    ) -> tuple[list[dict[str, Any]], int]:
        """As `/team/list` does."""
        found, total = await TeamReader(context, keys).list_all(user_id=user_id, organization_id=None, page=page)
        return [render_listed(context, one).model_dump() for one in found], total


def render_listed(context: Context, contents: TeamContents) -> TeamListed:
    """An entry of `/team/list`."""
    return TeamListed(
        **render_team(context, contents.view).model_dump(),
        team_memberships=[render_sourced(context, *entry) for entry in contents.memberships],
        keys=contents.keys,
    )
