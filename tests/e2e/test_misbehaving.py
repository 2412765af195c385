"""A wall of misbehaving upstreams: whatever the first deployment does, in whichever format, another answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import (
    CUT,
    HALF_CLOSE,
    HANG,
    RESET,
    FaultyUpstream,
    Step,
    chunk,
    chunked_head,
    endless,
    error,
    head,
    response,
)

PATIENCE_S = 0.25
"""Of the deployments that misbehave."""


class Vendor(NamedTuple):
    """Who misbehaves, how a caller asks, and where the vendor is asked then."""

    params: dict[str, Any]
    path: str
    body: dict[str, Any]
    streams_at: str = ""


TURN = {"role": "user", "content": "Hi"}
CHAT = {"messages": [TURN]}
MESSAGES = {"messages": [TURN], "max_tokens": 50}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
BEDROCK = {"model": "bedrock/amazon.nova-lite-v1:0", "api_key": "bedrock-key", "aws_region_name": "eu-west-1"}
VENDORS = {
    "openai": Vendor({"model": "openai/gpt-4o"}, "/v1/chat/completions", CHAT),
    "responses": Vendor({"model": "openai/gpt-4o"}, "/v1/responses", {"input": "Hi"}),
    "anthropic": Vendor({"model": "anthropic/claude-sonnet-4-5"}, "/v1/chat/completions", CHAT),
    "messages": Vendor({"model": "anthropic/claude-sonnet-4-5"}, "/v1/messages", MESSAGES),
    "gemini": Vendor({"model": "gemini/gemini-2.5-flash"}, "/v1/chat/completions", CHAT),
    "contents": Vendor(
        {"model": "gemini/gemini-2.5-flash"},
        "/v1beta/models/contents:generateContent",
        CONTENTS,
        "/v1beta/models/contents:streamGenerateContent?alt=sse",
    ),
    "cohere": Vendor({"model": "cohere/command-a-03-2025"}, "/v1/chat/completions", CHAT),
    "bedrock": Vendor(BEDROCK, "/v1/chat/completions", CHAT),
}
JSON = '{"id": "x", "choices": ['
HALF = response(JSON.encode())[:-5]
SLOW: tuple[Step, ...] = (PATIENCE_S + 0.3, response(b"{}"))

FAULTS: dict[str, tuple[Step, ...]] = {
    "a 500": (error(500),),
    "a 429": (error(429),),
    "a 429 with retry-after": (error(429, retry_after="1"),),
    "a 529": (error(529),),
    "a reset": (RESET,),
    "a closed connection": (CUT,),
    "a black hole": (HANG,),
    "a slow first byte": SLOW,
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", CUT),
    "a head and a black hole": (head(200, content_type="application/json", content_length="10"), HANG),
    "half a body": (HALF, CUT),
    "half a body, half closed": (HALF, HALF_CLOSE),
    "malformed JSON": (response(JSON.encode()),),
    "JSON of something else": (response(b"[1, 2]"),),
    "a page": (response(b"<html>Maintenance</html>", content_type="text/html"),),
    "nothing": (response(b""),),
    "another protocol": (b"220 mail.example.com ESMTP\r\n", CUT),
    "an endless body": (chunked_head(content_type="application/json"), endless(b" " * 65_536)),
}
STREAM_FAULTS: dict[str, tuple[Step, ...]] = {
    "a stream that stalls before its first event": (chunked_head(), chunk(b": ping\n\n"), HANG),
    "a stream of nothing": (chunked_head() + b"0\r\n\r\n",),
    "a stream that is cut in its first chunk": (chunked_head(), b"40\r\ndata: {", CUT),
    "a stream that is reset": (chunked_head(), RESET),
    "a page for a stream": (chunked_head(content_type="text/html"), chunk(b"<html>"), b"0\r\n\r\n"),
    "JSON for a stream": (response(json.dumps({"error": {"message": "Not today.", "code": 503}}).encode()),),
}


@pytest.fixture
async def good() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(text="I am well.") as server:
        yield server


@pytest.fixture
async def wall(upstream: FaultyUpstream, good: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    """A model for each vendor: first the vendor at `upstream`, then one that only chats at `good`."""
    common = {"api_key": "sk-upstream", "timeout": PATIENCE_S, "stream_timeout": PATIENCE_S}
    models = []
    for name, vendor in VENDORS.items():
        base = f"{upstream.url}/v1" if vendor.params["model"].startswith("openai") else upstream.url
        where = {"aws_bedrock_runtime_endpoint": upstream.url} if name == "bedrock" else {"api_base": base}
        bad = {**common, **where, **vendor.params}
        spare = {
            "model": "groq/llama-3.3-70b-versatile",
            "api_base": f"{good.url}/v1",
            "api_key": "sk-good",
            "order": 1,
        }
        models += [
            {"model_name": name, "litellm_params": bad, "model_info": {"id": f"bad-{name}"}},
            {"model_name": name, "litellm_params": spare, "model_info": {"id": f"good-{name}"}},
        ]
    config = {
        "model_list": models,
        "router_settings": {"disable_cooldowns": True, "num_retries": 1},
        "general_settings": {"max_response_size_mb": 1},
    }
    async with embedded_gateway(tmp_path, config) as gateway:
        yield gateway


@pytest.mark.parametrize("name", VENDORS)
async def test_another_deployment_answers_whatever_the_first_does(
    wall: Embedded, upstream: FaultyUpstream, name: str
) -> None:
    vendor = VENDORS[name]
    for is_stream, faults in ((False, FAULTS), (True, FAULTS | STREAM_FAULTS)):
        for fault, steps in faults.items():
            asked = len(upstream.requests)
            upstream.forget_scripts()
            upstream.reply(*steps, always=True)
            body = {**vendor.body, "model": name}
            if is_stream and not vendor.streams_at:
                body["stream"] = True
            answer = await wall.post((vendor.streams_at if is_stream else "") or vendor.path, body)
            text = await answer.text()
            shown = f"{name}, {fault}, {'stream' if is_stream else 'whole'}: {answer.status} {text[:300]}"
            assert answer.status == 200, shown
            assert "well." in text, shown
            assert asked < len(upstream.requests) <= asked + 2, f"{shown} (a kept connection may prove dead once)"
            assert answer.headers["x-litellm-model-id"] == f"good-{name}", shown
            assert answer.headers["x-litellm-attempted-retries"] == "1", shown
