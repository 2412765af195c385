"""A gateway, and deployments, that have all they can take."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.support.embedded import embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream, response

ANSWER = response(b'{"id":"r","model":"gpt-4o","choices":[],"usage":{"total_tokens":1}}')


async def test_calls_beyond_what_a_process_serves_wait_or_are_told_to_come_back(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    config = model_list(upstream)
    config["general_settings"] = {"max_in_flight_requests_per_worker": 1, "max_queued_requests_per_worker": 2}
    async with embedded_gateway(tmp_path, config) as gateway:
        go = asyncio.Event()
        upstream.reply(go, ANSWER)
        first = asyncio.create_task(gateway.chat())
        await upstream.wait_for_requests(1)
        waiting = [asyncio.create_task(gateway.chat(priority=priority)) for priority in (5, 1)]
        await asyncio.sleep(0.1)
        refused = await gateway.chat()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (await refused.json())["error"]["type"] == "service_unavailable_error"
        assert (await gateway.get("/health/liveliness")).status == 200
        go.set()
        assert [answer.status for answer in await asyncio.gather(first, *waiting)] == [200] * 3


async def test_short_of_memory_it_takes_no_more_calls(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream)
    config["general_settings"] = {"max_memory_mb": 1}
    async with embedded_gateway(tmp_path, config) as gateway:
        async with asyncio.timeout(5):
            while (answer := await gateway.chat()).status == 200:  # noqa: ASYNC110 - it looks now and then
                await asyncio.sleep(0.05)
        assert answer.status == 503
        assert "short of memory" in await answer.text()
        assert (await gateway.get("/key/list")).status == 200, "it can be looked after"


async def test_calls_that_name_a_priority_wait_for_a_slot_of_a_deployment(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    config = model_list(upstream, max_parallel_requests=1)
    config["general_settings"] = {"admission_queue_timeout_seconds": 5}
    async with embedded_gateway(tmp_path, config) as gateway:
        go = asyncio.Event()
        upstream.reply(go, ANSWER)
        first = asyncio.create_task(gateway.chat())
        await upstream.wait_for_requests(1)
        assert (await gateway.chat()).status == 429, "those who name none are told at once"
        served: list[int] = []

        async def call(priority: int) -> Any:
            answer = await gateway.chat(priority=priority)
            served.append(priority)
            return answer

        waiting = [asyncio.create_task(call(priority)) for priority in (3, 1, 2)]
        await asyncio.sleep(0.2)
        go.set()
        answers = await asyncio.gather(first, *waiting)
        assert [answer.status for answer in answers] == [200] * 4
        assert served == [1, 2, 3]


async def test_all_keys_together_have_a_limit_too(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream)
    config["general_settings"] = {"global_max_parallel_requests": 1}
    async with embedded_gateway(tmp_path, config) as gateway:
        one, other = await gateway.create_key(), await gateway.create_key()
        go = asyncio.Event()
        upstream.reply(go, ANSWER)
        first = asyncio.create_task(gateway.chat(key=one))
        await upstream.wait_for_requests(1)
        assert (await gateway.chat(key=other)).status == 429
        assert (await gateway.chat()).status == 200, "the master key's do not count"
        go.set()
        assert (await first).status == 200
