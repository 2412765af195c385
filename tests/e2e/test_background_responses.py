"""Responses that a provider makes in the background: their usage is billed once, when somebody gets them complete."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream, error, response, sse, stream

USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
COST = 1000 * 2.5e-6 + 100 * 1e-5
PRIORITY_COST = 1000 * 4.25e-6 + 100 * 1.7e-5


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded_gateway(tmp_path, model_list(upstream)) as running:
        yield running


def document(status: str, **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1764150000.0, "model": "gpt-4o", "background": True}
    usage = USAGE if status in ("completed", "incomplete") else None
    return {**head, "status": status, "output": [], "usage": usage, "service_tier": "default", **more}


def event(kind: str, status: str, number: int) -> dict[str, Any]:
    return {"type": f"response.{kind}", "sequence_number": number, "response": document(status)}


async def create(gateway: Embedded, key: str, **fields: Any) -> Any:
    return await gateway.post("/v1/responses", {"model": "m", "input": "Hi", "background": True, **fields}, key=key)


async def get(gateway: Embedded, key: str, id: str, query: str = "") -> Any:
    return await gateway.get(f"/v1/responses/{id}{query}", key=key)


async def spends(gateway: Embedded, key: str) -> tuple[Any, Any]:
    """Of its records, oldest first, and of the key as it is limited."""
    records = await gateway.records(api_key=key)
    info = await (await gateway.get(f"/key/info?key={key}")).json()
    return [row["spend"] for row in sorted(records, key=lambda row: row["endTime"])], info["info"]["spend"]


def answers(upstream: FaultyUpstream, *documents: Any) -> None:
    for one in documents:
        upstream.reply(response(json.dumps(one).encode()))


@pytest.mark.parametrize(("tier", "cost"), [("default", COST), ("priority", PRIORITY_COST)])
async def test_usage_is_billed_when_the_response_is_complete_and_never_again(
    gateway: Embedded, upstream: FaultyUpstream, tier: str, cost: float
) -> None:
    key = await gateway.create_key(max_budget=1)
    answers(upstream, document("queued"), document("in_progress"))
    id = (await (await create(gateway, key)).json())["id"]  # noqa: A001
    assert (await (await get(gateway, key, id)).json())["status"] == "in_progress"
    assert await spends(gateway, key) == ([0.0], 0.0)

    for _ in range(3):
        answers(upstream, document("completed", service_tier=tier))
        done = await get(gateway, key, id)
        assert (done.status, (await done.json())["usage"]) == (200, USAGE)
    records, spent = await spends(gateway, key)
    assert records == [0.0, pytest.approx(cost)]
    assert spent == pytest.approx(cost)


async def test_another_process_finds_in_the_ledger_that_it_was_billed(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream)
    async with embedded_gateway(tmp_path, config) as first:
        key = await first.create_key()
        answers(upstream, document("queued"), document("completed"))
        id = (await (await create(first, key)).json())["id"]  # noqa: A001
        await get(first, key, id)
    async with embedded_gateway(tmp_path, config) as second:
        answers(upstream, document("completed"))
        assert (await get(second, key, id)).status == 200
        assert await spends(second, key) == ([0.0, pytest.approx(COST)], pytest.approx(COST))


async def test_a_stream_that_was_heard_to_its_end_is_billed_by_its_call(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key()
    upstream.reply(*stream(*sse(event("created", "queued", 0), event("completed", "completed", 1))))
    text = await (await create(gateway, key, stream=True)).text()
    id = json.loads(text.splitlines()[0].removeprefix("data: "))["response"]["id"]  # noqa: A001
    answers(upstream, document("completed"))
    assert (await get(gateway, key, id)).status == 200
    assert await spends(gateway, key) == ([pytest.approx(COST)], pytest.approx(COST))


async def test_a_stream_that_was_cut_is_billed_when_it_is_taken_up_again(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key()
    delta = {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hello"}
    upstream.reply(*stream(*sse(event("created", "in_progress", 0), delta)[:2]))
    text = await (await create(gateway, key, stream=True)).text()
    id = json.loads(text.splitlines()[0].removeprefix("data: "))["response"]["id"]  # noqa: A001
    assert await spends(gateway, key) == ([0.0], 0.0)

    upstream.reply(*stream(*sse(event("completed", "completed", 2))))
    rest = await get(gateway, key, id, "?stream=true&starting_after=1")
    assert '"response.completed"' in await rest.text()
    assert await spends(gateway, key) == ([0.0, pytest.approx(COST)], pytest.approx(COST))


async def test_a_spent_budget_does_not_keep_an_answer_from_being_billed_and_given(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_budget=0.001)
    answers(upstream, document("queued"), document("completed"))
    id = (await (await create(gateway, key)).json())["id"]  # noqa: A001
    assert (await get(gateway, key, id)).status == 200
    assert (await spends(gateway, key))[1] == pytest.approx(COST)
    assert (await create(gateway, key)).status == 422


async def test_a_price_per_call_is_taken_once_and_not_of_calls_that_failed(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    prices = {"input_cost_per_token": 0, "output_cost_per_token": 0, "input_cost_per_request": 0.5}
    async with embedded_gateway(tmp_path, model_list(upstream, **prices)) as gateway:
        key = await gateway.create_key()
        answers(upstream, document("queued"), document("completed"))
        id = (await (await create(gateway, key)).json())["id"]  # noqa: A001
        await get(gateway, key, id)
        upstream.reply(error(400))
        assert (await gateway.chat(key=key)).status == 400
        assert await spends(gateway, key) == ([0.0, 0.5, 0.0], 0.5)
