"""Whole responses read into the middle form and written from it; the official SDK's types are the judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types.responses import Response
from tests.support.middle_answers import answers

from tollway.core.errors import UpstreamError
from tollway.core.usage import ToolUse, Usage
from tollway.dialects.body import read_fields
from tollway.dialects.generation.answer import Answer, Choice, TokenProbability
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import (
    Citation,
    CustomTool,
    Opaque,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollway.dialects.responses import DIALECT

CORPUS = Path(__file__).parents[3] / "contract/dialects/responses"
OPTIONS = StreamOptions(model="public", call_id="01J", created=7)


def rendered(answer: Answer, options: StreamOptions = OPTIONS) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(DIALECT.render_answer(answer, options))
    Response.model_validate(body)
    return body


def answer(*parts: Any, **fields: Any) -> Answer:
    given = {name: fields.pop(name) for name in ("stop", "logprobs") if name in fields}
    defaults = {"origin": "messages", "id": "msg_01", "model": "claude", "created": 5}
    return Answer(**{**defaults, **fields}, choices=[Choice(parts=list(parts), **given)])


def codex_request() -> Request:
    body = (CORPUS / "request_codex_history.json").read_bytes()
    return DIALECT.parse_request(read_fields(body), model="public", is_stream=True)


@pytest.mark.parametrize("name", ["answer_agent", "answer_incomplete", "answer_refusal"])
def test_an_answer_comes_back_as_it_was(name: str) -> None:
    body = json.loads((CORPUS / f"{name}.json").read_text())
    Response.model_validate(body)
    again = rendered(DIALECT.parse_answer(json.dumps(body).encode()))
    assert [_without_ids(item) for item in again["output"]] == [_without_ids(item) for item in body["output"]]
    for field in ("id", "object", "created_at", "status", "usage", "incomplete_details", "error", "service_tier"):
        assert again[field] == body[field]


def _without_ids(item: dict[str, Any]) -> dict[str, Any]:
    """Ids of items derive from the response's; a call of a custom tool has no status in the official types."""
    left = {name: value for name, value in item.items() if name != "id"}
    if item["type"] == "custom_tool_call":
        left.pop("status", None)
    return left


def test_an_agents_answer_in_the_middle_form() -> None:
    found = DIALECT.parse_answer((CORPUS / "answer_agent.json").read_bytes())
    (choice,) = found.choices
    first, second, search, text, *calls = choice.parts
    assert first == Thinking(text="First I look.", id="rs_1", is_summary=True)
    assert second == Thinking(text="Then I act.", id="rs_1", is_summary=True, seal=Seal("openai", "gAAAAAB"))
    assert isinstance(search, Opaque)
    assert search.kind == "web_search_call"
    assert isinstance(text, Text)
    (cited,) = text.citations
    assert (text.text, cited.url, cited.start, cited.end) == ("Hello you.", "https://example.com", 0, 5)
    assert calls == [
        ToolCall(id="call_a", name="get_weather", arguments='{"city":"Paris"}'),
        ToolCall(id="call_b", name="get_weather", arguments='{"city":"Oslo"}'),
        ToolCall(id="call_c", name="apply_patch", arguments="*** Begin Patch", is_custom=True),
    ]
    assert choice.stop == "tool_use"
    assert found.usage == Usage(
        input_tokens=120,
        cache_read_tokens=64,
        output_tokens=30,
        reasoning_tokens=12,
        service_tier="standard",
        tools=ToolUse(web_searches=1),
    )
    assert (found.id, found.model, found.created) == ("resp_68af40", "gpt-5.2-2025-12-11", 1756000000)


@pytest.mark.parametrize(
    ("details", "stop"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "steered"}, "end"),
        (None, "end"),
    ],
)
def test_why_an_answer_is_incomplete(details: Any, stop: str) -> None:
    body = {"id": "resp_1", "status": "incomplete", "incomplete_details": details, "output": []}
    assert DIALECT.parse_answer(json.dumps(body).encode()).choices[0].stop == stop


