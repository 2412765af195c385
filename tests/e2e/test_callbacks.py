"""Callbacks: what a server that is told about calls gets of them, and what calls notice of it (nothing)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.http_server import HttpServer, Reply, http_server

SALT = "sk-salt-of-the-tests"
CHAT = "/v1/chat/completions"
MESSAGE = {"role": "user", "content": "Say lemon"}


@asynccontextmanager
async def told(folder: Path, **settings: Any) -> AsyncIterator[tuple[Embedded, HttpServer]]:
    """A gateway with the built-in model `demo`, and a server that its calls are reported to."""
    general = settings.pop("general_settings", {})
    callbacks = settings.pop("callbacks", ["generic_api"])
    async with http_server(lambda request: Reply(200, b"{}")) as server:
        config = {
            "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "lemon"}}],
            "litellm_settings": {"callbacks": callbacks, **settings},
            "general_settings": general,
        }
        environ = {
            "LITELLM_SALT_KEY": SALT,
            "GENERIC_LOGGER_ENDPOINT": f"{server.url}/operator",
            "GENERIC_LOGGER_HEADERS": "x-token=of-the-operator",
        }
        async with embedded_gateway(folder, config, environ) as gateway:
            yield gateway, server


async def payloads(gateway: Embedded, server: HttpServer) -> list[dict[str, Any]]:
    """All that was told; what still waits is told now."""
    await gateway.runtime.callbacks.close()
    return [one for request in server.requests for one in msgspec.json.decode(request.body)]


async def test_a_webhook_gets_calls_with_question_answer_cost_and_the_callers_metadata(tmp_path: Path) -> None:
    async with told(tmp_path) as (gateway, server):
        key = await gateway.create_key(key_alias="of ada")
        metadata = {"trace_id": "t1", "generation_name": "poem", "trace_user_id": "ada", "tags": ["red"]}
        body = {"model": "m", "messages": [MESSAGE], "temperature": 0.5, "metadata": metadata}
        answer = await gateway.post(CHAT, body, key=key)
        assert answer.status == 200
        [one] = await payloads(gateway, server)
        [request] = server.requests
    assert (request.method, request.target) == ("POST", "/operator")
    assert request.headers["x-token"] == "of-the-operator"
    assert key not in request.body.decode()
    assert (one["status"], one["call_type"], one["model_group"]) == ("success", "acompletion", "m")
    assert one["messages"] == [MESSAGE]
    assert one["response"]["choices"][0]["message"]["content"] == "lemon"
    assert one["model_parameters"] == {"temperature": 0.5}
    assert one["metadata"]["user_api_key_alias"] == "of ada"
    assert one["metadata"]["requester_metadata"] == metadata
    assert (one["trace_id"], one["request_tags"]) == ("t1", ["red"])
    assert one["total_tokens"] > 0


async def test_a_stream_is_told_as_one_answer(tmp_path: Path) -> None:
    async with told(tmp_path) as (gateway, server):
        for path, body in (
            (CHAT, {"messages": [MESSAGE]}),
            ("/v1/messages", {"messages": [MESSAGE], "max_tokens": 20}),
            ("/v1/responses", {"input": "Say lemon"}),
        ):
            answer = await gateway.post(path, {"model": "m", "stream": True, **body})
            assert answer.status == 200, await answer.text()
        chat, messages, responses = await payloads(gateway, server)
    assert chat["response"]["choices"][0]["message"]["content"] == "lemon"
    assert messages["response"]["content"][0]["text"] == "lemon"
    assert responses["response"]["output"][-1]["content"][0]["text"] == "lemon"
    assert chat["stream"]


async def test_redaction_leaves_no_word_of_what_was_said(tmp_path: Path) -> None:
    settings = {"turn_off_message_logging": True, "redact_user_api_key_info": True}
    async with told(tmp_path, **settings) as (gateway, server):
        key = await gateway.create_key(key_alias="of ada")
        await gateway.chat(key=key, messages=[MESSAGE])
        [one] = await payloads(gateway, server)
        raw = server.requests[0].body.decode()
    assert one["messages"] == [{"role": "user", "content": "redacted-by-litellm"}]
    assert one["response"] == {"text": "redacted-by-litellm"}
    assert "lemon" not in raw
    assert "of ada" not in raw
    assert "user_api_key_hash" not in one["metadata"]


async def test_callers_can_redact_leave_out_and_opt_out(tmp_path: Path) -> None:
    async with told(tmp_path) as (gateway, server):
        body = {"model": "m", "messages": [MESSAGE]}
        await gateway.post(CHAT, body, headers={"x-litellm-enable-message-redaction": "true"})
        await gateway.post(CHAT, body, headers={"x-litellm-disable-callbacks": "langfuse, generic_api"})
        await gateway.post(CHAT, {**body, "no-log": True})
        [one] = await payloads(gateway, server)
    assert one["messages"] == [{"role": "user", "content": "redacted-by-litellm"}]


async def test_operators_can_forbid_that(tmp_path: Path) -> None:
    settings = {"allow_dynamic_callback_disabling": False, "global_disable_no_log_param": True}
    async with told(tmp_path, **settings) as (gateway, server):
        body = {"model": "m", "messages": [MESSAGE]}
        await gateway.post(CHAT, body, headers={"x-litellm-disable-callbacks": "generic_api"})
        await gateway.post(CHAT, {**body, "no-log": True})
        assert len(await payloads(gateway, server)) == 2


async def test_a_key_reports_to_a_place_of_its_own_with_nothing_of_the_operators(tmp_path: Path) -> None:
    async with told(tmp_path, callbacks=[], general_settings={"allow_private_callback_addresses": True}) as told_to:
        gateway, server = told_to
        logging = {
            "callback_name": "generic_api",
            "callback_type": "success",
            "callback_vars": {"endpoint": f"{server.url}/key", "turn_off_message_logging": "true"},
        }
        key = await gateway.create_key(metadata={"logging": [logging]})
        await gateway.chat(key=key)
        await gateway.chat()
        [one] = await payloads(gateway, server)
        [request] = server.requests
    assert request.target == "/key"
    assert "x-token" not in request.headers, "credentials of the operator go nowhere else"
    assert one["response"] == {"text": "redacted-by-litellm"}


async def test_credentials_of_keys_and_teams_are_sealed_and_never_shown(tmp_path: Path) -> None:
    settings = {"general_settings": {"allow_private_callback_addresses": True}}
    async with told(tmp_path, callbacks=[], **settings) as (gateway, server):
        headers = "x-token=s3cr3t-of-the-key"
        logging = {"callback_name": "generic_api", "callback_vars": {"endpoint": f"{server.url}/", "headers": headers}}
        masked = {**logging, "callback_vars": {"endpoint": "***", "headers": "***"}}
        key = await gateway.create_key(metadata={"logging": [logging]})
        team = await gateway.post("/team/new", {"team_id": "t", "metadata": {"logging": [logging]}})
        assert team.status == 200
        shown = [
            await (await gateway.get(path)).json()
            for path in (f"/key/info?key={key}", "/key/list?return_full_object=true", "/team/info?team_id=t")
        ]
        assert shown[0]["info"]["metadata"] == {"logging": [masked]}
        back = {"key": key, "metadata": {**shown[0]["info"]["metadata"], "note": "sent back"}}
        assert (await gateway.post("/key/update", back)).status == 200
        await gateway.chat(key=key)
        [one] = await payloads(gateway, server)
        assert one["status"] == "success"
        assert server.requests[0].headers["x-token"] == "s3cr3t-of-the-key"
        assert "s3cr3t" not in json.dumps(shown)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("tollway.sqlite3*"))
    assert b"sent back" in stored
    assert b"s3cr3t" not in stored


async def test_a_key_cannot_make_the_gateway_call_private_addresses(tmp_path: Path) -> None:
    async with told(tmp_path, callbacks=[]) as (gateway, server):
        vars_ = {"endpoint": f"{server.url}/key"}
        key = await gateway.create_key(metadata={"logging": [{"callback_name": "generic_api", "callback_vars": vars_}]})
        await gateway.chat(key=key)
        assert await payloads(gateway, server) == []
        metrics = await (await gateway.get("/metrics")).text()
    assert 'litellm_callback_logging_failures_metric_total{callback_name="generic_api"} 1.0' in metrics


async def test_a_place_that_does_not_answer_keeps_no_call_waiting(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def hang(request: object) -> Reply:
        asked.set()
        await asyncio.sleep(3600)
        return Reply(200, b"")

    config = {
        "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "lemon"}}],
        "litellm_settings": {"success_callback": ["generic_api"]},
    }
    async with http_server(hang) as server:
        environ = {"GENERIC_LOGGER_ENDPOINT": server.url}
        async with embedded_gateway(tmp_path, config, environ) as gateway:
            assert (await gateway.chat()).status == 200
            await asked.wait()
            assert (await gateway.chat()).status == 200
            for queue in gateway.runtime.callbacks._made()._queues.values():
                await queue.close(0.0)
            metrics = await (await gateway.get("/metrics")).text()
    assert 'tollway_callback_dropped_total{callback="generic_api"} 2.0' in metrics


async def test_services_can_be_tried(tmp_path: Path) -> None:
    async with told(tmp_path) as (gateway, server):
        tried = await gateway.get("/health/services?service=generic_api")
        assert (tried.status, (await tried.json())["status"]) == (200, "success")
        assert msgspec.json.decode(server.requests[0].body)[0]["request_tags"] == ["tollway-test"]
        unset = await gateway.get("/health/services?service=slack")
        assert unset.status == 422
        assert "SLACK_WEBHOOK_URL" in (await unset.json())["error"]["message"]
        later = await gateway.get("/health/services?service=braintrust")
        assert later.status == 422
        unknown = await gateway.get("/health/services?service=carrier_pigeon")
        assert unknown.status == 400
        assert "generic_api" in (await unknown.json())["error"]["message"]
