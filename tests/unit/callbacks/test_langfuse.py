"""Langfuse against the bytes that its API reference shows."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.support.faulty_upstream import FaultyUpstream, response
from tests.support.told_calls import ANSWER, MESSAGES, failed_call, good_call

from tollway.callbacks.langfuse import Langfuse
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.ports.callbacks import Event

PATH = "/api/public/ingestion"
KEYS = {"langfuse_public_key": "pk-lf-1", "langfuse_secret_key": "sk-lf-1"}
TAKEN: dict[str, list[Any]] = {"successes": [], "errors": []}


@pytest.fixture
async def server() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as running:
        yield running


async def tell(
    server: FaultyUpstream, *events: Event, answer: Any = TAKEN, status: int = 207, more: dict[str, str] | None = None
) -> None:
    server.reply(response(json.dumps(answer).encode(), status), path=PATH, always=True)
    langfuse = Langfuse.open({**KEYS, "langfuse_host": server.url, **(more or {})})
    try:
        await langfuse.deliver(events)
    finally:
        await langfuse.close()


async def told(server: FaultyUpstream, event: Event, **more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The bodies of the trace and of the generation."""
    await tell(server, event, more=more)
    trace, generation = server.requests[-1].json["batch"]
    assert (trace["type"], generation["type"]) == ("trace-create", "generation-create")
    return trace["body"], generation["body"]


async def test_a_good_call(server: FaultyUpstream) -> None:
    trace, generation = await told(server, good_call(), langfuse_environment="prod", langfuse_release="v7")
    credential = b64encode(b"pk-lf-1:sk-lf-1").decode()
    assert server.requests[0].headers["authorization"] == f"Basic {credential}"
    call_id = "3f6c5a0e-7f0b-4d35-9a39-1a0d6f0e2b11"
    assert trace == {
        "id": call_id,
        "timestamp": "2026-01-01T12:00:00.000000Z",
        "name": "litellm-acompletion",
        "userId": "customer-1",
        "input": MESSAGES,
        "output": ANSWER["choices"][0]["message"],  # type: ignore[index]
        "release": "v7",
        "tags": ["blue"],
        "environment": "prod",
    }
    assert generation["id"] == "0190-record"
    assert (generation["traceId"], generation["name"]) == (call_id, "litellm-acompletion")
    assert [generation[name] for name in ("startTime", "completionStartTime", "endTime")] == [
        "2026-01-01T12:00:00.000000Z",
        "2026-01-01T12:00:00.100000Z",
        "2026-01-01T12:00:00.250000Z",
    ]
    assert generation["modelParameters"] == {"temperature": 0.5, "max_tokens": 100, "stop": '["."]'}
    assert generation["costDetails"] == {"input": 0.001, "output": 0.0005, "total": 0.0015}
    assert generation["level"] == "DEFAULT"
    assert generation["metadata"]["user_api_key_alias"] == "search"


async def test_tokens_by_class_add_up(server: FaultyUpstream) -> None:
    _, generation = await told(server, good_call())
    used = generation["usageDetails"]
    assert used == {
        "input": 40,
        "cache_read_input_tokens": 60,
        "output": 20,
        "output_reasoning_tokens": 10,
        "total": 130,
    }
    assert sum(count for name, count in used.items() if name != "total") == used["total"]


async def test_what_the_caller_says_of_its_trace(server: FaultyUpstream) -> None:
    said = {
        "trace_id": "t-1",
        "trace_name": "search",
        "trace_user_id": "ada",
        "session_id": "s-1",
        "trace_metadata": {"step": 2},
        "trace_version": "v1",
        "version": "v2",
        "generation_name": "rank",
        "generation_id": "g-1",
        "parent_observation_id": "o-1",
        "tags": ["green", "blue"],
        "mask_input": True,
    }
    trace, generation = await told(server, good_call(said))
    expected = {"id": "t-1", "name": "search", "userId": "ada", "sessionId": "s-1", "metadata": {"step": 2}}
    assert {name: trace[name] for name in expected} == expected
    assert (trace["version"], trace["tags"], trace["input"]) == ("v1", ["blue", "green"], "redacted-by-litellm")
    assert (generation["name"], generation["id"], generation["traceId"]) == ("rank", "g-1", "t-1")
    assert (generation["parentObservationId"], generation["version"]) == ("o-1", "v2")


async def test_of_a_trace_that_exists_only_what_is_named_changes(server: FaultyUpstream) -> None:
    said = {"existing_trace_id": "t-0", "update_trace_keys": ["output", "session_id"], "session_id": "s-1"}
    trace, generation = await told(server, good_call(said))
    assert trace.keys() == {"id", "timestamp", "output", "sessionId"}
    assert (trace["id"], generation["traceId"]) == ("t-0", "t-0")


async def test_a_failed_call(server: FaultyUpstream) -> None:
    _, generation = await told(server, failed_call())
    assert (generation["level"], generation["statusMessage"]) == ("ERROR", "slow down")
    assert "output" not in generation
    assert generation["metadata"]["error_class"] == "RateLimitError"


async def test_telling_twice_tells_the_same(server: FaultyUpstream) -> None:
    await tell(server, good_call())
    await tell(server, good_call())
    first, second = ([event["id"] for event in request.json["batch"]] for request in server.requests)
    assert first == second
    assert len(set(first)) == 2


async def test_batches_stay_below_the_limit(server: FaultyUpstream) -> None:
    long = good_call()
    payload = {**long.payload, "messages": "x" * 1_000_000}
    await tell(server, *[Event(record=long.record, payload=payload)] * 3)
    assert len(server.requests) > 1
    assert all(len(request.body) < 3_500_000 for request in server.requests)


async def test_an_event_that_is_too_long_loses_its_text_alone(server: FaultyUpstream) -> None:
    long = good_call()
    trace, _ = await told(server, Event(record=long.record, payload={**long.payload, "messages": "x" * 4_000_000}))
    assert trace["input"] == "left out by the gateway: too long for one event"
    assert trace["userId"] == "customer-1"


def refused(*statuses: int) -> dict[str, Sequence[Any]]:
    return {"successes": [], "errors": [{"id": "e", "status": status, "message": "sk-secret"} for status in statuses]}


async def test_events_that_are_refused(server: FaultyUpstream) -> None:
    with pytest.raises(Misconfigured, match=r"^Langfuse refused 1 events, the first with status 400$"):
        await tell(server, good_call(), answer=refused(400))


async def test_events_that_may_be_taken_later(server: FaultyUpstream) -> None:
    with pytest.raises(UpstreamError, match="could not take 2 events"):
        await tell(server, good_call(), answer=refused(400, 500))


@pytest.mark.parametrize(("status", "error"), [(401, Misconfigured), (429, UpstreamError), (503, UpstreamError)])
async def test_refusals(server: FaultyUpstream, status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^Langfuse answered HTTP {status}; check langfuse_host and both keys$"):
        await tell(server, good_call(), answer={"message": "sk-secret"}, status=status)


@pytest.mark.parametrize(
    ("given", "named"),
    [({}, "LANGFUSE_PUBLIC_KEY"), ({"langfuse_public_key": "pk"}, "LANGFUSE_SECRET_KEY")],
)
def test_what_is_missing_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        Langfuse.open(given)


def test_the_older_name_of_the_secret() -> None:
    Langfuse.open({"langfuse_public_key": "pk", "langfuse_secret": "sk"})
