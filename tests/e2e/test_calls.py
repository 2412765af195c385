"""Calls through the whole gateway: what the client gets, what the provider sees, what the ledger says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream, error, response, sse, stream

PATHS = ["/v1{}", "{}", "/engines/m{}", "/openai/deployments/m{}?api-version=2024-10-21"]


async def test_a_plain_call_is_answered_metered_and_recorded(gateway: Embedded, upstream: FaultyUpstream) -> None:
    key = await gateway.create_key(models=["m"], max_budget=1, key_alias="app")
    answer = await gateway.chat(key=key, metadata={"tags": ["a"]}, user="customer-1")
    body = await answer.json()
    assert (answer.status, body["model"]) == (200, "m")
    usage = body["usage"]
    cost = usage["prompt_tokens"] * 2.5e-6 + usage["completion_tokens"] * 1e-5
    assert float(answer.headers["x-litellm-response-cost"]) == pytest.approx(cost, abs=1e-9)
    assert float(answer.headers["x-litellm-key-spend"]) == pytest.approx(cost, abs=1e-9)
    sent = upstream.requests[0]
    assert sent.json["model"] == "gpt-4o"
    assert "metadata" not in sent.json
    assert sent.json["user"] == "customer-1"
    assert sent.headers["authorization"] == "Bearer sk-upstream"
    (row,) = await gateway.records(request_id=body["id"])
    assert row["spend"] == pytest.approx(cost, abs=1e-9)
    assert row["litellm_call_id"] == answer.headers["x-litellm-call-id"]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (row["end_user"], row["request_tags"], row["status"]) == ("customer-1", ["a"], "success")
    info = await (await gateway.get(f"/key/info?key={key}")).json()
    total = await (await gateway.get("/global/spend")).json()
    assert info["info"]["spend"] == row["spend"] == total["spend"]


@pytest.mark.parametrize("pattern", PATHS)
@pytest.mark.parametrize(
    ("path", "field"), [("/chat/completions", "messages"), ("/completions", "prompt"), ("/embeddings", "input")]
)
async def test_every_alias_of_every_operation_works(
    gateway: Embedded, upstream: FaultyUpstream, pattern: str, path: str, field: str
) -> None:
    value = [{"role": "user", "content": "Hi"}] if field == "messages" else "Hi"
    body = {field: value} if "deployments" in pattern or "engines" in pattern else {"model": "m", field: value}
    answer = await gateway.post(pattern.format(path), body)
    assert answer.status == 200, await answer.text()
    assert upstream.requests[0].path == f"/v1{path}"


async def test_a_stream_is_relayed_and_metered_without_showing_usage(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key()
    answer = await gateway.chat(key=key, stream=True)
    text = await answer.text()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert text.endswith("data: [DONE]\n\n")
    assert {event["model"] for event in events} == {"m"}
    assert all(event["choices"] for event in events)
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events) == upstream.text
    (row,) = await gateway.records()
    assert row["spend"] > 0
    assert row["completion_tokens"] > 0


async def test_a_client_that_asks_for_usage_gets_it_last(gateway: Embedded) -> None:
    answer = await gateway.chat(stream=True, stream_options={"include_usage": True})
    events = [json.loads(line[6:]) for line in (await answer.text()).splitlines() if line.startswith("data: {")]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["total_tokens"] > 0


async def test_missing_usage_is_counted(gateway: Embedded, upstream: FaultyUpstream) -> None:
    body = {"id": "x", "model": "gpt-4o", "choices": [{"message": {"content": "Hello there, friend!"}}]}
    upstream.reply(response(json.dumps(body).encode()))
    answer = await gateway.chat()
    assert answer.status == 200
    (row,) = await gateway.records()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (8, 5)
    assert row["spend"] == pytest.approx(8 * 2.5e-6 + 5 * 1e-5)


@pytest.mark.parametrize(
    ("status", "client_status", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (404, 404, "invalid_request_error"),
        (429, 429, "throttling_error"),
        (500, 500, "internal_server_error"),
        (503, 503, "internal_server_error"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_refusal_of_the_provider_reaches_the_client_and_costs_nothing(
    gateway: Embedded, upstream: FaultyUpstream, status: int, client_status: int, kind: str, is_stream: bool
) -> None:
    key = await gateway.create_key(max_parallel_requests=1)
    upstream.reply(error(status, "words of the vendor", retry_after="7"))
    answer = await gateway.chat(key=key, stream=is_stream)
    body = await answer.json()
    assert answer.status == client_status
    assert body["error"]["type"] == kind
    assert body["error"]["message"].endswith("words of the vendor")
    assert body["error"]["code"] == str(client_status)
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["llm_provider-retry-after"] == "7"
    assert "x-litellm-model-id" in answer.headers
    (row,) = await gateway.records()
    assert (row["status"], row["spend"]) == ("failure", 0)
    assert (await gateway.chat(key=key)).status == 200, "the parallel slot must be free again"


async def test_an_error_as_first_event_becomes_a_proper_error(gateway: Embedded, upstream: FaultyUpstream) -> None:
    upstream.reply(*stream(*sse({"error": {"message": "too busy", "code": 429}})))
    answer = await gateway.chat(stream=True)
    assert answer.status == 429
    assert (await answer.json())["error"]["message"].endswith("too busy")


async def test_unpriced_models_are_served_and_say_so(tmp_path: Path, upstream: FaultyUpstream) -> None:
    config = model_list(upstream, model="openai/never-heard-of-it")
    async with embedded_gateway(tmp_path, config) as gateway:
        answer = await gateway.chat()
        assert answer.status == 200
        assert answer.headers["x-litellm-response-cost"] == "0.0"
        metrics = await (await gateway.get("/metrics", key=None)).text()
        assert 'tollway_unpriced_calls_total{model="never-heard-of-it"' in metrics


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", "request_body"),
        (b"[1]", "request_body"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":"x"}', "messages"),
        (b'{"model":5,"messages":[]}', "model"),
        (b'{"messages":[]}', "model"),
        (b'{"model":"nobody-serves-this","messages":[]}', "model"),
        (b'{"model":"m","messages":[],"tags":"x"}', "tags"),
        (b'{"model":"m","messages":[],"timeout":-1}', "timeout"),
    ],
)
async def test_bad_requests_get_the_envelope_and_reach_nobody(
    gateway: Embedded, upstream: FaultyUpstream, body: bytes, param: str
) -> None:
    answer = await gateway.post("/v1/chat/completions", body)
    error_object = (await answer.json())["error"]
    assert answer.status == 400
    assert error_object["param"] == param
    assert error_object["type"] == "invalid_request_error"
    assert upstream.requests == []


@pytest.mark.parametrize("field", ["api_base", "api_key", "base_url", "model_list", "aws_access_key_id"])
async def test_fields_that_would_redirect_the_call_are_refused(gateway: Embedded, field: str) -> None:
    answer = await gateway.chat(**{field: "http://evil"})
    assert answer.status == 401
    assert field in (await answer.json())["error"]["message"]


async def test_a_body_above_the_limit_is_refused(tmp_path: Path, upstream: FaultyUpstream) -> None:
    config = {**model_list(upstream), "general_settings": {"max_request_size_mb": 0.5}}
    async with embedded_gateway(tmp_path, config) as gateway:
        answer = await gateway.post("/v1/chat/completions", b'{"model":"m","messages":["' + b"x" * 2**19 + b'"]}')
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "content-length"


async def test_fields_of_a_later_release_are_named_in_a_header(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answer = await gateway.chat(policies=["n"], guardrails=["g"])
    assert answer.status == 200
    assert answer.headers["x-tollway-warning"] == "not supported yet, ignored: guardrails, policies"
    assert "guardrails" not in upstream.requests[0].json


async def test_a_mock_response_asks_nobody(gateway: Embedded, upstream: FaultyUpstream) -> None:
    answer = await gateway.chat(mock_response="as you wish")
    assert (await answer.json())["choices"][0]["message"]["content"] == "as you wish"
    assert upstream.requests == []


async def test_a_stream_says_what_the_key_had_spent(gateway: Embedded) -> None:
    key = await gateway.create_key(max_budget=1)
    first = await gateway.chat(key=key)
    stream = await gateway.chat(key=key, stream=True)
    assert stream.headers["x-litellm-key-spend"] == first.headers["x-litellm-key-spend"]
    assert stream.headers["x-litellm-key-max-budget"] == "1.0"


async def test_a_model_name_cannot_write_headers(tmp_path: Path, upstream: FaultyUpstream) -> None:
    config = model_list(upstream, model="openai/*")
    config["model_list"][0]["model_name"] = "*"
    async with embedded_gateway(tmp_path, config) as gateway:
        answer = await gateway.chat(model="x\r\nset-cookie: a=b\u2028")
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-litellm-model-group"] == "x??set-cookie: a=b?"
