from __future__ import annotations

import pytest

from tollway.core.principal import Principal, Role, Scope, SessionLimits, Stop
from tollway.core.snapshot import Settings
from tollway.policy.sessions import session_scope, stopped

NONE = SessionLimits()


def fingerprint() -> str:
    return "of-the-request"


def principal(limits: SessionLimits = NONE) -> Principal:
    own = Scope(kind="api_key", id="first-hash")
    return Principal(key_hash="new-hash", own=own, scopes=(own,), session_limits=limits)


@pytest.mark.parametrize(
    ("of_key", "of_gateway", "asked", "expected"),
    [
        (NONE, Settings(), NONE, None),
        (SessionLimits(5, 50), Settings(), NONE, (5, 50)),
        (SessionLimits(5, 50), Settings(session_max_calls=3, session_budget_nanos=70), NONE, (3, 50)),
        (SessionLimits(5, None), Settings(session_budget_nanos=70), SessionLimits(9, 60), (5, 60)),
        (NONE, Settings(), SessionLimits(0, None), (0, None)),
    ],
)
def test_the_least_of_all_limits_holds(
    of_key: SessionLimits, of_gateway: Settings, asked: SessionLimits, expected: tuple[int | None, int | None] | None
) -> None:
    scope = session_scope(principal(of_key), "run", of_gateway, asked, fingerprint)
    assert (None if scope is None else (scope.max_calls, scope.budget_nanos)) == expected


def test_a_session_belongs_to_its_key_whatever_value_that_has_now() -> None:
    scope = session_scope(principal(SessionLimits(5)), "run:1", Settings(), NONE, fingerprint)
    assert scope is not None
    assert (scope.kind, scope.id, scope.label) == ("session", "first-hash:run:1", "run:1")


def test_the_gateways_own_limits_do_not_hold_for_the_master_key() -> None:
    admin = Principal(key_hash="litellm_proxy_master_key", is_admin=True, role=Role.PROXY_ADMIN)
    limited = Settings(session_max_calls=3)
    assert session_scope(admin, "run", limited, NONE, fingerprint) is None
    asked = session_scope(admin, "run", limited, SessionLimits(9), fingerprint)
    assert asked is not None
    assert asked.max_calls == 9


def test_a_request_is_looked_at_only_where_repetitions_are_limited() -> None:
    limited = session_scope(
        principal(SessionLimits(max_repeats=5)), "run", Settings(session_max_repeats=3), NONE, fingerprint
    )
    assert limited is not None
    assert (limited.max_repeats, limited.fingerprint) == (3, "of-the-request")
    plain = session_scope(principal(SessionLimits(5)), "run", Settings(), NONE, lambda: pytest.fail("not needed"))
    assert plain is not None
    assert plain.max_repeats is None


def test_a_stop_says_who_when_and_why() -> None:
    error = stopped("run", Stop("ada", "It repeats itself", 1_768_385_843.0))
    assert (error.status, error.type) == (403, "session_stopped")
    assert error.message == (
        "Session run was stopped by ada at 2026-01-14 10:17:23 UTC: It repeats itself. "
        "No further call of it is served until it is resumed with POST /session/resume."
    )
    assert "UTC. No further" in stopped("run", Stop("ada", "", 0.0)).message
