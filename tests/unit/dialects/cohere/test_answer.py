"""Whole answers and errors of Cohere, from documented bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.core.errors import UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.cohere import DIALECT
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.request import Text, Thinking, ToolCall


def parse(message: dict[str, Any], reason: str = "COMPLETE", **fields: Any) -> Answer:
    body = {"id": "r1", "finish_reason": reason, "message": {"role": "assistant", **message}, **fields}
    return DIALECT.parse_answer(json.dumps(body).encode())


def test_thoughts_texts_plans_and_calls_in_order() -> None:
    call = {"id": "c_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = parse(
        {
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}, {"type": "text"}],
            "tool_plan": "I will",
            "tool_calls": [call, {"function": {"name": "g"}}],
        },
        "TOOL_CALL",
    )
    assert answer.choices[0].parts == [
        Thinking(text="hm"),
        Text(text="Hi"),
        Thinking(text="I will"),
        ToolCall(id="c_1", name="f", arguments="{}"),
        ToolCall(id="call_r1_1", name="g", arguments=""),
    ]
    assert (answer.id, answer.choices[0].stop) == ("r1", "tool_use")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "billed_units": {"input_tokens": 6772.0, "output_tokens": 248.0},
                "tokens": {"input_tokens": 7596.0, "output_tokens": 645.0},
                "cached_tokens": 512.0,
            },
            Usage(input_tokens=6772, cache_read_tokens=512, output_tokens=248),
        ),
        ({"tokens": {"input_tokens": 7, "output_tokens": 2}}, Usage(input_tokens=7, output_tokens=2)),
        (
            {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 7, "output_tokens": None}},
            Usage(input_tokens=7),
        ),
        (
            {"billed_units": {"input_tokens": 5, "output_tokens": 1}, "cached_tokens": 90},
            Usage(input_tokens=5, cache_read_tokens=5, output_tokens=1),
        ),
        (None, Usage()),
    ],
)
def test_what_is_billed_is_counted(usage: Any, expected: Usage) -> None:
    assert parse({"content": []}, usage=usage).usage == expected


def test_each_source_is_a_citation_of_its_text() -> None:
    citation = {
        "start": 0,
        "end": 2,
        "text": "It",
        "content_index": 1,
        "sources": [
            {"type": "tool", "id": "t:0", "tool_output": {"url": "https://x.test", "title": "X", "content": "…"}},
            {"type": "document", "id": "doc_0", "document": {"text": "body"}},
            {"type": "tool", "id": "t:1", "tool_output": ["odd"]},
        ],
    }
    content = [{"type": "text", "text": "So."}, {"type": "text", "text": "It is."}]
    _, part = parse({"content": content, "citations": [citation, {**citation, "type": "PLAN"}]}).choices[0].parts
    assert isinstance(part, Text)
    assert [(each.url, each.title, each.cited_text) for each in part.citations] == [
        ("https://x.test", "X", "…"),
        (None, "doc_0", "body"),
        (None, "t:1", None),
    ]
    assert {(each.start, each.end, each.origin) for each in part.citations} == {(0, 2, "cohere")}
    assert parse({"content": [], "citations": [citation]}).choices[0].parts == []


def test_probabilities_of_the_pieces() -> None:
    pieces = [{"text": "Hi", "token_ids": [1], "logprobs": [-0.5]}, {"token_ids": [2]}]
    [found] = parse({"content": []}, logprobs=pieces).choices[0].logprobs or []
    assert (found.token, found.logprob) == ("Hi", -0.5)


@pytest.mark.parametrize(("reason", "status"), [("ERROR", 500), ("TIMEOUT", 504)])
def test_an_answer_that_failed_is_no_answer(reason: str, status: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        parse({"content": [{"type": "text", "text": "Ha"}]}, reason)
    assert (caught.value.status, caught.value.is_retryable) == (status, True)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"message":"no"}', b"<html>"])
def test_anything_else_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


@pytest.mark.parametrize(
    ("status", "message", "expected", "name"),
    [
        (400, "too many tokens: total number of tokens cannot exceed 128000", 400, "ContextWindowExceededError"),
        (400, "invalid request: model not found", 400, "BadRequestError"),
        (401, "invalid api token", 401, "AuthenticationError"),
        (498, "invalid token", 401, "AuthenticationError"),
        (429, "too many tokens per minute", 429, "RateLimitError"),
        (503, "overloaded", 503, "ServiceUnavailableError"),
    ],
)
def test_errors_keep_their_message(status: int, message: str, expected: int, name: str) -> None:
    body = json.dumps({"id": "e1", "message": message}).encode()
    error = DIALECT.parse_error(status, body, "CohereException", ((b"retry-after", b"7"),))
    assert (error.status, error.error_class) == (expected, name)
    assert error.message == f"litellm.{name}: CohereException - {message}"
    assert error.headers == ((b"retry-after", b"7"),)
