"""Conversations that the gateway keeps, because the provider does not speak the Responses API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import FaultyUpstream, response
from tests.support.gateway import MASTER_KEY


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    """Two models that speak chat; what they are asked, `upstream` shows."""
    params = {"api_base": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    models = [
        {"model_name": name, "litellm_params": {"model": f"hosted_vllm/{name}", **params}, "model_info": {"id": name}}
        for name in ("one", "two")
    ]
    config = {"model_list": models, "router_settings": {"num_retries": 0}}
    async with embedded_gateway(tmp_path, config) as running:
        yield running


def json_answer(message: dict[str, Any]) -> bytes:
    """A chat completion with this message."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return response(
        json.dumps(
            {"id": "c", "object": "chat.completion", "model": "one", "choices": [choice], "usage": usage}
        ).encode()
    )


async def respond(gateway: Embedded, text: Any, previous: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {"model": "one", "input": text, "previous_response_id": previous, **fields}
    answer = await gateway.post("/v1/responses", body)
    assert answer.status == 200, await answer.text()
    if fields.get("stream"):
        *_, last = [line for line in (await answer.text()).splitlines() if line.startswith("data: ")]
        return dict(json.loads(last.removeprefix("data: "))["response"])
    return dict(await answer.json())


def asked(upstream: FaultyUpstream) -> list[tuple[str, Any]]:
    """The messages of the last request."""
    return [(message["role"], message["content"]) for message in upstream.requests[-1].json["messages"]]


SAID = ("assistant", "Hello from a model that is not one.")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_conversation_goes_on_over_turns_and_models(
    gateway: Embedded, upstream: FaultyUpstream, is_stream: bool
) -> None:
    first = await respond(gateway, "one", instructions="Be brief.", stream=is_stream)
    second = await respond(gateway, [{"role": "user", "content": "two"}], first["id"], model="two", stream=is_stream)
    assert second["previous_response_id"] == first["id"]
    third = await respond(gateway, "three", second["id"], stream=is_stream)
    assert asked(upstream) == [("user", "one"), SAID, ("user", "two"), SAID, ("user", "three")]
    assert upstream.requests[-1].json["model"] == "one"
    await respond(gateway, "a branch", first["id"])
    assert asked(upstream) == [("user", "one"), SAID, ("user", "a branch")]
    assert len({first["id"], second["id"], third["id"]}) == 3


async def test_tools_are_answered_without_sending_the_call_again(gateway: Embedded, upstream: FaultyUpstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    upstream.reply(json_answer(message))
    first = await respond(gateway, "one", tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}])
    await respond(gateway, [{"type": "function_call_output", "call_id": "call_1", "output": "18"}], first["id"])
    _, called, result = upstream.requests[-1].json["messages"]
    assert called["tool_calls"] == [call]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "18")


async def test_items_can_be_referred_to(gateway: Embedded, upstream: FaultyUpstream) -> None:
    first = await respond(gateway, "one")
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    await respond(gateway, [{"role": "user", "content": "one"}, reference, {"role": "user", "content": "two"}])
    assert asked(upstream) == [("user", "one"), SAID, ("user", "two")]


async def test_a_response_is_its_owners_alone(gateway: Embedded, upstream: FaultyUpstream) -> None:
    mine, other = await gateway.create_key(), await gateway.create_key()
    body = {"model": "one", "input": "Hi"}
    first = await (await gateway.post("/v1/responses", body, key=mine)).json()
    follow_up = {**body, "previous_response_id": first["id"]}
    assert (await gateway.post("/v1/responses", follow_up, key=mine)).status == 200
    sent = len(upstream.requests)
    for key in (other, MASTER_KEY):
        refused = await gateway.post("/v1/responses", follow_up, key=key)
        error = (await refused.json())["error"]
        assert (refused.status, error["param"]) == (404, "previous_response_id")
        assert f"Previous response with id '{first['id']}' not found" in error["message"]
    assert len(upstream.requests) == sent


async def test_keys_of_one_user_share_their_responses(gateway: Embedded) -> None:
    keys = [await gateway.create_key(user_id="ada") for _ in range(2)]
    body = {"model": "one", "input": "Hi"}
    first = await (await gateway.post("/v1/responses", body, key=keys[0])).json()
    answer = await gateway.post("/v1/responses", {**body, "previous_response_id": first["id"]}, key=keys[1])
    assert answer.status == 200


async def test_what_is_not_to_be_stored_is_not(gateway: Embedded) -> None:
    first = await respond(gateway, "one", store=False)
    assert first["store"] is False
    refused = await gateway.post("/v1/responses", {"model": "one", "input": "x", "previous_response_id": first["id"]})
    assert refused.status == 404


async def test_only_a_provider_of_its_own_answers_in_the_background(gateway: Embedded) -> None:
    refused = await gateway.post("/v1/responses", {"model": "one", "input": "x", "background": True})
    error = (await refused.json())["error"]
    assert (refused.status, error["param"]) == (400, "background")


# ---- asking for one again --------------------------------------------------------------------------------------------


async def page(gateway: Embedded, path: str, *, method: str = "GET", key: str = MASTER_KEY) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    answer = await gateway.session.request(method, f"{gateway.url}{path}", headers=headers)
    return answer.status, await answer.json()


async def test_a_response_is_read_again_until_it_is_deleted(gateway: Embedded) -> None:
    first = await respond(gateway, "one", metadata={"a": "b"})
    for root in ("/v1/responses", "/responses", "/openai/v1/responses"):
        assert await page(gateway, f"{root}/{first['id']}") == (200, first)
    deleted = {"id": first["id"], "object": "response", "deleted": True}
    assert await page(gateway, f"/v1/responses/{first['id']}", method="DELETE") == (200, deleted)
    for method in ("GET", "DELETE"):
        status, body = await page(gateway, f"/v1/responses/{first['id']}", method=method)
        assert (status, body["error"]["type"]) == (404, "invalid_request_error")
        assert f"Response with id '{first['id']}' not found" in body["error"]["message"]


