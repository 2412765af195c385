"""The Responses API over WebSockets: each turn is a call like any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import HANG, FaultyUpstream, chunk, chunked_head, error, sse
from tests.support.gateway import MASTER_KEY

PATHS = ("/v1/responses", "/responses", "/openai/v1/responses")
ENDS = ("response.completed", "response.failed", "response.incomplete", "error")


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    """`m` speaks chat alone, so that the whole conversation is seen upstream."""
    params = {"model": "hosted_vllm/one", "api_base": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    prices = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001}
    models = [{"model_name": "m", "litellm_params": params | prices}]
    config = {"model_list": models, "router_settings": {"num_retries": 0}}
    async with embedded_gateway(tmp_path, config) as running:
        yield running


@asynccontextmanager
async def connected(
    gateway: Embedded, key: str = MASTER_KEY, path: str = PATHS[0]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {key}"}
    async with gateway.session.ws_connect(gateway.url + path, headers=headers) as socket:
        yield socket


async def create(socket: aiohttp.ClientWebSocketResponse, text: str, **fields: Any) -> None:
    await socket.send_json({"type": "response.create", "model": "m", "input": text, **fields})


async def events_of(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """The events of one response."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in ENDS:
        events.append(await socket.receive_json(timeout=10))
    return events


async def answered(socket: aiohttp.ClientWebSocketResponse, text: str, **fields: Any) -> dict[str, Any]:
    """A response that went well."""
    await create(socket, text, **fields)
    events = await events_of(socket)
    assert events[-1]["type"] == "response.completed", events[-1]
    return dict(events[-1]["response"])


def asked(upstream: FaultyUpstream) -> list[str]:
    return [message["content"] for message in upstream.requests[-1].json["messages"]]


