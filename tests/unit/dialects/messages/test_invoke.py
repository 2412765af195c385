"""Anthropic's events in Amazon's frames: unwrapped, relayed, and cut anywhere."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from tests.support import eventstream, grammar_messages

from tollway.dialects.invoke import Unwrapper, UnwrappingRelay, move_betas
from tollway.dialects.messages.relay import MessagesRelay

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 7}},
]  # fmt: skip


def chunk(event: dict[str, Any]) -> bytes:
    return eventstream.event("chunk", bytes=base64.b64encode(json.dumps(event).encode()).decode(), p="abcdef")


STREAM = b"".join(map(chunk, EVENTS))


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_stream_is_what_anthropic_would_have_sent(size: int) -> None:
    relay = UnwrappingRelay(MessagesRelay("public"))
    assert relay.opening_error(STREAM[:400], "V") is None
    out = b"".join(relay.feed(STREAM[at : at + size]) for at in range(0, len(STREAM), size))
    out += relay.end() + relay.close(None)

    grammar_messages.check_stream(out)
    documents = [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: ")]
    first = EVENTS[0]["message"] | {"model": "public"}
    assert documents == [{"type": "message_start", "message": first}, *EVENTS[1:]]
    assert relay.is_done
    assert relay.is_complete
    assert relay.failure is None
    assert (relay.usage.input_tokens, relay.usage.cache_read_tokens, relay.usage.output_tokens) == (110, 100, 7)
    assert (relay.known.input_tokens, relay.response_id) == (110, "msg_bdrk_1")


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("throttlingException", 429, "rate_limit_error"),
        ("validationException", 400, "invalid_request_error"),
        ("serviceUnavailableException", 503, "overloaded_error"),
        ("modelStreamErrorException", 500, "api_error"),
        ("internalServerException", 500, "api_error"),
    ],
)
def test_an_exception_is_an_error_event_with_amazons_words(name: str, status: int, kind: str) -> None:
    wrapped = eventstream.exception(name, message="Too many tokens, please wait")
    error = UnwrappingRelay(MessagesRelay("m")).opening_error(wrapped, "BedrockException")
    assert error is not None
    assert "Too many tokens, please wait" in error.message

    relay = UnwrappingRelay(MessagesRelay("m"))
    relay.feed(STREAM[: len(chunk(EVENTS[0]))])
    out = relay.feed(wrapped + STREAM)
    document = json.loads(out.partition(b"data: ")[2])
    assert document == {"type": "error", "error": {"type": kind, "message": "Too many tokens, please wait"}}
    assert out.startswith(b"event: error\n")
    assert relay.failure is not None
    assert relay.close(None) == b""


def test_an_error_of_the_service_itself_is_read_from_the_frames_headers() -> None:
    headers = eventstream.text_header(":message-type", "error")
    headers += eventstream.text_header(":error-code", "InternalServerException")
    headers += eventstream.text_header(":error-message", "It broke.")
    assert b"It broke." in Unwrapper().feed(eventstream.frame(headers, b""))


def test_a_damaged_stream_ends_with_an_error() -> None:
    damaged = bytearray(STREAM)
    damaged[len(chunk(EVENTS[0])) + 30] ^= 1
    relay = UnwrappingRelay(MessagesRelay("m"))
    out = relay.feed(bytes(damaged))
    assert out.count(b"event: ") == 2
    assert b"checksum" in out
    assert relay.failure is not None
    assert relay.feed(STREAM) == b""


def test_frames_that_hold_no_event_are_passed_over() -> None:
    for payload in ({"bytes": "!!"}, {"bytes": ""}, {"bytes": base64.b64encode(b"[]").decode()}, {"other": 1}):
        assert Unwrapper().feed(eventstream.event("chunk", **payload)) == b""


def test_the_flags_of_the_beta_go_into_the_body() -> None:
    headers = (("x-flag", "1"), ("anthropic-beta", "a,b"))
    fields = {"anthropic_beta": msgspec.Raw(b'["b","c"]')}
    rest, moved = move_betas(headers, fields)
    assert rest == (("x-flag", "1"),)
    assert json.loads(bytes(moved["anthropic_beta"])) == ["b", "c", "a"]
    _, moved = move_betas(headers, {"anthropic_beta": msgspec.Raw(b"7")})
    assert json.loads(bytes(moved["anthropic_beta"])) == ["a", "b"]
    assert move_betas((("x-flag", "1"),), fields) == ((("x-flag", "1"),), {})
