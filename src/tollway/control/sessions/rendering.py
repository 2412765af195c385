"""From a session to the wire's fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tollway.control.sessions.repository import Session
from tollway.control.sessions.schemas import SessionShown, SessionsOfId
from tollway.core.money import dollars_from_nanos


def render_session(session: Session) -> SessionShown:
    """One session of one key."""
    return SessionShown(
        session_id=session.session_id,
        key=session.key_hash,
        key_alias=session.key_alias or None,
        user_id=session.user_id or None,
        team_id=session.team_id or None,
        organization_id=session.organization_id or None,
        calls=session.calls,
        failures=session.failures,
        spend=dollars_from_nanos(session.spend_nanos),
        first_seen=_moment(session.first_seen_at),
        last_seen=_moment(session.last_seen_at),
        is_stopped=session.stopped_at is not None,
        stopped_by=session.stopped_by,
        stopped_at=session.stopped_at,
        stop_reason=session.reason or None,
    )


def render_all(session_id: str, sessions: Sequence[Session]) -> SessionsOfId:
    """The sessions of several keys under one id."""
    return SessionsOfId(session_id=session_id, sessions=[render_session(one) for one in sessions])


def _moment(micros: int) -> datetime | None:
    return datetime.fromtimestamp(micros / 1e6, UTC) if micros else None
