"""What counts as a difference, in every format."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.shadow.comparison import Difference, compare
from tollway.shadow.mirrored import is_mirrored
from tollway.shadow.reading import Reply, read
from tollway.shadow.report import Report

CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}
MESSAGE = {
    "type": "message",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello"}, {"type": "tool_use", "name": "f", "input": {"city": "Oslo"}}],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 5, "output_tokens": 2},
}


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers={"content-type": "application/json", **named}, body=data, seconds=0.1)


def stream(*events: Any, named: bool = False) -> Reply:
    lines = [
        (f"event: {event['type']}\n" if named else "")
        + f"data: {event if event == '[DONE]' else json.dumps(event)}\n\n"
        for event in events
    ]
    return Reply(
        status=200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        body="".join(lines).encode(),
        seconds=0.1,
    )


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def found(primary: Reply, second: Reply, **how: bool) -> list[tuple[str, str, Any, Any]]:
    return [(one.kind, one.path, one.primary, one.second) for one in compare(primary, second, **how)]


def changed(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**document, **fields}.items() if value is not ...}


CHOICE: dict[str, Any] = CHAT["choices"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (CHAT, []),
        (changed(CHAT, id="chatcmpl-2"), []),
        (changed(CHAT, id=...), [("shape", "id", "string", "absent")]),
        (changed(CHAT, id=None), [("shape", "id", "string", "null")]),
        (changed(CHAT, more={"a": [1]}), [("shape", "more", "absent", "object")]),
        (changed(CHAT, model="gpt-4"), [("model", "", "gpt-4o", "gpt-4")]),
        (
            changed(CHAT, choices=[{**CHOICE, "finish_reason": "length"}]),
            [("finish_reason", "", "stop", "length")],
        ),
        (
            changed(CHAT, usage={"prompt_tokens": 6, "completion_tokens": 2}),
            [("usage", "usage.prompt_tokens", 5, 6)],
        ),
        (changed(CHAT, choices=[{**CHOICE, "message": {"role": "assistant", "content": "Other"}}]), []),
    ],
)
def test_bodies(other: dict[str, Any], expected: list[Any]) -> None:
    assert found(reply(CHAT), reply(other)) == expected


def test_what_a_model_made_up_has_no_shape() -> None:
    other = changed(MESSAGE, content=[MESSAGE["content"][0], {**MESSAGE["content"][1], "input": {"town": 1}}])  # type: ignore[index]
    assert found(reply(MESSAGE), reply(other)) == []


def test_words_are_compared_where_they_should_be_the_same() -> None:
    other = changed(CHAT, choices=[{**CHOICE, "message": {"role": "assistant", "content": "Help"}}])
    assert found(reply(CHAT), reply(other), has_text=True) == [("text", "from character 3", 5, 4)]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (CHAT, "Hello"),
        (MESSAGE, "Hello"),
        ({"choices": [{"text": "Hello"}]}, "Hello"),
        ({"candidates": [{"content": {"parts": [{"text": "Hel"}, {"text": "lo"}]}}]}, "Hello"),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]}, "Hello"),
    ],
)
def test_the_text_of_every_format(document: dict[str, Any], text: str) -> None:
    reading = read(reply(document))
    assert reading is not None
    assert reading.text == text


def test_streams_by_the_kinds_of_their_events() -> None:
    mine = stream(chunk(role="assistant"), chunk(content="Hel"), chunk(content="lo"), chunk("stop"), "[DONE]")
    alike = stream(chunk(role="assistant"), chunk(content="Hello"), chunk("stop"), "[DONE]")
    assert found(mine, alike, has_text=True) == []
    other = stream(chunk(role="assistant", content="Hello"), chunk("stop"))
    assert ("events", "", "role content finish_reason [DONE]", "content+role finish_reason") in found(mine, other)


def test_a_stream_of_messages() -> None:
    events = [
        {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 5, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    ]
    reading = read(stream(*events, named=True))
    assert reading is not None
    assert (reading.model, reading.reasons, reading.text) == ("claude", ("end_turn",), "Hello")
    assert reading.usage == {"usage.input_tokens": 5, "usage.output_tokens": 7}
    assert reading.kinds == ("message_start", "content_block_delta", "message_delta")


def test_a_stream_instead_of_a_body() -> None:
    assert found(reply(CHAT), stream(chunk("stop"))) == [("format", "", "json", "stream")]


def test_other_statuses_and_errors() -> None:
    refused = {"error": {"message": "sk-secret", "type": "auth_error", "code": "401"}}
    assert found(reply(CHAT), reply(refused, 401)) == [
        ("status", "", 200, 401),
        ("error", "", "", "auth_error 401"),
    ]


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [("0.002", "0.002", []), ("0.002", "0.003", [("cost", "", 0.002, 0.003)])],
)
def test_costs(mine: str, other: str, expected: list[Any]) -> None:
    replies = [reply(CHAT, x_litellm_response_cost=text) for text in (mine, other)]
    assert found(*replies) == expected


def test_another_usage_may_cost_otherwise() -> None:
    other = changed(CHAT, usage={"prompt_tokens": 5, "completion_tokens": 3})
    mine = reply(CHAT, x_litellm_response_cost="0.002")
    kinds = [one.kind for one in compare(mine, reply(other, x_litellm_response_cost="0.003"))]
    assert kinds == ["usage"]


def test_headers_that_callers_may_count_on() -> None:
    mine = reply(CHAT, x_litellm_model_id="a", x_request_id="1")
    assert found(mine, reply(CHAT, server="b")) == [("header", "x-litellm-model-id", "present", "absent")]


def test_packed_answers_are_unpacked() -> None:
    packed = reply(gzip.compress(json.dumps(CHAT).encode()), content_encoding="gzip")
    assert found(reply(CHAT), packed) == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\x00", b"[" * 3000])
def test_what_cannot_be_read_is_no_json(body: bytes) -> None:
    assert found(reply(CHAT), reply(body)) == [("format", "", "json", "other")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab*", max_size=3), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["choices", "message", "usage", "error", "content", "delta", "model", "type", "candidates"])


@given(st.dictionaries(fields, json_values, max_size=4), st.dictionaries(fields, json_values, max_size=4))
def test_any_two_documents(mine: dict[str, Any], other: dict[str, Any]) -> None:
    """An answer is like itself, and what differs differs both ways."""
    assert compare(reply(mine), reply(mine), has_text=True) == []
    there, back = compare(reply(mine), reply(other)), compare(reply(other), reply(mine))
    assert [Difference(one.kind, one.path, one.second, one.primary) for one in back] == there


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", True),
        ("POST", "/openai/deployments/gpt-4o/chat/completions", True),
        ("POST", "/v1/messages", True),
        ("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", True),
        ("GET", "/v1/models", True),
        ("POST", "/v1/images/generations", True),
        ("GET", "/v1/responses/resp_1", False),
        ("DELETE", "/v1/responses/resp_1", False),
        ("POST", "/key/generate", False),
        ("GET", "/key/info", False),
        ("GET", "/health", False),
        ("GET", "/v1/chat/completions", False),
    ],
)
def test_what_is_mirrored(method: str, path: str, expected: bool) -> None:
    assert is_mirrored(method, path) is expected


def test_a_report_groups_what_it_finds() -> None:
    lines: list[bytes] = []
    report = Report(lines.append)
    mine, ids = reply(CHAT, x_litellm_call_id="a", x_litellm_response_cost="0.5"), {"primary": "a", "second": "b"}
    other = changed(CHAT, model="gpt-4")
    for _ in range(3):
        report.add(
            "POST /v1/chat/completions", mine, reply(other, x_litellm_call_id="b", x_litellm_response_cost="0.5")
        )
    report.add("POST /v1/chat/completions", mine, mine)
    report.leave_out("too long, or broken off")
    report.close()
    *calls, summary = [json.loads(line) for line in lines]
    assert [(one["route"], one["call_ids"]) for one in calls] == [("POST /v1/chat/completions", ids)] * 3
    assert summary["summary"]["differences"] == [
        {
            "route": "POST /v1/chat/completions",
            "kind": "model",
            "path": "",
            "count": 3,
            "examples": [{"primary": "gpt-4o", "second": "gpt-4", "call_ids": ids}],
        }
    ]
    assert (summary["summary"]["compared"], summary["summary"]["same"]) == (4, 1)
    assert summary["summary"]["cost"] == {"primary": 2.0, "second": 2.0}
    assert summary["summary"]["left_out"] == {"too long, or broken off": 1}
