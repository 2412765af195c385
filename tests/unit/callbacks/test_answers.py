from __future__ import annotations

from typing import Any

import msgspec

from tollway.callbacks.answers import document_of


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in events) + b"data: [DONE]\n\n"


def test_a_whole_answer_is_told_as_it_is() -> None:
    assert document_of(b'{"a":1}', "chat", is_stream=False) == {"a": 1}
    assert document_of(b"\xff", "chat", is_stream=False) == "�"
    assert document_of(b"", "chat", is_stream=True) is None


def test_tool_calls_of_a_stream_are_put_together() -> None:
    def delta(**fields: Any) -> dict[str, Any]:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields}]}

    stream = sse(
        delta(role="assistant", tool_calls=[{"index": 0, "id": "t", "function": {"name": "f", "arguments": '{"a'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}]),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 3}},
    )
    found = document_of(stream, "chat", is_stream=True)
    [choice] = found["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {"type": "function", "id": "t", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]
    assert (found["object"], found["usage"]) == ("chat.completion", {"total_tokens": 3})


def test_blocks_of_anthropic_and_parts_of_gemini_are_put_together() -> None:
    messages = sse(
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    )
    found = document_of(messages, "messages", is_stream=True)
    assert found["content"] == [{"type": "tool_use", "name": "f", "input": {"a": 1}}]
    assert found["usage"] == {"input_tokens": 1, "output_tokens": 2}

    def part(text: str) -> dict[str, Any]:
        return {"candidates": [{"content": {"parts": [{"text": text}]}}]}

    gemini = document_of(sse(part("le"), part("mon")), "gemini", is_stream=True)
    assert gemini["candidates"][0]["content"]["parts"] == [{"text": "lemon"}]


def test_a_response_that_was_cut_has_what_was_said() -> None:
    stream = sse(*({"type": "response.output_text.delta", "delta": one} for one in ("le", "mon")))
    assert document_of(stream, "responses", is_stream=True) == {"output_text": "lemon"}
