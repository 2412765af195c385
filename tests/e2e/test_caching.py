"""Answers that are given again: what the caller, the provider and the ledger see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import moto
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import CUT, FaultyUpstream, chunk, chunked_head, error, response, sse
from tests.support.valkey import ValkeyServer

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"
TURN = {"role": "user", "content": "Hi"}


@asynccontextmanager
async def caching(folder: Path, upstream: FaultyUpstream, **params: Any) -> AsyncIterator[Embedded]:
    config = model_list(upstream)
    config["litellm_settings"] = {"cache": True, "cache_params": {"type": "local", **params}}
    async with embedded_gateway(folder, config, {"LITELLM_SALT_KEY": "sk-salt-of-the-tests"}) as gateway:
        yield gateway


@pytest.fixture
async def cached(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with caching(tmp_path, upstream) as gateway:
        yield gateway


BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"messages": [TURN]}),
    "chat stream": (CHAT, {"messages": [TURN], "stream": True}),
    "messages": (MESSAGES, {"messages": [TURN], "max_tokens": 20}),
    "messages stream": (MESSAGES, {"messages": [TURN], "max_tokens": 20, "stream": True}),
    "embeddings": (EMBEDDINGS, {"input": "Hi"}),
}


@pytest.mark.parametrize("name", BODIES)
async def test_the_same_question_is_answered_from_the_cache(
    cached: Embedded, upstream: FaultyUpstream, name: str
) -> None:
    path, body = BODIES[name]
    key = await cached.create_key(max_budget=1, rpm_limit=10)
    first = await cached.post(path, {"model": "m", **body}, key=key)
    again = await cached.post(path, {**body, "model": "m"}, key=key)
    assert (first.status, again.status) == (200, 200)
    assert await first.read() == await again.read(), "byte for byte"
    assert len(upstream.requests) == 1
    assert "x-litellm-cache-key" not in first.headers
    assert len(again.headers["x-litellm-cache-key"]) == 64
    assert first.headers["content-type"] == again.headers["content-type"]
    assert again.headers["x-ratelimit-api_key-remaining-requests"] == "8", "it counts as a request"
    assert (
        again.headers["x-litellm-key-spend"]
        == (await cached.post(path, {"model": "m", **body}, key=key)).headers["x-litellm-key-spend"]
    )
    hit, *_, miss = await cached.records(api_key=key)
    assert (miss["cache_hit"], hit["cache_hit"]) == ("False", "True")
    assert miss["spend"] > 0
    assert (hit["spend"], hit["total_tokens"]) == (0.0, 0)
    assert hit["metadata"]["saved_cache_cost"] == miss["spend"]
    assert hit["cache_key"] == again.headers["x-litellm-cache-key"] == miss["cache_key"]


async def ask(gateway: Embedded, *, headers: dict[str, str] | None = None, key: str = "", **fields: Any) -> bool:
    """Whether a chat was answered from the cache."""
    more = {"key": key} if key else {}
    answer = await gateway.post(CHAT, {"model": "m", "messages": [TURN], **fields}, headers=headers or {}, **more)
    assert answer.status == 200, await answer.text()
    return "x-litellm-cache-key" in answer.headers


async def test_callers_say_what_they_want_of_it(cached: Embedded) -> None:
    assert not await ask(cached)
    assert await ask(cached)
    assert not await ask(cached, cache={"no-cache": True})
    assert not await ask(cached, caching=False)
    assert not await ask(cached, cache={"namespace": "other"})
    assert await ask(cached, cache={"namespace": "other"})
    assert not await ask(cached, seed=1, cache={"no-store": True})
    assert not await ask(cached, seed=1)
    assert not await ask(cached, seed=2, cache={"ttl": 0.3})
    assert await ask(cached, seed=2)
    await asyncio.sleep(0.35)
    assert not await ask(cached, seed=2)
    assert not await ask(cached, seed=2, cache={"s-maxage": 0})
    assert await ask(cached, seed=2, headers={"Cache-Control": "no-cache"}), "a browser says this of its own cache"


@pytest.mark.parametrize("cache", [1, {"ttl": "long"}, {"ttl": -1}, {"namespace": "x" * 201}])
async def test_what_they_say_is_checked(cached: Embedded, cache: Any) -> None:
    answer = await cached.post(CHAT, {"model": "m", "messages": [TURN], "cache": cache})
    assert answer.status == 400
    assert (await answer.json())["error"]["param"] == "cache"


async def test_keys_may_be_allowed_some_of_it(cached: Embedded) -> None:
    key = await cached.create_key(allowed_cache_controls=["no-cache"])
    assert not await ask(cached, key=key, cache={"no-cache": True})
    refused = await cached.chat(key=key, cache={"no-store": True})
    assert refused.status == 403
    assert "Not allowed to set no-store as a cache control" in await refused.text()


async def test_a_budget_that_is_spent_refuses_and_so_does_a_rate(cached: Embedded) -> None:
    key = await cached.create_key(rpm_limit=2)
    assert [await ask(cached, key=key), await ask(cached, key=key)] == [False, True]
    assert (await cached.chat(key=key)).status == 429


async def test_only_good_answers_are_kept(cached: Embedded, upstream: FaultyUpstream) -> None:
    upstream.reply(error(500))
    assert (await cached.chat()).status == 500
    upstream.reply(response(b'{"choices": ['))
    assert (await cached.chat()).status == 500
    choice = {"index": 0, "delta": {"content": "Half"}, "finish_reason": None}
    upstream.reply(chunked_head(), chunk(sse({"id": "x", "model": "m", "choices": [choice]})[0]), 0.02, CUT)
    assert "error" in await (await cached.chat(stream=True)).text()
    assert "Hello" in await (await cached.chat(stream=True)).text()
    assert "Hello" in await (await cached.chat()).text()


async def test_looking_after_it(cached: Embedded) -> None:
    ping = await (await cached.get("/cache/ping")).json()
    assert (ping["status"], ping["cache_type"]) == ("healthy", "local")
    await ask(cached)
    answer = await cached.chat()
    assert (await (await cached.post("/cache/clear", {})).json())["status"] == "success"
    assert not await ask(cached)
    answer = await cached.chat()
    deleted = await cached.post("/cache/delete", {"keys": [answer.headers["x-litellm-cache-key"]]})
    assert (await deleted.json()) == {"status": "success", "deleted": 1}
    assert not await ask(cached)
    info = await cached.get("/cache/redis/info")
    assert info.status == 503
    assert "Cache type local does not support redis info" in (await info.json())["detail"]
    metrics = await (await cached.get("/metrics")).text()
    assert 'litellm_cache_hits_metric_total{model="gpt-4o"' in metrics
    assert 'litellm_cache_misses_metric_total{model="gpt-4o"' in metrics


async def test_without_a_cache_it_says_how_to_get_one(gateway: Embedded) -> None:
    ping = await gateway.get("/cache/ping")
    assert ping.status == 503
    told = (await ping.json())["error"]
    assert told["type"] == "cache_ping_error"
    assert "litellm_settings.cache: true" in told["message"]


async def test_alike_calls_wait_for_the_first(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with caching(tmp_path, upstream, single_flight=True, mode="default_on") as gateway:
        go = asyncio.Event()
        upstream.reply(go, response(b'{"id":"r","model":"gpt-4o","choices":[],"usage":{"total_tokens":1}}'))
        calls = [asyncio.create_task(gateway.chat()) for _ in range(8)]
        await upstream.wait_for_requests(1)
        await asyncio.sleep(0.2)
        go.set()
        answers = await asyncio.gather(*calls)
        assert {await answer.read() for answer in answers} == {await answers[0].read()}
        assert len(upstream.requests) == 1
        assert sorted("x-litellm-cache-key" in answer.headers for answer in answers) == [False] + [True] * 7


async def test_when_the_first_fails_or_leaves_another_asks(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with caching(tmp_path, upstream, single_flight=True) as gateway:
        go = asyncio.Event()
        upstream.reply(go, error(500))
        calls = [asyncio.create_task(gateway.chat()) for _ in range(4)]
        await upstream.wait_for_requests(1)
        await asyncio.sleep(0.2)
        go.set()
        statuses = sorted([answer.status for answer in await asyncio.gather(*calls)])
        assert statuses == [200, 200, 200, 500], "a failure is not shared"
        assert len(upstream.requests) == 2
        upstream.reply(asyncio.Event())
        leader = asyncio.create_task(gateway.chat(seed=7))
        await upstream.wait_for_requests(3)
        follower = asyncio.create_task(gateway.chat(seed=7))
        await asyncio.sleep(0.1)
        leader.cancel()
        async with asyncio.timeout(5):
            assert (await follower).status == 200


async def test_models_of_one_caching_group_share_answers(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream)
    (one,) = config["model_list"]
    config["model_list"] = [one, {**one, "model_name": "n"}]
    config["litellm_settings"] = {"cache": True, "cache_params": {"type": "disk", "max_messages": None}}
    config["router_settings"]["caching_groups"] = [["m", "n"]]
    async with embedded_gateway(tmp_path, config) as gateway:
        first = await (await gateway.chat(model="m")).json()
        for _ in range(100):
            second = await gateway.chat(model="n")
            if "x-litellm-cache-key" in second.headers:
                break
        assert (await second.json())["id"] == first["id"]
    async with embedded_gateway(tmp_path, config) as gateway:
        assert "x-litellm-cache-key" in (await gateway.chat(model="m")).headers, "kept on disk"


async def test_a_redis_is_shared_and_its_death_costs_no_call(upstream: FaultyUpstream, tmp_path: Path) -> None:
    with ValkeyServer(password="secret") as server:
        server.start()
        where = {"type": "redis", "host": "127.0.0.1", "port": server.port, "password": "secret"}
        async with caching(tmp_path, upstream, **where) as gateway:
            await ask(gateway)
            async with asyncio.timeout(5):
                while not await ask(gateway):  # noqa: ASYNC110 - it is written in the background
                    await asyncio.sleep(0.01)
            ping = await (await gateway.get("/cache/ping")).json()
            assert (ping["cache_type"], ping["ping_response"], ping["set_cache_response"]) == ("redis", True, "success")
            assert "secret" not in str(ping)
            info = await (await gateway.get("/cache/redis/info")).json()
            assert info["num_clients"] >= 1
            server.kill()
            assert not await ask(gateway)
            assert (await gateway.get("/cache/ping")).status == 503


@pytest.mark.parametrize("kind", ["database", "s3"])
async def test_answers_outlive_the_gateway(upstream: FaultyUpstream, tmp_path: Path, kind: str) -> None:
    where: dict[str, Any] = {"type": kind, "timeout": 5}
    if kind == "s3":
        keys = {"s3_aws_access_key_id": "key of the tests", "s3_aws_secret_access_key": "secret of the tests"}
        where |= {"s3_bucket_name": moto.new_bucket(), "s3_endpoint_url": moto.shared_url(), **keys}
    async with caching(tmp_path, upstream, **where) as gateway:
        first = await gateway.chat()
    async with caching(tmp_path, upstream, **where) as gateway:
        again = await gateway.chat()
        assert await again.read() == await first.read(), "what was on its way to the store was written at the end"
        ping = await (await gateway.get("/cache/ping")).json()
        assert (ping["cache_type"], ping["ping_response"]) == (kind, None)
        assert "of the tests" not in str(ping)
        answers = {"keys": [again.headers["x-litellm-cache-key"]]}
        assert await (await gateway.post("/cache/delete", answers)).json() == {"status": "success", "deleted": 1}
        assert not await ask(gateway)
        assert (await gateway.post("/cache/clear", {})).status == 200
        assert not await ask(gateway)
        assert (await gateway.get("/cache/redis/info")).status == 503
