"""What other resources show of teams. `control.api` hands in the teams' own rules: no resource imports another."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page


class TeamDesk(Protocol):
    """Teams, for those who belong to them."""

    async def list_page(
        self, context: Context, keys: KeyDesk, user_id: str | None, page: Page
    ) -> tuple[list[dict[str, Any]], int]:
        """A page of the teams of this user, or of all, that the caller may see, as `/team/list` shows them, oldest
        first, and how many there are.
        """
        ...


async def _team_desk(request: Request) -> TeamDesk:
    desk: TeamDesk = request.app.state.team_desk
    return desk


TeamDeskDep = Annotated[TeamDesk, Depends(_team_desk)]
