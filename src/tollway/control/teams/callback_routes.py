"""Callbacks of teams: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.callbacks.table import KINDS
from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.teams.answers import CallbackAdded, CallbacksShown, LoggingDisabled, TeamWithCallbacks
from tollway.control.teams.callbacks import CallbackService
from tollway.control.teams.rendering import render_row
from tollway.control.teams.routes import Reader
from tollway.control.teams.schemas import CallbackAdd

router = resource_router("teams")


async def _callback_service(context: ContextDep) -> CallbackService:
    return CallbackService(context)


Callbacks = Annotated[CallbackService, Depends(_callback_service)]


@router.post("/team/{team_id}/callback")
async def add_callback(
    team_id: str, body: CallbackAdd, response: Response, callbacks: Callbacks, reader: Reader
) -> CallbackAdded:
    """Have a team's calls reported to an integration, with credentials of the team's own. They are never shown."""
    found, warnings = await callbacks.add(team_id, body)
    if body.callback_name not in KINDS:
        warnings.append(f"{body.callback_name} is stored, and not called in this release; there are {', '.join(KINDS)}")
    warn(response, body, *warnings)
    row = render_row(reader.context, await reader.view(team_id)).model_dump()
    return CallbackAdded(data=TeamWithCallbacks(**{**row, **found.model_dump()}))


@router.get("/team/{team_id}/callback")
async def show_callbacks(team_id: str, callbacks: Callbacks) -> CallbacksShown:
    """The integrations that a team's calls are reported to. Values are masked."""
    return CallbacksShown(data=await callbacks.find(team_id))


@router.delete("/team/{team_id}/callback/{callback_name}")
async def remove_callback(team_id: str, callback_name: str, callbacks: Callbacks) -> CallbacksShown:
    """Remove an integration from a team; the answer has those that are left."""
    return CallbacksShown(data=await callbacks.remove(team_id, callback_name))


@router.post("/team/{team_id}/disable_logging")
async def disable_logging(team_id: str, callbacks: Callbacks) -> LoggingDisabled:
    """Remove all integrations of a team: its calls are reported nowhere, until one is added again."""
    found = await callbacks.disable(team_id)
    return LoggingDisabled(message=f"Logging disabled for team {team_id}", data=found)
