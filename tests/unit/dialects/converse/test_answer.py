"""Whole answers and errors of the Converse API."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tollway.dialects.converse import DIALECT
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.request import Media, Opaque, Seal, Text, Thinking, ToolCall


def answer(*content: dict[str, Any], **fields: Any) -> Answer:
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn", **fields}
    return DIALECT.parse_answer(msgspec.json.encode(body))


def test_every_kind_of_block_is_a_part() -> None:
    found = answer(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "Hi"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
    )
    assert found.choices[0].parts == [
        Thinking(text="hm", seal=Seal("anthropic", "sig")),
        Thinking(text="unsigned"),
        Thinking(seal=Seal("anthropic", "AAAA"), is_redacted=True),
        Text(text="Hi"),
        ToolCall(id="t", name="f", arguments='{"a":1}'),
        Media(kind="image", media_type="image/png", data="AAAA"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"brandNew": {"x": 1}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}, "type": "server_tool_use"}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},
    ],
)
def test_what_the_middle_form_has_no_part_for_stays_as_it_is(block: dict[str, Any]) -> None:
    [part] = answer(block).choices[0].parts
    assert isinstance(part, Opaque)
    assert (part.origin, part.kind) == ("converse", next(iter(block)))
    assert msgspec.json.decode(part.raw) == block


def test_cited_text_is_text_with_citations() -> None:
    citation = {"title": "A", "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}
    [part] = (
        answer({"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [citation]}})
        .choices[0]
        .parts
    )
    assert isinstance(part, Text)
    assert (part.text, part.citations[0].title, part.citations[0].url) == ("ab", "A", None)


def test_tier_and_trace_are_kept() -> None:
    found = answer({"text": "x"}, serviceTier={"type": "flex"}, trace={"guardrail": {}}, stopReason="content_filtered")
    assert found.service_tier == "flex"
    assert bytes(found.extra["trace"]) == b'{"guardrail":{}}'
    assert found.choices[0].stop == "content_filter"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":{}}', b'{"message":"no"}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


@pytest.mark.parametrize(
    ("status", "name", "message", "client_status", "error_class"),
    [
        (429, "ThrottlingException", "Too many requests", 429, "RateLimitError"),
        (429, "ModelNotReadyException", "wait", 429, "RateLimitError"),
        (400, "ValidationException", "bad field", 400, "BadRequestError"),
        (400, "ValidationException", "Input is too long for requested model.", 400, "ContextWindowExceededError"),
        (400, "", "prompt is too long: 9 tokens > 8 maximum", 400, "ContextWindowExceededError"),
        (403, "AccessDeniedException", "not this model", 403, "APIError"),
        (403, "UnrecognizedClientException", "The security token is invalid", 401, "AuthenticationError"),
        (403, "InvalidSignatureException", "does not match", 401, "AuthenticationError"),
        (404, "ResourceNotFoundException", "no such model", 404, "NotFoundError"),
        (408, "ModelTimeoutException", "slow", 408, "Timeout"),
        (424, "ModelErrorException", "it broke", 500, "InternalServerError"),
        (503, "ServiceUnavailableException", "later", 503, "ServiceUnavailableError"),
    ],
)
def test_errors_are_told_by_the_exceptions_name(
    status: int, name: str, message: str, client_status: int, error_class: str
) -> None:
    headers = (
        ((b"llm_provider-x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/".encode()),) if name else ()
    )
    error = DIALECT.parse_error(status, msgspec.json.encode({"message": message}), "BedrockException", headers)
    assert (error.status, error.error_class, error.upstream_status) == (client_status, error_class, status)
    assert error.message == f"litellm.{error_class}: BedrockException - {message}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"Message":"Authentication failed"}', "Authentication failed"),
        (b'{"__type":"com.amazon.coral.service#ThrottlingException","message":"slow"}', "slow"),
        (b"<html>gone</html>", "<html>gone</html>"),
        (b'{"error":{"message":"of a proxy","type":"x"}}', "of a proxy"),
    ],
)
def test_the_message_is_found_in_bodies_of_other_shapes(body: bytes, expected: str) -> None:
    error = DIALECT.parse_error(400, body, "BedrockException")
    assert expected in error.message
    assert error.status == (429 if b"Throttling" in body else 400)
