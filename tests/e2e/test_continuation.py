"""Streams that break off in the middle of an answer, and are taken up by another deployment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support import grammar_chat, grammar_gemini, grammar_messages
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import CUT, FaultyUpstream, chunk, chunked_head

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Delta, Event, PartStarted, Started
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Part, Text, Thinking, ToolCall
from tollway.dialects.registry import find_dialect
from tollway.gateway.continuation import GO_ON

QUESTION = {"role": "user", "content": "Count to six."}
FIRST, REST = "One two three ", "four five six."


class Asked(NamedTuple):
    """How a caller asks, and how what they get is read."""

    path: str
    body: dict[str, Any]
    turns: str


CLIENTS = {
    "chat": Asked("/v1/chat/completions", {"messages": [QUESTION], "max_tokens": 100, "stream": True}, "messages"),
    "messages": Asked("/v1/messages", {"messages": [QUESTION], "max_tokens": 100, "stream": True}, "messages"),
    "gemini": Asked(
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        {
            "contents": [{"role": "user", "parts": [{"text": QUESTION["content"]}]}],
            "generationConfig": {"maxOutputTokens": 100},
        },
        "contents",
    ),
}
VENDORS = {
    "chat": {"model": "openai/gpt-4o"},
    "messages": {"model": "anthropic/claude-sonnet-4-5"},
    "gemini": {"model": "gemini/gemini-2.5-flash"},
}


def spoken(dialect: str, *parts: Part) -> list[bytes]:
    """How a vendor says these, all but the end: the last part stays open."""
    encoder = find_dialect(dialect).encoder(StreamOptions(model="vendors-own", wants_usage=True))
    events: list[Event] = [Started(id="first-1", model="vendors-own", created=1, usage=Usage(input_tokens=9))]
    for index, part in enumerate(parts):
        events.append(PartStarted(part, index))
        if isinstance(part, Text | Thinking):
            words = part.text.split(" ")
            events += [Delta(word if number == 0 else f" {word}") for number, word in enumerate(words)]
            part.text = ""
    return [data for event in events if (data := encoder.push([event]))]


def says(upstream: FaultyUpstream, dialect: str, *parts: Part) -> None:
    upstream.reply(chunked_head(), *(chunk(data) for data in spoken(dialect, *parts)), CUT)


@pytest.fixture
async def spare() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(text=REST) as server:
        yield server


def models(upstream: FaultyUpstream, spare: FaultyUpstream) -> list[dict[str, Any]]:
    rows = []
    for name, params in VENDORS.items():
        base = f"{upstream.url}/v1" if name == "chat" else upstream.url
        rows += [
            {"model_name": name, "litellm_params": {**params, "api_base": base, "api_key": "sk-upstream"}},
            {
                "model_name": name,
                "litellm_params": {
                    "model": "groq/llama-3.3-70b-versatile",
                    "api_base": f"{spare.url}/v1",
                    "api_key": "sk-spare",
                    "order": 1,
                },
                "model_info": {"id": f"spare-{name}"},
            },
        ]
    return rows


@pytest.fixture
async def gateway(upstream: FaultyUpstream, spare: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    settings = {"continue_streams": True, "disable_cooldowns": True, "num_retries": 1}
    async with embedded_gateway(tmp_path, {"model_list": models(upstream, spare), "router_settings": settings}) as one:
        yield one


async def ask(gateway: Embedded, client: str, model: str, **more: Any) -> bytes:
    asked = CLIENTS[client]
    body = {**asked.body, **more} if client == "gemini" else {**asked.body, "model": model, **more}
    answer = await gateway.post(asked.path.format(model=model), body)
    assert answer.status == 200, await answer.text()
    return await answer.read()


def read(client: str, stream: bytes) -> tuple[str, int]:
    """The text of a legal stream, and the tokens of the answer that it reports."""
    if client == "chat":
        chunks = grammar_chat.check_stream(stream, wants_usage=True)
        deltas = [choice["delta"] for one in chunks for choice in one["choices"]]
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
        return "".join(delta.get("content") or "" for delta in deltas), chunks[-1]["usage"]["completion_tokens"]
    if client == "messages":
        events = grammar_messages.check_stream(stream)
        text = "".join(one["delta"]["text"] for one in events if one["type"] == "content_block_delta")
        return text, next(one for one in events if one["type"] == "message_delta")["usage"]["output_tokens"]
    chunks = grammar_gemini.read_sse(stream)
    grammar_gemini.check_chunks(chunks)
    parts = [part for one in chunks for part in one["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts), chunks[-1]["usageMetadata"]["candidatesTokenCount"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_another_deployment_goes_on_where_the_first_broke_off(
    gateway: Embedded, upstream: FaultyUpstream, spare: FaultyUpstream, client: str
) -> None:
    more = {"stream_options": {"include_usage": True}} if client == "chat" else {}
    for vendor in VENDORS:
        says(upstream, vendor, Text(text=FIRST))
        text, tokens = read(client, await ask(gateway, client, vendor, **more))
        assert text == FIRST + REST, vendor
        request = spare.requests.pop()
        *_, said, told = request.json["messages"]
        assert (said["role"], said["content"]) == ("assistant", FIRST), vendor
        assert (told["role"], told["content"]) == ("user", GO_ON), vendor
        assert 90 <= request.json.get("max_tokens", request.json.get("max_completion_tokens")) < 100, vendor
        record = (await gateway.records())[0]
        assert record["model_id"] == f"spare-{vendor}"
        assert record["completion_tokens"] == tokens > 3
        (attempt,) = record["metadata"]["attempts"]
        assert attempt["error_class"] == "InternalServerError"


async def test_what_the_first_has_used_is_paid_at_its_own_price(gateway: Embedded, upstream: FaultyUpstream) -> None:
    says(upstream, "messages", Text(text=FIRST))
    await ask(gateway, "messages", "messages")
    (record,) = await gateway.records()
    of_rest = record["prompt_tokens"] - 9, 3  # as the second reports, at its price
    assert record["spend"] == pytest.approx(9 * 3e-6 + 4 * 15e-6 + of_rest[0] * 0.59e-6 + of_rest[1] * 0.79e-6, rel=0.2)


async def test_a_stream_that_breaks_off_twice_is_taken_up_twice(
    gateway: Embedded, upstream: FaultyUpstream, spare: FaultyUpstream
) -> None:
    says(upstream, "chat", Text(text="One "))
    says(spare, "chat", Text(text="two "))
    says(upstream, "chat", Text(text="three "))
    stream = await ask(gateway, "chat", "chat", num_retries=5, stream_options={"include_usage": True})
    text, _ = read("chat", stream)
    assert text.startswith("One two")
    assert spare.requests[-1].json["messages"][1]["content"].startswith("One")


async def test_thoughts_before_the_answer_do_not_matter(
    gateway: Embedded, upstream: FaultyUpstream, spare: FaultyUpstream
) -> None:
    says(upstream, "chat", Text(text=FIRST))
    rest = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Where was I?"}}]},
        {"choices": [{"index": 0, "delta": {"content": REST}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    lines = [b"data: %b\n\n" % json.dumps({"id": "second", "model": "x", **one}).encode() for one in rest]
    spare.reply(chunked_head() + b"".join(map(chunk, (*lines, b"data: [DONE]\n\n"))) + b"0\r\n\r\n")
    stream = await ask(gateway, "messages", "chat")
    assert read("messages", stream)[0] == FIRST + REST
    assert b"Where was I" not in stream


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        ([Text(text=FIRST), ToolCall(id="call_1", name="count", arguments="")], {}),
        ([Thinking(text="Well, let me think")], {}),
        ([Text(text=FIRST)], {"response_format": {"type": "json_object"}}),
        ([Text(text=FIRST)], {"disable_fallbacks": True}),
    ],
    ids=["a tool call", "only thoughts", "an answer in JSON", "a caller who wants no other"],
)
async def test_what_cannot_be_taken_up_ends_in_an_error(
    gateway: Embedded, upstream: FaultyUpstream, spare: FaultyUpstream, parts: list[Part], more: dict[str, Any]
) -> None:
    says(upstream, "chat", *parts)
    stream = await ask(gateway, "chat", "chat", **more)
    assert b'"error"' in stream
    assert not spare.requests


async def test_the_error_is_the_first_ones_where_nobody_can_go_on(
    gateway: Embedded, upstream: FaultyUpstream, spare: FaultyUpstream
) -> None:
    spare.reply(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", always=True)
    says(upstream, "chat", Text(text=FIRST))
    upstream.reply(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", always=True)
    stream = await ask(gateway, "chat", "chat", stream_options={"include_usage": True})
    chunks = grammar_chat.check_stream(stream, wants_usage=True)
    assert "was cut before its end" in chunks[-1]["error"]["message"]
    (record,) = await gateway.records()
    assert record["status"] == "failure"
    assert record["spend"] > 0
    assert len(record["metadata"]["attempts"]) >= 2


async def test_it_is_off_unless_it_is_asked_for(
    upstream: FaultyUpstream, spare: FaultyUpstream, tmp_path: Path
) -> None:
    async with embedded_gateway(tmp_path, {"model_list": models(upstream, spare)}) as gateway:
        says(upstream, "chat", Text(text=FIRST))
        assert b'"error"' in await ask(gateway, "chat", "chat")
        assert not spare.requests
