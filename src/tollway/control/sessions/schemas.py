"""Bodies of `/session/*`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel

SessionId = Annotated[str, Field(min_length=1, max_length=1_000)]
OptionalKey = Annotated[str | None, Field(min_length=1, max_length=1_000)]


class SessionResume(Body):
    """`POST /session/resume`."""

    session_id: SessionId
    key: OptionalKey = None
    """The key of the session, by value or hash. Without one: every session of this id that is the caller's."""


class SessionStop(SessionResume):
    """`POST /session/stop`."""

    reason: Annotated[str | None, Field(max_length=500)] = None


class SessionShown(WireModel):
    """One session of one key."""

    session_id: str
    key: str
    """Hash of the key, as it was when it last called."""
    key_alias: str | None
    user_id: str | None
    team_id: str | None
    organization_id: str | None
    calls: int
    """Every call that was admitted, failed ones included."""
    failures: int
    spend: float
    """Dollars."""
    first_seen: datetime | None
    """None: it has not called yet."""
    last_seen: datetime | None
    is_stopped: bool
    stopped_by: str | None
    stopped_at: datetime | None
    stop_reason: str | None


class SessionsOfId(WireModel):
    """`GET /session/info`, `POST /session/stop`, `POST /session/resume`: several keys may use the same id."""

    session_id: str
    sessions: list[SessionShown]


class SessionPage(WireModel):
    """`GET /session/list`."""

    sessions: list[SessionShown]
    page: int
    page_size: int
    has_more: bool
