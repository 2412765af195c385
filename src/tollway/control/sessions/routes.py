"""`/session/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page
from tollway.control.sessions.rendering import render_all, render_session
from tollway.control.sessions.schemas import SessionPage, SessionResume, SessionsOfId, SessionStop
from tollway.control.sessions.service import SessionService

router = resource_router("sessions")


async def _session_service(context: ContextDep) -> SessionService:
    return SessionService(context)


Sessions = Annotated[SessionService, Depends(_session_service)]
KeyName = Annotated[str | None, Query(min_length=1, max_length=1_000)]


@router.post("/session/stop")
async def stop_session(body: SessionStop, response: Response, sessions: Sessions) -> SessionsOfId:
    """Stop an agent's run: its calls are refused with 403, and those in flight are cut off."""
    stopped = await sessions.stop(body.session_id, body.key, body.reason or "")
    warn(response, body)
    return render_all(body.session_id, stopped)


@router.post("/session/resume")
async def resume_session(body: SessionResume, response: Response, sessions: Sessions) -> SessionsOfId:
    """Let a stopped session go on, within what is left of its limits."""
    resumed = await sessions.resume(body.session_id, body.key)
    warn(response, body)
    return render_all(body.session_id, resumed)


@router.get("/session/info")
async def show_session(
    sessions: Sessions, session_id: Annotated[str, Query(min_length=1, max_length=1_000)], key: KeyName = None
) -> SessionsOfId:
    """What a session has done, and whether it was stopped. One entry for each key that uses the id."""
    return render_all(session_id, await sessions.find(session_id, key))


@router.get("/session/list")
async def list_sessions(
    sessions: Sessions,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 50,
    key: KeyName = None,
) -> SessionPage:
    """Sessions, the last that called first. `key`: of this key only, by value or hash."""
    found, has_more = await sessions.list_page(key, Page(page, page_size))
    return SessionPage(
        sessions=[render_session(one) for one in found], page=page, page_size=page_size, has_more=has_more
    )