async def test_a_response_is_read_again_as_the_events_that_it_came_as(gateway: Embedded) -> None:
    body = {"model": "one", "input": "Hi", "stream": True, "temperature": 0.5}
    streamed = (await (await gateway.post("/v1/responses", body)).text()).split("\n\n")
    last = json.loads(streamed[-2].partition("data: ")[2])["response"]
    path = f"/v1/responses/{last['id']}?stream=true"
    replayed = (await (await gateway.get(path)).text()).split("\n\n")
    assert json.loads(replayed[-2].partition("data: ")[2])["response"] == last
    rest = (await (await gateway.get(f"{path}&starting_after=3")).text()).split("\n\n")
    assert rest == replayed[4:]
    assert '"sequence_number":4' in rest[0]
    assert (await page(gateway, f"{path}&starting_after=x"))[1]["error"]["param"] == "starting_after"


async def test_what_it_was_the_answer_to_comes_in_pages(gateway: Embedded) -> None:
    words = [{"role": "user", "content": word} for word in ("a", "b", "c")]
    first = await respond(gateway, words)
    path = f"/v1/responses/{first['id']}/input_items"
    _, newest = await page(gateway, f"{path}?limit=2")
    assert [item["content"][0]["text"] for item in newest["data"]] == ["c", "b"]
    assert newest["has_more"]
    _, rest = await page(gateway, f"{path}?after={newest['last_id']}")
    assert [item["content"][0]["text"] for item in rest["data"]] == ["a"]
    assert not rest["has_more"]
    assert [item["id"] for item in (await page(gateway, f"{path}?order=asc"))[1]["data"]][::-1] == [
        item["id"] for item in newest["data"] + rest["data"]
    ]
    assert (await page(gateway, f"{path}?limit=0"))[0] == 400


async def test_only_what_runs_in_the_background_can_be_cancelled(gateway: Embedded) -> None:
    first = await respond(gateway, "one")
    status, body = await page(gateway, f"/v1/responses/{first['id']}/cancel", method="POST")
    assert (status, "synchronous" in body["error"]["message"]) == (400, True)


async def test_the_pages_are_the_owners_alone(gateway: Embedded) -> None:
    other, first = await gateway.create_key(), await respond(gateway, "one")
    path = f"/v1/responses/{first['id']}"
    for method, suffix in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
        assert (await page(gateway, path + suffix, method=method, key=other))[0] == 404
        assert (await page(gateway, path + suffix, method=method, key="sk-nobody-knows-this-one"))[0] == 401
    assert (await page(gateway, path))[0] == 200


# ---- summing up, counting --------------------------------------------------------------------------------------------


async def test_a_conversation_is_summed_up_and_goes_on_from_that(gateway: Embedded, upstream: FaultyUpstream) -> None:
    key, other = await gateway.create_key(), await gateway.create_key()
    first = await (await gateway.post("/v1/responses", {"model": "one", "input": "my secret"}, key=key)).json()
    upstream.text = "They said something."
    body = {"model": "one", "previous_response_id": first["id"], "instructions": "Be brief."}
    compaction = await (await gateway.post("/v1/responses/compact", body, key=key)).json()
    assert compaction["object"] == "response.compaction"
    assert compaction["usage"]["total_tokens"] > 0
    roles, texts = zip(*asked(upstream), strict=True)
    assert roles == ("system", "user", "assistant", "user")
    assert texts[:2] == ("Be brief.", "my secret")
    assert "Sum up the whole conversation" in texts[3]
    [item] = compaction["output"]
    assert item["type"] == "compaction"
    assert "something" not in json.dumps(item)
    follow_up = {"model": "two", "input": [item, {"role": "user", "content": "And now?"}]}
    second = await (await gateway.post("/v1/responses", follow_up, key=key)).json()
    [(_, summary), last] = asked(upstream)
    assert summary.endswith("\n\nThey said something.")
    assert last == ("user", "And now?")
    third = {"model": "one", "input": "x", "previous_response_id": second["id"]}
    assert (await gateway.post("/v1/responses", third, key=key)).status == 200
    assert asked(upstream)[0] == ("user", summary)
    refused = await gateway.post("/v1/responses", follow_up, key=other)
    assert (refused.status, "compaction" in (await refused.json())["error"]["message"]) == (400, True)
    spent = [record for record in await gateway.records(api_key=key) if record["api_base"]]
    assert len(spent) == 4, "it is a call like any other"


async def test_a_compaction_is_not_streamed(gateway: Embedded) -> None:
    refused = await gateway.post("/v1/responses/compact", {"model": "one", "input": "Hi", "stream": True})
    assert (refused.status, (await refused.json())["error"]["param"]) == (400, "stream")


async def test_the_history_is_counted(gateway: Embedded, upstream: FaultyUpstream) -> None:
    body = {"model": "one", "input": "Hello there, how are you?"}
    first = await respond(gateway, "word " * 100)
    sent = len(upstream.requests)
    alone = await (await gateway.post("/v1/responses/input_tokens", body)).json()
    both = await (
        await gateway.post("/v1/responses/input_tokens", {**body, "previous_response_id": first["id"]})
    ).json()
    assert alone["object"] == "response.input_tokens"
    assert both["input_tokens"] > alone["input_tokens"] + 100
    assert len(upstream.requests) == sent