def test_a_failed_response_is_an_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.parse_answer((CORPUS / "answer_failed.json").read_bytes())
    assert (caught.value.status, caught.value.error_class) == (429, "RateLimitError")
    assert "Slow down" in caught.value.message


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"output":[{"type":"message","content":[1]}]}'])
def test_what_is_no_answer_is_told_apart(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


def test_probabilities_of_tokens_both_ways() -> None:
    top = TokenProbability(token="Ho", logprob=-2.0)
    token = TokenProbability(token="Hi", logprob=-0.5, bytes=(72, 105), top=(top,))
    body = rendered(answer(Text(text="Hi"), logprobs=[token]))
    wire = body["output"][0]["content"][0]["logprobs"]
    assert wire == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "Ho", "logprob": -2.0, "bytes": [72, 111]}],
        }
    ]
    (found,) = DIALECT.parse_answer(json.dumps(body).encode()).choices[0].logprobs or []
    assert (found.token, found.top[0].token) == ("Hi", "Ho")


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end", "completed", None),
        ("tool_use", "completed", None),
        ("stop_sequence", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_stop_reasons(stop: str, status: str, reason: str | None) -> None:
    body = rendered(answer(Text(text="x"), ToolCall(id="c", name="f", arguments="{"), stop=stop))
    assert body["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == reason
    assert [item["status"] for item in body["output"]] == ["completed", status]


def test_calls_of_functions_that_stand_for_custom_tools_are_turned_back() -> None:
    options = StreamOptions(model="public", request=codex_request())
    calls = [
        ToolCall(id="toolu_1", name="apply_patch", arguments='{"input": "*** Begin\\n"}'),
        ToolCall(id="toolu_2", name="apply_patch", arguments='{"patch": "other"}'),
        ToolCall(id="toolu_3", name="mcp__docs__search", arguments='{"query":"x"}'),
        ToolCall(id="toolu_4", name="unknown", arguments=""),
    ]
    output = rendered(answer(*calls), options)["output"]
    assert [(item["type"], item["call_id"], item["name"], item.get("namespace")) for item in output] == [
        ("custom_tool_call", "toolu_1", "apply_patch", None),
        ("custom_tool_call", "toolu_2", "apply_patch", None),
        ("function_call", "toolu_3", "search", "mcp__docs__"),
        ("function_call", "toolu_4", "unknown", None),
    ]
    assert [item.get("input", item.get("arguments")) for item in output] == [
        "*** Begin\n",
        '{"patch": "other"}',
        '{"query":"x"}',
        "{}",
    ]


def test_thoughts_come_back_on_the_next_turn_with_their_seals() -> None:
    parts = [
        Thinking(text="I think", seal=Seal("anthropic", "SIG")),
        Thinking(is_redacted=True, seal=Seal("anthropic", "RED")),
        Thinking(text="nobody sealed this", is_summary=True),
        Text(text="Hello", seal=Seal("gemini", "T")),
        ToolCall(id="c1", name="f", arguments="{}", seal=Seal("gemini", "TS")),
        ToolCall(id="c2", name="f", arguments="{}"),
    ]
    output = rendered(answer(*parts))["output"]
    (turn,) = DIALECT.parse_request(
        read_fields(json.dumps({"input": output}).encode()), model="m", is_stream=False
    ).messages
    assert [msgspec.structs.replace(part, id=None) if isinstance(part, Thinking) else part for part in turn.parts] == [
        Thinking(text="I think", seal=Seal("anthropic", "SIG"), is_summary=True),
        *parts[1:],
    ]


def test_the_request_is_echoed() -> None:
    request = codex_request()
    request.extra |= {"max_tool_calls": msgspec.Raw(b"3"), "previous_response_id": msgspec.Raw(b'"resp_0"')}
    body = rendered(answer(Text(text="x")), StreamOptions(model="public", request=request))
    sent = json.loads((CORPUS / "request_codex_history.json").read_text())
    assert body["tools"] == sent["tools"]
    assert (body["instructions"], body["reasoning"]) == (sent["instructions"], sent["reasoning"])
    assert (body["store"], body["prompt_cache_key"]) == (False, sent["prompt_cache_key"])
    assert (body["max_tool_calls"], body["previous_response_id"], body["model"]) == (3, "resp_0", "public")


def test_a_search_without_the_web_is_echoed() -> None:
    body = (CORPUS / "request_codex_first.json").read_bytes()
    request = DIALECT.parse_request(read_fields(body), model="public", is_stream=True)
    assert rendered(answer(), StreamOptions(model="public", request=request))["tools"] == json.loads(body)["tools"]


def test_choices_and_formats_are_echoed() -> None:
    body = (CORPUS / "request_media.json").read_bytes()
    request = DIALECT.parse_request(read_fields(body), model="public", is_stream=False)
    sent = json.loads(body)
    echo = rendered(answer(), StreamOptions(model="public", request=request))
    for field in ("tool_choice", "text", "reasoning", "tools"):
        assert echo[field] == sent[field]
    assert (echo["instructions"], echo["output"], echo["status"]) == (None, [], "completed")


def test_ids_derive_from_the_answers_and_have_the_prefixes_of_the_api() -> None:
    parts = [Thinking(text="t"), Text(text="x"), Refusal(text="y"), ToolCall(id="c", name="f", arguments="{}")]
    body = rendered(answer(*parts, id="chatcmpl-1"))
    assert body["id"] == "resp_chatcmpl-1"
    assert [item["id"] for item in body["output"]] == ["rs_chatcmpl-1_0", "msg_chatcmpl-1_1", "fc_chatcmpl-1_2"]
    assert rendered(answer(Text(text="x"), id="resp_a"))["output"][0]["id"] == "msg_a_0"
    assert rendered(answer(Text(text="x"), id=""))["id"] == "resp_01J"
    assert len(rendered(answer(Text(text="x"), id="y" * 90))["output"][0]["id"]) == 64


def test_citations_without_an_address_are_left_out() -> None:
    text = Text(text="x", citations=(Citation(url="https://e.example"), Citation(cited_text="y", origin="messages")))
    (item,) = rendered(answer(text))["output"]
    assert item["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://e.example", "title": "", "start_index": 0, "end_index": 0}
    ]


@given(answers())
def test_whatever_is_answered_the_official_types_take_it(found: Answer) -> None:
    tools = [CustomTool(name="apply_patch")]
    request = Request(origin="responses", model="m", messages=[], tools=[*tools])
    rendered(found, StreamOptions(model="public", call_id="01J", request=request))


def test_compatible_servers_may_give_plain_content_or_none() -> None:
    output = [
        {"type": "message", "role": "assistant", "content": "Hi"},
        {"type": "message", "role": "assistant"},
        {"type": "reasoning", "summary": [{"text": "s"}], "content": None},
    ]
    found = DIALECT.parse_answer(json.dumps({"output": output}).encode())
    assert found.choices[0].parts == [Text(text="Hi"), Thinking(text="s", is_summary=True)]
    assert (found.id, found.created) == ("", 0)
