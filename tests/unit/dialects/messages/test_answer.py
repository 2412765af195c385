"""Whole answers of the Messages API through the middle form; what streams say too is tested with them."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import msgspec
import pytest

from tollway.core.usage import ToolUse, Usage
from tollway.dialects.generation.answer import Answer, Choice
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Media, Opaque, Part, Seal, Text, ToolCall, ToolResult
from tollway.dialects.messages import DIALECT

OPTIONS = StreamOptions(model="public", call_id="c1")
USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 3},
    "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    "service_tier": "standard",
}
WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "public",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "cipher"},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {
            "type": "text",
            "text": "Sunny",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "cited_text": "c",
                    "url": "https://x",
                    "title": None,
                    "encrypted_index": "e",
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": USAGE,
    "container": {"id": "c", "expires_at": "2026-01-01T00:00:00Z"},
}


def parse(**fields: Any) -> Answer:
    return DIALECT.parse_answer(json.dumps({**WHOLE, **fields}).encode())


def rendered(answer: Answer) -> dict[str, Any]:
    body = DIALECT.render_answer(answer, OPTIONS)
    anthropic.types.Message.model_validate_json(body)
    document: dict[str, Any] = json.loads(body)
    return document


def test_an_answer_is_written_as_it_was_read() -> None:
    assert rendered(parse()) == WHOLE


def test_usage_includes_what_anthropic_counts_apart() -> None:
    assert parse().usage == Usage(
        input_tokens=140,
        cache_read_tokens=100,
        cache_write_tokens=20,
        cache_write_1h_tokens=10,
        output_tokens=7,
        reasoning_tokens=3,
        service_tier="standard",
        tools=ToolUse(web_searches=1),
    )


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}}, (7, 4, 3)),
        ({"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 9}}, (5, 0, 5)),
        ({"cache_creation_input_tokens": 5, "cache_creation": None}, (5, 5, 0)),
        ({"input_tokens": -3, "cache_creation_input_tokens": None}, (0, 0, 0)),
        ({}, (0, 0, 0)),
    ],
)
def test_written_tokens_are_told_apart_by_lifetime(usage: dict[str, Any], counts: tuple[int, int, int]) -> None:
    found = parse(usage=usage).usage
    assert (found.input_tokens, found.cache_write_tokens, found.cache_write_1h_tokens) == counts


def test_what_other_formats_say_is_not_written() -> None:
    answer = parse()
    answer.origin = "gemini"
    body = rendered(answer)
    assert "container" not in body
    assert "service_tier" not in body["usage"]


def test_an_answer_that_says_little_is_one() -> None:
    answer = DIALECT.parse_answer(b'{"content":[],"usage":null}')
    assert answer == Answer(origin="messages", id="", model="", choices=[Choice(parts=[])])
    assert rendered(answer)["id"] == "msg_c1"
    assert rendered(Answer(origin="chat", id="", model="", choices=[]))["content"] == []


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"not json", b'{"content":[],"id":"\xff"}', b'{"type":"error","error":{"type":"api_error"}}']
)
def test_what_is_no_answer_cannot_be_read(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


def test_a_broken_block_stays_as_it_is() -> None:
    (part,) = parse(content=[{"type": "tool_use", "name": "f"}]).choices[0].parts
    assert isinstance(part, Opaque)
    assert msgspec.json.decode(part.raw) == {"type": "tool_use", "name": "f"}


def test_what_is_said_of_a_refusal_is_kept_if_it_is_anthropics() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "e"}
    assert rendered(parse(stop_reason="refusal", stop_details=details))["stop_details"] == details
    foreign = Choice(parts=[Text(text="x")], stop="content_filter", stop_details=msgspec.Raw(b'{"safety":1}'))
    body = rendered(Answer(origin="gemini", id="1", model="m", choices=[foreign]))
    assert "stop_details" not in body
    assert body["stop_reason"] == "refusal"


def test_seals_of_calls_and_texts_follow_them_and_come_back() -> None:
    parts: list[Part] = [
        Text(text="Hi", seal=Seal("gemini", "s1")),
        Text(text="", seal=Seal("gemini", "s2")),
        ToolCall(id="call_1", name="f", arguments="{}", seal=Seal("gemini", "s.3")),
    ]
    body = rendered(Answer(origin="gemini", id="1", model="m", choices=[Choice(parts=parts)]))
    assert [block.get("data") for block in body["content"]] == [
        None,
        "tollway.gemini@.s1",
        "tollway.gemini@.s2",
        None,
        "tollway.gemini@call_1.s.3",
    ]
    assert DIALECT.parse_answer(json.dumps(body).encode()).choices[0].parts == parts


def test_pictures_are_told_and_what_has_no_block_is_not() -> None:
    parts: list[Part] = [
        Media(kind="image", data="aGk="),
        Media(kind="audio", data="aGk="),
        Opaque(origin="gemini", kind="code", raw=msgspec.Raw(b"{}")),
        ToolResult(call_id="c", parts=[]),
    ]
    answer = Answer(origin="gemini", id="1", model="m", choices=[Choice(parts=parts)])
    assert json.loads(DIALECT.render_answer(answer, OPTIONS))["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    ]
