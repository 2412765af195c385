"""Whole answers and errors of Ollama, from documented bytes."""

from __future__ import annotations

import json

import msgspec
import pytest

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Answer, Choice
from tollway.dialects.generation.request import Text, Thinking, ToolCall
from tollway.dialects.ollama import DIALECT


def test_a_whole_answer() -> None:
    body = {
        "model": "qwen3",
        "created_at": "2024-07-22T20:33:28.123648Z",
        "message": {
            "role": "assistant",
            "content": "Wait.",
            "thinking": "hm",
            "tool_calls": [
                {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}},
                {"function": {"index": 0, "name": "get_weather", "arguments": {}}},
            ],
        },
        "done_reason": "stop",
        "done": True,
        "total_duration": 885095291,
        "prompt_eval_count": 122,
        "eval_count": 33,
    }
    assert DIALECT.parse_answer(msgspec.json.encode(body)) == Answer(
        origin="ollama",
        id="",
        model="qwen3",
        created=1721680408,
        choices=[
            Choice(
                parts=[
                    Thinking(text="hm"),
                    Text(text="Wait."),
                    ToolCall(id="call_20240722203328123648_0", name="get_weather", arguments='{"city":"Paris"}'),
                    ToolCall(id="call_20240722203328123648_1", name="get_weather", arguments="{}"),
                ],
                stop="tool_use",
            )
        ],
        usage=Usage(input_tokens=122, output_tokens=33),
    )


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"error":"no"}', b"<html>"])
def test_anything_else_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


@pytest.mark.parametrize(
    ("status", "message", "name"),
    [
        (404, "model 'llama9' not found", "NotFoundError"),
        (400, '"llama3.2" does not support thinking', "BadRequestError"),
        (400, "prompt too long; exceeded max context length by 12 tokens", "ContextWindowExceededError"),
        (400, "the input length exceeds the context length", "ContextWindowExceededError"),
        (500, "model runner has unexpectedly stopped", "InternalServerError"),
        (503, "server busy, please try again", "ServiceUnavailableError"),
    ],
)
def test_errors_keep_their_message(status: int, message: str, name: str) -> None:
    error = DIALECT.parse_error(status, json.dumps({"error": message}).encode(), "OllamaException")
    assert (error.status, error.error_class) == (status, name)
    assert error.message == f"litellm.{name}: OllamaException - {message}"
