"""Runs of agents: how far one session of one key may go, and what is said when somebody has stopped it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tollway.core.changes import session_name
from tollway.core.errors import Forbidden
from tollway.core.principal import NO_SESSION_LIMITS, Principal, Scope, SessionLimits, Stop
from tollway.core.snapshot import Settings


def session_scope(
    principal: Principal, session_id: str, settings: Settings, asked: SessionLimits, fingerprint: Callable[[], str]
) -> Scope | None:
    """The limits of a session: the least of what key, team, gateway and the call itself say; None if nobody does.

    The gateway's own do not hold for the master key. `fingerprint`: of the request, made where repetitions are limited.
    """
    limits = principal.session_limits.narrowed(asked)
    if not principal.is_admin:
        limits = limits.narrowed(settings.session_limits)
    if limits == NO_SESSION_LIMITS:
        return None
    return Scope(
        kind="session",
        id=session_name(principal.spend_id, session_id),
        label=session_id,
        budget_nanos=limits.budget_nanos,
        max_calls=limits.max_calls,
        max_repeats=limits.max_repeats,
        fingerprint=fingerprint() if limits.max_repeats is not None else "",
    )


def stopped(session_id: str, stop: Stop) -> Forbidden:
    """What callers of a stopped session are told."""
    at = datetime.fromtimestamp(stop.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    reason = f": {stop.reason}" if stop.reason else ""
    return Forbidden(
        f"Session {session_id} was stopped by {stop.by} at {at}{reason}. "
        "No further call of it is served until it is resumed with POST /session/resume.",
        type="session_stopped",
    )
