"""Calls in a vendor's service tiers: what is reserved for them, and what they cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream, response, sse, stream

PRICES = {
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 2e-06,
    "input_cost_per_token_priority": 1e-05,
    "output_cost_per_token_priority": 2e-05,
    "input_cost_per_token_flex": 5e-07,
}
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
STANDARD, PRIORITY, FLEX = 1.2e-04, 1.2e-03, 7e-05


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded_gateway(tmp_path, model_list(upstream, **PRICES)) as running:
        yield running


def answer(served: str | None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    tier = {} if served is None else {"service_tier": served}
    return {"id": "c", "object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": USAGE, **tier}


def events(served: str | None) -> list[dict[str, Any]]:
    """As Azure and older servers do it: the first event alone names the tier."""
    tier = {} if served is None else {"service_tier": served}
    said = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o"}
    return [{**head, **tier, "choices": [said]}, {**head, "choices": [], "usage": USAGE}]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_call_costs_what_the_tier_does_that_it_was_served_in(
    gateway: Embedded, upstream: FaultyUpstream, is_stream: bool
) -> None:
    for asked, served, cost in (
        (None, None, STANDARD),
        (None, "priority", PRIORITY),
        ("auto", "default", STANDARD),
        ("priority", "priority", PRIORITY),
        ("priority", "default", STANDARD),
        ("priority", None, PRIORITY),
        ("flex", "flex", FLEX),
    ):
        whole = response(json.dumps(answer(served)).encode())
        upstream.reply(*(stream(*sse(*events(served))) if is_stream else [whole]))
        fields = {} if asked is None else {"service_tier": asked}
        done = await gateway.chat(stream=is_stream, **fields)
        assert done.status == 200
        call = done.headers["x-litellm-call-id"]
        (record,) = [row for row in await gateway.records() if row["metadata"]["litellm_call_id"] == call]
        assert record["spend"] == pytest.approx(cost), (asked, served)
