from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import read_fields
from tollway.dialects.chat import DIALECT
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    CacheHint,
    CustomTool,
    Media,
    Message,
    Opaque,
    Reasoning,
    Request,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)

OPENAI = Target(model="gpt-5", provider="openai", traits=frozenset({"openai_fields"}))
COMPATIBLE = Target(
    model="m",
    provider="p",
    traits=frozenset({"cache_hints", "earlier_thoughts"}),
    seals=frozenset({"anthropic", "gemini"}),
)


def parse(**body: Any) -> Request:
    body.setdefault("messages", [{"role": "user", "content": "Hi"}])
    return DIALECT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)


def rendered(request: Request, target: Target = COMPATIBLE) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = json.loads(msgspec.json.encode(DIALECT.render_request(request, target).fields))
    return document


WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ],
    },
    {
        "role": "assistant",
        "content": "I look it up.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"},
    {"role": "tool", "tool_call_id": "call_2", "content": "5 degrees"},
    {"role": "user", "content": "Thanks"},
]


def test_a_conversation_is_read_part_by_part() -> None:
    request = parse(messages=CONVERSATION)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert request.messages[1].parts == [
        Text(text="What is this?", cache=CacheHint("1h")),
        Media(kind="image", media_type="image/png", data="AAAA", detail="low"),
        Media(kind="image", url="https://example.org/a.png"),
        Media(kind="audio", media_type="audio/mpeg", data="BBBB"),
        Media(kind="file", media_type="application/pdf", data="CCCC", filename="a.pdf"),
        Media(kind="file", file_id="file-1"),
    ]
    assert request.messages[3].parts == [
        ToolResult(call_id="call_1", parts=[Text(text="4 degrees")]),
        ToolResult(call_id="call_2", parts=[Text(text="5 degrees")]),
    ]


def test_a_conversation_comes_back_as_it_was() -> None:
    assert rendered(parse(messages=CONVERSATION, tools=[WEATHER]))["messages"] == CONVERSATION


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5, "top_p": 1.0, "seed": 7, "n": 2, "presence_penalty": 0.1, "frequency_penalty": 0.2},
        {"stop": ["a", "b"], "logprobs": True, "top_logprobs": 3, "logit_bias": {"1": 5}, "top_k": 4, "min_p": 0.1},
        {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        {"user": "u", "verbosity": "low", "modalities": ["text"], "audio": {"voice": "v"}, "prediction": {"a": 1}},
        {"a_field_of_tomorrow": {"x": [1, 2]}},
        {"max_tokens": 5},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_come_back_as_they_were(fields: dict[str, Any]) -> None:
    document = rendered(parse(**fields))
    assert {name: document.get(name) for name in fields} == fields


def test_openai_gets_its_newest_names_and_compatible_servers_the_usual_ones() -> None:
    request = parse(max_tokens=5, prompt_cache_key="k", top_k=3)
    assert rendered(request, OPENAI)["max_completion_tokens"] == 5
    assert rendered(request, OPENAI)["prompt_cache_key"] == "k"
    assert rendered(request)["max_tokens"] == 5
    losses = {loss.field: loss.kind for loss in DIALECT.render_request(request, OPENAI).losses}
    assert losses == {"top_k": LossKind.PARAMETER}


def test_thoughts_and_their_seals_are_read_and_given_back_where_they_are_taken() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "redacted_thinking", "data": "tollway.openai.enc"},
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "thinking_blocks": blocks}
    request = parse(messages=[message])
    assert request.messages[0].parts[:3] == [
        Thinking(text="hm", seal=Seal("anthropic", "sig")),
        Thinking(seal=Seal("anthropic", "secret"), is_redacted=True),
        Thinking(seal=Seal("openai", "enc"), is_redacted=True),
    ]
    assert rendered(request)["messages"][0] == message
    assert "reasoning_content" not in rendered(request, OPENAI)["messages"][0]


def test_a_gemini_signature_rides_on_its_tool_call() -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    request = parse(messages=[{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert request.messages[0].parts == [ToolCall(id="c", name="f", arguments="{}", seal=Seal("gemini", "s"))]
    assert rendered(request)["messages"][0]["tool_calls"] == [call]


def test_custom_tools_are_kept_for_openai_and_are_functions_with_a_text_elsewhere() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
    tool = {"type": "custom", "custom": {"name": "patch", "description": "d", "format": grammar}}
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}
    request = parse(tools=[tool], messages=[{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert isinstance(request.tools[0], CustomTool)
    assert rendered(request, OPENAI)["tools"] == [tool]
    assert rendered(request, OPENAI)["messages"][0]["tool_calls"] == [call]
    assert rendered(request)["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert rendered(request)["messages"][0]["tool_calls"][0]["function"] == {
        "name": "patch",
        "arguments": '{"input":"*** x"}',
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "high"}, Reasoning(effort="high")),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, Reasoning(effort="low", summary="auto")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget_tokens=2048)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(is_adaptive=True)),
        ({"thinking": {"type": "disabled"}}, Reasoning(is_off=True)),
        ({"reasoning_effort": "none"}, Reasoning(effort="none", is_off=True)),
    ],
)
def test_thinking_can_be_asked_for_in_several_ways(fields: dict[str, Any], expected: Reasoning) -> None:
    assert parse(**fields).reasoning == expected


def test_web_search_options_are_a_tool() -> None:
    location = {"type": "approximate", "approximate": {"city": "Bern"}}
    options = {"search_context_size": "low", "user_location": location}
    request = parse(web_search_options=options)
    assert isinstance(request.tools[0], WebSearch)
    assert json.loads(bytes(request.tools[0].user_location or b"")) == {"type": "approximate", "city": "Bern"}
    assert rendered(request)["web_search_options"] == options


def test_the_old_function_fields_are_tools_too() -> None:
    request = parse(functions=[{"name": "f", "parameters": {}}], function_call={"name": "f"})
    assert isinstance(request.tools[0], Tool)
    assert request.tool_choice == ToolChoice(mode="tool", names=("f",))


def test_pictures_in_a_tools_result_follow_as_the_users() -> None:
    result = ToolResult(call_id="c", parts=[Text(text="see"), Media(kind="image", media_type="image/png", data="AA")])
    messages = rendered(Request(origin="messages", model="m", messages=[Message(role="user", parts=[result])]))[
        "messages"
    ]
    assert messages[0] == {"role": "tool", "tool_call_id": "c", "content": "see"}
    assert messages[1]["role"] == "user"
    assert messages[1]["content"][1]["image_url"]["url"] == "data:image/png;base64,AA"


def test_parts_of_another_format_are_named_as_lost() -> None:
    import msgspec

    part = Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(b"{}"))
    request = Request(origin="messages", model="m", messages=[Message(role="assistant", parts=[part])])
    losses = DIALECT.render_request(request, OPENAI).losses
    assert [(loss.kind, loss.field) for loss in losses] == [(LossKind.PART, "messages.content.server_tool_use")]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"messages": [{"role": "alien", "content": "x"}]}, "messages", "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "tool_call_id"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages", "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "image_url"),
        ({"temperature": "hot"}, "temperature", "a number"),
        ({"tool_choice": "sometimes"}, "tool_choice", "auto, none, required"),
        ({"response_format": {"type": "xml"}}, "response_format", "json_schema"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "minimal"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools", "tools"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    assert caught.value.param == param
    assert words in caught.value.message
