"""No way in without a key, a budget and a limit: generated from the route table, so that no route can be forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.embedded import Embedded
from tests.support.faulty_upstream import FaultyUpstream

from tollway.core.snapshot import Operation
from tollway.dataplane.routes import ROUTES, Route

COSTED = [route for route in ROUTES if route.costs_money]
INPUT: dict[Operation | None, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "completions": {"prompt": "Hi"},
    "embeddings": {"input": "Hi"},
    "responses": {"input": "Hi"},
    "messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}


def call(route: Route) -> tuple[str, dict[str, Any]]:
    return route.path.replace("{model}", "m"), {"model": "m", **INPUT[route.operation]}


def test_every_operation_has_costed_routes() -> None:
    assert {route.operation for route in COSTED} == {
        "chat",
        "completions",
        "embeddings",
        "responses",
        "messages",
        "gemini",
    }
    assert len(COSTED) == 26


@pytest.mark.parametrize("route", COSTED, ids=lambda route: route.path)
async def test_a_route_that_costs_money_passes_admission(
    gateway: Embedded, upstream: FaultyUpstream, route: Route
) -> None:
    path, body = call(route)
    word = "code" if route.operation == "messages" else "type"  # Anthropic's types are few
    nobody = await gateway.session.post(gateway.url + path, json=body)
    assert nobody.status == 401
    stranger = await gateway.post(path, body, key="sk-not-a-key-of-this-gateway")
    assert (stranger.status, (await stranger.json())["error"][word]) == (401, "token_not_found_in_db")
    poor = await gateway.post(path, body, key=await gateway.create_key(max_budget=0))
    assert (poor.status, (await poor.json())["error"][word]) == (422, "budget_exceeded")
    spent = await gateway.post(path, body, key=await gateway.create_key(max_budget=1, spend=1))
    assert (spent.status, (await spent.json())["error"][word]) == (422, "budget_exceeded")
    for limit in ("rpm_limit", "tpm_limit", "max_parallel_requests"):
        limited = await gateway.post(path, body, key=await gateway.create_key(**{limit: 0}))
        assert (limited.status, (await limited.json())["error"][word]) == (429, "throttling_error"), limit
        assert int(limited.headers["retry-after"]) >= 1
    other = await gateway.post(path, body, key=await gateway.create_key(models=["other"]))
    assert (other.status, (await other.json())["error"][word]) == (403, "key_model_access_denied")
    elsewhere = await gateway.post(path, body, key=await gateway.create_key(allowed_routes=["/key/info"]))
    assert (elsewhere.status, (await elsewhere.json()).keys()) == (403, {"detail"})
    blocked = await gateway.create_key()
    await gateway.post("/key/block", {"key": blocked})
    refused = await gateway.post(path, body, key=blocked)
    assert (refused.status, "blocked" in (await refused.json())["error"]["message"]) == (401, True)
    assert upstream.requests == [], "none of these may reach the provider"


async def test_a_change_of_a_key_counts_from_the_next_call_on(gateway: Embedded) -> None:
    key = await gateway.create_key(models=["m"])
    assert (await gateway.chat(key=key)).status == 200
    await gateway.post("/key/block", {"key": key})
    assert (await gateway.chat(key=key)).status == 401
    await gateway.post("/key/unblock", {"key": key})
    assert (await gateway.chat(key=key)).status == 200
    await gateway.post("/key/update", {"key": key, "models": ["n"]})
    assert (await gateway.chat(key=key)).status == 403
    await gateway.post("/key/update", {"key": key, "models": [], "rpm_limit": 1})
    assert (await gateway.chat(key=key)).status == 200
    assert (await gateway.chat(key=key)).status == 429
    await gateway.post("/key/delete", {"keys": [key]})
    assert (await gateway.chat(key=key)).status == 401


async def test_resetting_spend_opens_a_budget_again(gateway: Embedded) -> None:
    key = await gateway.create_key(max_budget=0.000001)
    assert (await gateway.chat(key=key, max_tokens=1)).status == 200
    assert (await gateway.chat(key=key, max_tokens=1)).status == 422
    await gateway.post("/key/update", {"key": key, "spend": 0})
    assert (await gateway.chat(key=key, max_tokens=1)).status == 200


async def test_a_key_expires(gateway: Embedded) -> None:
    key = await gateway.create_key(duration="1s")
    assert (await gateway.chat(key=key)).status == 200
    await asyncio.sleep(1.1)
    answer = await gateway.chat(key=key)
    assert (answer.status, (await answer.json())["error"]["type"]) == (401, "expired_key")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_concurrent_calls_never_overspend_a_budget(
    gateway: Embedded, upstream: FaultyUpstream, is_stream: bool
) -> None:
    upstream.event_delay_s = 0.01
    bound = 3e-4  # of one call: some 60 bytes in, 20 tokens out
    key = await gateway.create_key(max_budget=0.002)
    answers = await asyncio.gather(*(gateway.chat(key=key, max_tokens=20, stream=is_stream) for _ in range(200)))
    spent = sum(row["spend"] for row in await gateway.records(api_key=key))
    assert 0 < spent <= 0.002 + bound
    assert {answer.status for answer in answers} <= {200, 422, 429}
    assert any(answer.status == 422 for answer in answers)
    info = (await (await gateway.get(f"/key/info?key={key}")).json())["info"]
    assert info["spend"] == pytest.approx(spent, abs=1e-9)


async def test_parallel_slots_are_never_exceeded_and_always_returned(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_parallel_requests=3)
    upstream.event_delay_s = 0.02
    answers = await asyncio.gather(*(gateway.chat(key=key, stream=True) for _ in range(20)))
    assert sorted(answer.status for answer in answers).count(200) == 3
    assert (await gateway.chat(key=key)).status == 200


async def test_limits_of_one_model_hold_for_that_model(gateway: Embedded) -> None:
    key = await gateway.create_key(model_rpm_limit={"m": 1})
    assert (await gateway.chat(key=key)).status == 200
    answer = await gateway.chat(key=key)
    assert answer.status == 429
    assert "model_per_key" in (await answer.json())["error"]["message"]


async def test_an_alias_of_the_key_names_another_model(gateway: Embedded) -> None:
    key = await gateway.create_key(aliases={"mine": "m"}, models=["m"])
    answer = await gateway.chat(key=key, model="mine")
    assert answer.status == 200
    assert (await answer.json())["model"] == "mine"
