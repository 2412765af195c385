"""Calls that ask a second deployment where the first keeps them waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import HANG, FaultyUpstream, chunk, chunked_head, error, response

AFTER_S = 0.1
SAID = json.dumps(
    {
        "id": "slow",
        "object": "chat.completion",
        "created": 1,
        "model": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Late."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }
).encode()


@pytest.fixture
async def second() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(text="Quick.") as server:
        yield server


@pytest.fixture
async def gateway(upstream: FaultyUpstream, second: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    def at(server: FaultyUpstream, name: str, **more: Any) -> dict[str, Any]:
        params = {"model": "openai/gpt-4o", "api_base": f"{server.url}/v1", "api_key": "sk-x", **more}
        return {"model_name": "m", "litellm_params": params, "model_info": {"id": name}}

    config = {
        "model_list": [at(upstream, "first", max_parallel_requests=5), at(second, "second", order=1)],
        "router_settings": {"hedge_after": AFTER_S, "num_retries": 0},
    }
    async with embedded_gateway(tmp_path, config) as one:
        yield one


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_the_second_answers_where_the_first_does_not(
    gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream, is_stream: bool
) -> None:
    upstream.reply(HANG)
    key = await gateway.create_key(max_budget=1)
    answer = await gateway.chat(key=key, stream=is_stream)
    assert answer.status == 200
    assert "Quick" in await answer.text()
    assert answer.headers["x-litellm-model-id"] == "second"
    assert answer.headers["x-litellm-attempted-retries"] == "0"
    await upstream.wait_for_close()
    (record,) = await gateway.records()
    (attempt,) = record["metadata"]["attempts"]
    assert (attempt["model_id"], attempt["error_class"]) == ("first", "Outrun")
    # The first has read the prompt, and is paid for that.
    assert record["prompt_tokens"] > (await second_usage(gateway, second, is_stream))


async def second_usage(gateway: Embedded, second: FaultyUpstream, is_stream: bool) -> int:
    """The prompt's tokens where nobody was outrun."""
    await gateway.post("/v1/chat/completions", {"model": "second", "messages": [{"role": "user", "content": "Hi"}]})
    return int((await gateway.records())[0]["prompt_tokens"])


async def test_the_first_counts_where_it_answers_in_time(
    gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream
) -> None:
    answer = await gateway.chat()
    assert answer.headers["x-litellm-model-id"] == "first"
    assert not second.requests


async def test_the_first_may_still_win(gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream) -> None:
    upstream.reply(AFTER_S + 0.15, response(SAID))
    second.reply(HANG)
    answer = await gateway.chat()
    assert (await answer.json())["choices"][0]["message"]["content"] == "Late."
    assert answer.headers["x-litellm-model-id"] == "first"
    await second.wait_for_close()
    (record,) = await gateway.records()
    (attempt,) = record["metadata"]["attempts"]
    assert attempt["model_id"] == "second"


async def test_one_that_fails_meanwhile_leaves_it_to_the_other(
    gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream
) -> None:
    upstream.reply(AFTER_S + 0.3, response(SAID))
    second.reply(error(500))
    answer = await gateway.chat()
    assert (await answer.json())["choices"][0]["message"]["content"] == "Late."
    (record,) = await gateway.records()
    assert [(one["model_id"], one["status"]) for one in record["metadata"]["attempts"]] == [("second", 500)]
    assert record["prompt_tokens"] == 7  # a refusal costs nothing


async def test_what_both_fail_with_is_told(gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream) -> None:
    upstream.reply(AFTER_S + 0.2, error(503, "First is down."))
    second.reply(error(500, "Second is down."))
    answer = await gateway.chat()
    assert answer.status == 503
    (record,) = await gateway.records()
    assert {one["model_id"] for one in record["metadata"]["attempts"]} == {"first", "second"}
    assert record["spend"] == 0


async def test_a_caller_who_leaves_stops_both(
    gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream
) -> None:
    upstream.reply(HANG)
    second.reply(HANG)
    call = asyncio.create_task(gateway.chat())
    await upstream.wait_for_requests(1)
    await second.wait_for_requests(1)
    call.cancel()
    await upstream.wait_for_close()
    await second.wait_for_close()


async def test_slots_and_money_are_given_back(
    gateway: Embedded, upstream: FaultyUpstream, second: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_budget=1, max_parallel_requests=1)
    for _ in range(7):  # the first has five slots
        upstream.reply(chunked_head(), chunk(b": wait\n\n"), HANG)
        answer = await gateway.chat(key=key, stream=True)
        assert answer.status == 200
        assert answer.headers["x-litellm-model-id"] == "second"
    spent = float((await (await gateway.get(f"/key/info?key={key}")).json())["info"]["spend"])
    assert spent == pytest.approx(sum(one["spend"] for one in await gateway.records()), abs=1e-9)
