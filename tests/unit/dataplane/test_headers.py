"""Response headers: what they say, and that nobody can add one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest

from tollway.core.errors import Header
from tollway.core.principal import Principal, Scope, ScopeKind
from tollway.core.snapshot import Settings
from tollway.dataplane.headers import HeaderWriter
from tollway.gateway.call import Call
from tollway.policy.limits import SCOPES_OF_DEPLOYMENTS
from tollway.ports.counters import Remaining


class Ticket:
    """What is left of a few rate limits."""

    def __init__(self, *remaining: Remaining) -> None:
        self.remaining: Sequence[Remaining] = remaining
        self.divided_by = 1
        self.calls = 1


def a_call(*remaining: Remaining, headers: dict[bytes, bytes] | None = None) -> Call:
    call = Call(operation="chat", path="/v1/chat/completions", headers=headers or {}, client_ip="", settings=Settings())
    call.tickets = (Ticket(*remaining),)
    call.scopes = tuple(left.scope for left in remaining)
    return call


def lines(block: bytes) -> list[str]:
    assert block.endswith(b"\r\n")
    return block.decode("latin-1").split("\r\n")[:-1]


def test_limit_and_remainder_of_each_rate_limit() -> None:
    key = Scope(kind="api_key", id="k", rpm=100, tpm=5000, parallel=10)
    team = Scope(kind="team", id="t", budget_nanos=5)
    user = Scope(kind="user", id="u", tpm=9)
    call = a_call(Remaining(key, 99, 3975, 9), Remaining(team, None, None, None), Remaining(user, None, 0, None))
    block = lines(HeaderWriter().of_call(call))
    assert [line for line in block if line.startswith("x-ratelimit")] == [
        "x-ratelimit-api_key-remaining-requests: 99",
        "x-ratelimit-api_key-limit-requests: 100",
        "x-ratelimit-api_key-remaining-tokens: 3975",
        "x-ratelimit-api_key-limit-tokens: 5000",
        "x-ratelimit-api_key-remaining-max_parallel_requests: 9",
        "x-ratelimit-api_key-limit-max_parallel_requests: 10",
        "x-ratelimit-user-remaining-tokens: 0",
        "x-ratelimit-user-limit-tokens: 9",
    ]


@pytest.mark.parametrize("kind", sorted({*get_args(ScopeKind)} - {"session", *SCOPES_OF_DEPLOYMENTS}))
def test_every_kind_of_scope_has_headers(kind: ScopeKind) -> None:
    block = HeaderWriter().of_call(a_call(Remaining(Scope(kind=kind, id="x", rpm=5), 4, None, None)))
    assert f"x-ratelimit-{kind}-remaining-requests: 4" in lines(block)


def test_what_is_left_of_a_session_with_this_call_deducted() -> None:
    run = Scope(kind="session", id="k:run", label="run", max_calls=10, budget_nanos=2 * 10**9)
    call = a_call(Remaining(run, None, None, None, 7, 5 * 10**8))
    block = lines(HeaderWriter().of_answer(call, 10**8, ()))
    assert [line for line in block if "session" in line] == [
        "x-tollway-session-steps-remaining: 7",
        "x-tollway-session-budget-remaining: 0.4",
    ]
    overspent = lines(HeaderWriter().of_answer(call, 10**9, ()))
    assert "x-tollway-session-budget-remaining: 0.0" in overspent
    unlimited = a_call(Remaining(Scope(kind="session", id="k:run", max_calls=2), None, None, None, 1))
    assert [line for line in lines(HeaderWriter().of_call(unlimited)) if "session" in line] == [
        "x-tollway-session-steps-remaining: 1"
    ]


def test_a_limit_that_changed_is_not_taken_for_the_old_one() -> None:
    writer = HeaderWriter()
    for limit in range(5, 50):
        scope = Scope(kind="api_key", id="k", rpm=limit)
        assert f"x-ratelimit-api_key-limit-requests: {limit}" in lines(
            writer.of_call(a_call(Remaining(scope, 1, 2, 3)))
        )


def test_what_the_key_has_spent_and_may_spend() -> None:
    own = Scope(kind="api_key", id="k", budget_nanos=2 * 10**9)
    call = a_call(Remaining(own, None, None, None))
    call.principal = Principal(key_hash="k", own=own)
    call.spent_nanos = 161_700_000
    block = lines(HeaderWriter().of_answer(call, 700_000, ()))
    assert {"x-litellm-key-spend: 0.1617", "x-litellm-key-max-budget: 2.0", "x-litellm-response-cost: 0.0007"} <= {
        *block
    }


def test_a_vendors_headers_are_prefixed_and_those_clients_act_on_are_there_twice() -> None:
    upstream: list[Header] = [(b"x-request-id", b"req_1"), (b"x-ratelimit-limit-requests", b"9"), (b"server", b"x")]
    block = lines(HeaderWriter().of_stream(a_call(), upstream))
    assert [line for line in block if "req_1" in line] == ["llm_provider-x-request-id: req_1", "request-id: req_1"]
    assert {"llm_provider-x-ratelimit-limit-requests: 9", "x-ratelimit-limit-requests: 9"} <= {*block}
    assert [line for line in block if "server" in line] == ["llm_provider-server: x"]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_that_would_break_out_of_its_line_is_left_out(value: bytes) -> None:
    block = HeaderWriter().of_stream(a_call(), [(b"x-one", b"1"), (b"x-bad", value)])
    assert b"llm_provider-x-one: 1\r\n" in block
    assert b"x-bad" not in block


def test_browsers_from_elsewhere_are_told_that_they_may_read() -> None:
    block = HeaderWriter().of_call(a_call(headers={b"origin": b"https://example.org"}))
    assert "access-control-allow-origin: *" in lines(block)
    assert b"access-control" not in HeaderWriter().of_call(a_call())
