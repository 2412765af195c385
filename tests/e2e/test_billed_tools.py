"""Tools of the vendors: searches of the web and of files, which are billed beside the tokens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream, response, sse, stream

PRICES = {
    "input_cost_per_token": 0,
    "output_cost_per_token": 0,
    "search_context_cost_per_query": {
        "search_context_size_low": 0.01,
        "search_context_size_medium": 0.02,
        "search_context_size_high": 0.05,
    },
    "file_search_cost_per_1k_calls": 2.5,
    "code_interpreter_cost_per_session": 0.03,
}


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded_gateway(tmp_path, model_list(upstream, **PRICES)) as running:
        yield running


async def spent(gateway: Embedded) -> float:
    return sum((float(row["spend"]) for row in await gateway.records()), 0.0)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_chat_that_asks_for_a_search_is_billed_for_one(gateway: Embedded, is_stream: bool) -> None:
    before = 0.0
    for options, cost in (
        ({}, 0.0),
        ({"web_search_options": None}, 0.0),
        ({"web_search_options": {}}, 0.02),
        ({"web_search_options": {"search_context_size": "high"}}, 0.05),
    ):
        assert (await gateway.chat(stream=is_stream, **options)).status == 200
        after = await spent(gateway)
        assert after - before == pytest.approx(cost), options
        before = after


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_response_is_billed_for_what_it_has_searched(
    gateway: Embedded, upstream: FaultyUpstream, is_stream: bool
) -> None:
    done = {"status": "completed"}
    output = [
        {"type": "web_search_call", "id": "1", "action": {"type": "search", "query": "a"}, **done},
        {"type": "web_search_call", "id": "2", "action": {"type": "open_page", "url": "https://a.example"}, **done},
        {"type": "web_search_call", "id": "3", "action": {"type": "search", "query": "b"}, "status": "failed"},
        {"type": "file_search_call", "id": "4", "queries": ["c"], **done},
        {"type": "code_interpreter_call", "id": "5", "container_id": "cntr_1", **done},
        {"type": "code_interpreter_call", "id": "6", "container_id": "cntr_1", **done},
    ]
    usage = {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}
    whole = {"id": "resp_1", "object": "response", "model": "gpt-4o", "output": output, "usage": usage, **done}
    last = {"type": "response.completed", "sequence_number": 1, "response": whole}
    upstream.reply(*(stream(*sse(last)) if is_stream else [response(json.dumps(whole).encode())]))
    asked = {"model": "m", "input": "Hi", "stream": is_stream}
    tools = [{"type": "web_search", "search_context_size": "low"}, {"type": "file_search", "vector_store_ids": ["vs"]}]

    assert (await gateway.post("/v1/responses", {**asked, "tools": tools})).status == 200
    assert await spent(gateway) == pytest.approx(0.01 + 0.0025 + 0.03)