@pytest.mark.parametrize("path", PATHS)
async def test_a_connection_serves_one_response_after_another(gateway: Embedded, path: str) -> None:
    key = await gateway.create_key()
    async with connected(gateway, key, path) as socket:
        await create(socket, "one", background=False)
        events = await events_of(socket)
        assert [event["type"] for event in events][:2] == ["response.created", "response.in_progress"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        await answered(socket, "two")
    rows = await gateway.records(api_key=key)
    assert [(row["call_type"], row["status"]) for row in rows] == [("aresponses", "success")] * 2


async def test_a_conversation_goes_on_though_nothing_is_stored(gateway: Embedded, upstream: FaultyUpstream) -> None:
    async with connected(gateway) as socket:
        first = await answered(socket, "one", store=False)
        second = await answered(socket, "two", store=False, previous_response_id=first["id"])
        assert second["previous_response_id"] == first["id"]
        assert asked(upstream) == ["one", upstream.text, "two"]
        await answered(socket, "three", store=False, previous_response_id=second["id"])
        assert asked(upstream) == ["one", upstream.text, "two", upstream.text, "three"]
    async with connected(gateway) as socket:
        await create(socket, "x", previous_response_id=first["id"])
        (lost,) = await events_of(socket)
        assert (lost["status"], lost["error"]["param"]) == (404, "previous_response_id")


async def test_a_prepared_response_costs_nothing(gateway: Embedded, upstream: FaultyUpstream) -> None:
    async with connected(gateway) as socket:
        prepared = await answered(socket, "warm", store=False, generate=False)
        assert not upstream.requests
        await answered(socket, "go", store=False, previous_response_id=prepared["id"])
        assert asked(upstream) == ["warm", "go"]
    assert len(await gateway.records()) == 1


async def test_lanes_do_not_wait_for_each_other(gateway: Embedded, upstream: FaultyUpstream) -> None:
    gate = asyncio.Event()
    upstream.reply(chunked_head(), chunk(b": waiting\n\n"), gate, chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n")
    async with connected(gateway) as socket:
        await create(socket, "slow", stream_id="a")
        await upstream.wait_for_requests(1)
        await create(socket, "fast", stream_id="b")
        events = await events_of(socket)
        assert {event["stream_id"] for event in events} == {"b"}
        assert events[-1]["type"] == "response.completed"
        gate.set()
        assert {event["stream_id"] for event in await events_of(socket)} == {"a"}


async def test_turns_of_one_lane_follow_each_other(gateway: Embedded, upstream: FaultyUpstream) -> None:
    async with connected(gateway) as socket:
        for number in range(5):
            await create(socket, f"{number}")
        for _ in range(5):
            assert (await events_of(socket))[-1]["type"] == "response.completed"
    assert [request.json["messages"][0]["content"] for request in upstream.requests] == list("01234")


async def test_whoever_sends_without_end_is_cut_off(gateway: Embedded, upstream: FaultyUpstream) -> None:
    upstream.reply(chunked_head(), chunk(b": waiting\n\n"), HANG)
    async with connected(gateway) as socket:
        await create(socket, "x")
        await upstream.wait_for_requests(1)
        for _ in range(40):
            await create(socket, "x")
        message = await socket.receive(timeout=10)
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)
    await upstream.wait_for_close()
    assert len(upstream.requests) == 1


async def test_budgets_and_models_hold_for_each_turn(gateway: Embedded, upstream: FaultyUpstream) -> None:
    key = await gateway.create_key(max_budget=0.01, models=["m"])
    async with connected(gateway, key) as socket:
        await answered(socket, "one")
        (row,) = await gateway.records(api_key=key)
        assert row["spend"] > 0.01
        await create(socket, "two")
        (refused,) = await events_of(socket)
        over_http = await gateway.post("/v1/responses", {"model": "m", "input": "two"}, key=key)
        assert (refused["status"], refused["error"]) == (over_http.status, (await over_http.json())["error"])
        assert refused["error"]["type"] == "budget_exceeded"
        await create(socket, "three", model="other")
        (unknown,) = await events_of(socket)
        assert unknown["error"]["param"] == "model"
    assert len(upstream.requests) == 1


async def test_rate_limits_hold_for_each_turn(gateway: Embedded) -> None:
    key = await gateway.create_key(rpm_limit=1)
    async with connected(gateway, key) as socket:
        await answered(socket, "one")
        await create(socket, "two")
        (refused,) = await events_of(socket)
        assert refused["status"] == 429


async def test_a_key_that_is_blocked_ends_the_connection(gateway: Embedded) -> None:
    key = await gateway.create_key()
    async with connected(gateway, key) as socket:
        await answered(socket, "one")
        await (await gateway.post("/key/delete", {"keys": [key]})).read()
        await create(socket, "two")
        (refused,) = await events_of(socket)
        assert refused["status"] == 401
        await socket.receive(timeout=10)
        assert socket.close_code == 1008


async def test_a_vendors_error_is_an_event(gateway: Embedded, upstream: FaultyUpstream) -> None:
    upstream.reply(error(500, "broken"))
    async with connected(gateway) as socket:
        await create(socket, "one")
        (failed,) = await events_of(socket)
        assert (failed["type"], failed["status"]) == ("error", 500)
        assert "broken" in failed["error"]["message"]
        await answered(socket, "two")


@pytest.mark.parametrize("message", ["nonsense", '{"type": "session.update"}'])
async def test_what_is_not_understood_does_not_end_the_connection(gateway: Embedded, message: str) -> None:
    async with connected(gateway) as socket:
        await socket.send_str(message)
        refused = await socket.receive_json(timeout=10)
        assert (refused["type"], refused["status"]) == ("error", 400)
        await socket.send_bytes(json.dumps({"type": "response.create", "model": "m", "input": "Hi"}).encode())
        assert (await events_of(socket))[-1]["type"] == "response.completed"


async def test_whoever_leaves_is_billed_for_what_was_said(gateway: Embedded, upstream: FaultyUpstream) -> None:
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}
    upstream.reply(chunked_head(), chunk(sse({"id": "c", "model": "one", "choices": [choice]})[0]), HANG)
    async with connected(gateway) as socket:
        await create(socket, "one")
        while (await socket.receive_json(timeout=10))["type"] != "response.output_text.delta":
            pass
    await upstream.wait_for_close()
    for _ in range(100):
        if rows := await gateway.records():
            break
        await asyncio.sleep(0.02)
    (row,) = rows
    assert (row["status"], row["completion_tokens"]) == ("failure", 1)
    assert row["metadata"]["error_information"]["error_code"] == "499"


@pytest.mark.parametrize(
    ("path", "key"), [(PATHS[0], "sk-nobodys"), ("/v1/chat/completions", MASTER_KEY), ("/nowhere", MASTER_KEY)]
)
async def test_who_has_no_business_here_is_not_connected(gateway: Embedded, path: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Upgrade": "websocket", "Connection": "Upgrade"}
    handshake = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with gateway.session.get(gateway.url + path, headers=headers | handshake) as answer:
        assert answer.status == 403
        assert (await answer.json())["detail"]


async def test_a_gateway_that_stops_finishes_what_it_is_at(upstream: FaultyUpstream, tmp_path: Path) -> None:
    gate = asyncio.Event()
    params = {"model": "hosted_vllm/one", "api_base": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    upstream.reply(chunked_head(), chunk(b": waiting\n\n"), gate, chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n")
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        async with embedded_gateway(tmp_path, config) as gateway:
            busy = await session.ws_connect(f"{gateway.url}/v1/responses", headers=headers)
            idle = await session.ws_connect(f"{gateway.url}/v1/responses", headers=headers)
            await create(busy, "one")
            await upstream.wait_for_requests(1)

            async def finish() -> list[dict[str, Any]]:
                await idle.receive(timeout=10)
                gate.set()
                events = await events_of(busy)
                await busy.receive(timeout=10)
                return events

            finishing = asyncio.create_task(finish())
        events = await finishing
        assert events[-1]["type"] in ("response.completed", "response.incomplete")
        assert (idle.close_code, busy.close_code) == (1012, 1012)
