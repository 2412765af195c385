"""Responses that a provider keeps: what goes on from one, and asks for it, goes there; nobody else's does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import FaultyUpstream, error, response, stream
from tests.support.gateway import MASTER_KEY

USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    """Two deployments of one model, each of an account of its own."""
    deployments = [
        {
            "model_name": "m",
            "litellm_params": {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/{name}", "api_key": f"sk-{name}"},
            "model_info": {"id": name},
        }
        for name in ("a", "b")
    ]
    config = {"model_list": deployments, "router_settings": {"num_retries": 0}}
    async with embedded_gateway(tmp_path, config) as running:
        yield running


def document(id: str, previous: str | None = None, **more: Any) -> dict[str, Any]:
    said = {"type": "output_text", "text": "Hi", "annotations": []}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [said]}
    head = {"id": id, "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o"}
    return {**head, "previous_response_id": previous, "output": [item], "usage": USAGE, **more}


def answers(upstream: FaultyUpstream, *documents: Any) -> None:
    for one in documents:
        upstream.reply(response(json.dumps(one, indent=1).encode()))


async def create(gateway: Embedded, key: str = MASTER_KEY, **fields: Any) -> Any:
    return await (await gateway.post("/v1/responses", {"model": "m", "input": "Hi", **fields}, key=key)).json()


async def page(gateway: Embedded, path: str, *, method: str = "GET", key: str = MASTER_KEY) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    answer = await gateway.session.request(method, f"{gateway.url}/v1/responses/{path}", headers=headers)
    return answer.status, await answer.json()


async def test_a_conversation_stays_with_its_deployment(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answers(upstream, document("resp_1"), *(document("resp_2", "resp_1") for _ in range(6)))
    first = await create(gateway)
    home = upstream.requests[0].target
    for _ in range(6):
        second = await create(gateway, previous_response_id=first["id"])
        assert (second["previous_response_id"], second["model"]) == (first["id"], "m")
        request = upstream.requests[-1]
        assert (request.target, request.json["previous_response_id"]) == (home, "resp_1")
    assert first | {"id": "resp_1", "model": "gpt-4o"} == document("resp_1"), "nothing else has changed"


async def test_a_stream_has_the_callers_name_of_the_response(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answers(upstream, document("resp_1"))
    first = await create(gateway)
    kinds = ("response.created", "response.in_progress", "response.output_item.added", "response.completed")
    events = [
        b"event: %s\ndata: %s\n\n"
        % (
            kind.encode(),
            json.dumps({"type": kind, "response": document("resp_2", "resp_1"), "sequence_number": n}).encode(),
        )
        for n, kind in enumerate(kinds)
    ]
    upstream.reply(*stream(*events))
    body = {"model": "m", "input": "Hi", "stream": True, "previous_response_id": first["id"]}
    text = await (await gateway.post("/v1/responses", body)).text()
    seen = [json.loads(line[6:])["response"] for line in text.splitlines() if line.startswith("data: ")]
    assert {one["previous_response_id"] for one in seen} == {first["id"]}
    [name] = {one["id"] for one in seen}
    answers(upstream, document("resp_3"))
    await create(gateway, previous_response_id=name)
    assert upstream.requests[-1].json["previous_response_id"] == "resp_2"


async def test_its_provider_is_asked_for_it(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answers(upstream, document("resp_1"))
    id = (await create(gateway))["id"]  # noqa: A001  (it is one)
    home = upstream.requests[0].target
    items = {"object": "list", "data": [{"id": "msg_0"}], "has_more": False}
    deleted = {"id": "resp_1", "object": "response", "deleted": True}
    answers(upstream, document("resp_1", "resp_0"), items, document("resp_1", status="cancelled"), deleted)
    status, read = await page(gateway, f"{id}?include=a&include=b")
    assert (status, read["id"], read["model"], read["output"]) == (200, id, "m", document("")["output"])
    assert read["previous_response_id"] not in (None, "resp_0")
    assert await page(gateway, f"{id}/input_items?limit=3") == (200, items)
    assert (await page(gateway, f"{id}/cancel", method="POST"))[1]["id"] == id
    assert await page(gateway, id, method="DELETE") == (200, {**deleted, "id": id})
    assert [(one.method, one.target) for one in upstream.requests[1:]] == [
        ("GET", f"{home}/resp_1?include=a&include=b"),
        ("GET", f"{home}/resp_1/input_items?limit=3"),
        ("POST", f"{home}/resp_1/cancel"),
        ("DELETE", f"{home}/resp_1"),
    ]
    assert {one.headers["authorization"] for one in upstream.requests} == {f"Bearer sk-{home[1]}"}
    upstream.reply(error(404, "Response with id 'resp_1' not found."))
    status, body = await page(gateway, id)
    assert (status, f"Response with id '{id}' not found." in body["error"]["message"]) == (404, True)


async def test_its_events_are_read_from_the_provider(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answers(upstream, document("resp_1"))
    id = (await create(gateway))["id"]  # noqa: A001
    event = json.dumps({"type": "response.completed", "response": document("resp_1"), "sequence_number": 9}).encode()
    upstream.reply(*stream(b'data: {"type":"response.output_text.delta","delta":"x"}\n\n', b"data: %s\n\n" % event))
    answer = await gateway.get(f"/v1/responses/{id}?stream=true&starting_after=7")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert upstream.requests[-1].target.endswith("/resp_1?stream=true&starting_after=7")
    first, last = [line[6:] for line in (await answer.text()).splitlines() if line.startswith("data: ")]
    assert (json.loads(first)["delta"], json.loads(last)["response"]["id"]) == ("x", id)


async def test_nobody_else_gets_at_it(gateway: Embedded, upstream: FaultyUpstream) -> None:
    mine, other = await gateway.create_key(), await gateway.create_key()
    answers(upstream, document("resp_1"))
    id = (await create(gateway, mine))["id"]  # noqa: A001
    for name in (id, "resp_1", id[:-2] + "AA"):
        refused = await create(gateway, other, previous_response_id=name)
        assert (refused["error"]["code"], refused["error"]["param"]) == ("404", "previous_response_id")
        for method, suffix in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
            assert (await page(gateway, name + suffix, method=method, key=other))[0] == 404
    assert len(upstream.requests) == 1


async def test_a_deployment_that_is_gone_is_named(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answers(upstream, document("resp_1"))
    id = (await create(gateway))["id"]  # noqa: A001
    home = upstream.requests[0].target[1]
    config = gateway.config_file.read_text()
    gateway.config_file.write_text(config.replace(f"id: {home}\n", "id: new\n"))
    await gateway.reloader.reload()
    for status, body in (await page(gateway, id), (404, await create(gateway, previous_response_id=id))):
        assert (status, f"the deployment {home}, which is no longer configured" in body["error"]["message"]) == (
            404,
            True,
        )


async def test_its_provider_sums_up_and_counts(gateway: Embedded, upstream: FaultyUpstream) -> None:
    item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "vendor's own"}
    compaction = {"id": "resp_1", "object": "response.compaction", "created_at": 1, "output": [item], "usage": USAGE}
    answers(upstream, compaction, {"object": "response.input_tokens", "input_tokens": 11}, document("resp_2"))
    answer = await (await gateway.post("/v1/responses/compact", {"model": "m", "input": "Hi"})).json()
    assert answer == {**compaction, "id": answer["id"]}
    counted = await (await gateway.post("/v1/responses/input_tokens", {"model": "m", "input": "Hi"})).json()
    assert (counted["input_tokens"], counted["litellm_count_source"]) == (11, "provider")
    await create(gateway, input=[item])
    assert [one.path.partition("/responses")[2] for one in upstream.requests] == ["/compact", "/input_tokens", ""]
    assert upstream.requests[-1].json["input"] == [item]
    [spent, _] = [row["total_tokens"] for row in await gateway.records() if row["total_tokens"]]
    assert spent == 7
