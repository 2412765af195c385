"""Requests written for Ollama."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.core.errors import InvalidRequest
from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import (
    CacheHint,
    CustomTool,
    Media,
    Message,
    Opaque,
    OpaqueTool,
    Part,
    Reasoning,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)
from tollway.dialects.ollama import DIALECT

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "get_weather", "description": "Now", "parameters": WEATHER}


def rendered(request: Request, model: str = "llama3.2") -> tuple[dict[str, Any], list[str]]:
    found = DIALECT.render_request(request, Target(model=model))
    body: dict[str, Any] = json.loads(msgspec.json.encode(found.fields))
    return body, [f"{loss.kind.name} {loss.field}" for loss in found.losses]


def chat(model: str = "llama3.2", **fields: Any) -> tuple[dict[str, Any], list[str]]:
    body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    raw = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    return rendered(CHAT.parse_request(raw, model="public", is_stream=bool(fields.get("stream"))), model)


def asked(*parts: Part, role: Any = "user") -> tuple[Any, list[str]]:
    body, losses = rendered(Request(origin="messages", model="m", messages=[Message(role=role, parts=[*parts])]))
    return body["messages"], losses


def test_a_conversation_with_tools_there_and_back() -> None:
    body, losses = chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "Wait.",
                "reasoning_content": "I will ask.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"A"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "get_time", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "18"},
            {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        ],
        tools=[{"type": "function", "function": FUNCTION}, {"type": "function", "function": {"name": "get_time"}}],
        tool_choice="auto",
        stream=True,
    )
    assert losses == []
    calls = [
        {"id": "c1", "type": "function", "function": {"index": 0, "name": "get_weather", "arguments": {"city": "A"}}},
        {"id": "c2", "type": "function", "function": {"index": 1, "name": "get_time", "arguments": {}}},
    ]
    no_parameters = {"type": "object", "properties": {}}
    assert body == {
        "model": "llama3.2",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Wait.", "thinking": "I will ask.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "tool_name": "get_weather", "content": "18"},
            {"role": "tool", "tool_call_id": "c2", "tool_name": "get_time", "content": "noon"},
        ],
        "stream": True,
        "tools": [
            {"type": "function", "function": FUNCTION},
            {"type": "function", "function": {"name": "get_time", "parameters": no_parameters}},
        ],
    }


def test_settings_are_options() -> None:
    body, losses = chat(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.05,
        max_tokens=9,
        stop="END",
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=1,
        num_ctx=8192,
        options={"repeat_penalty": 1.1},
        keep_alive="10m",
        logprobs=True,
        top_logprobs=2,
    )
    assert losses == []
    assert body["stream"] is False
    assert (body["keep_alive"], body["logprobs"], body["top_logprobs"]) == ("10m", True, 2)
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "num_predict": 9,
        "stop": ["END"],
        "seed": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": 1,
        "num_ctx": 8192,
        "repeat_penalty": 1.1,
    }


def test_its_own_fields_come_from_any_caller() -> None:
    extra = {name: msgspec.Raw(b"1") for name in ("num_ctx", "keep_alive", "future")}
    body, losses = rendered(Request(origin="messages", model="m", messages=[], extra=extra))
    assert (body["options"], body["keep_alive"], losses) == ({"num_ctx": 1}, 1, ["UNKNOWN future"])
    assert chat(future=1)[0]["future"] == 1


def test_options_must_be_an_object() -> None:
    with pytest.raises(InvalidRequest, match="options"):
        chat(options=[1])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}, WEATHER),
        ({"type": "text"}, None),
    ],
)
def test_structured_output(wanted: dict[str, Any], said: Any) -> None:
    assert chat(response_format=wanted)[0].get("format") == said


@pytest.mark.parametrize(
    ("model", "reasoning", "think", "lost"),
    [
        ("gpt-oss:20b", Reasoning(effort="xhigh"), "high", []),
        ("gpt-oss:20b", Reasoning(budget_tokens=2000), "medium", []),
        ("gpt-oss:20b", Reasoning(is_adaptive=True), True, []),
        ("qwen3:8b", Reasoning(effort="low"), True, []),
        ("llama3.2", Reasoning(effort="low"), None, ["HINT reasoning"]),
        ("llama3.2", Reasoning(is_off=True), False, []),
        ("qwen3:8b", None, None, []),
    ],
)
def test_thinking_is_asked_of_models_that_do(model: str, reasoning: Any, think: Any, lost: list[str]) -> None:
    request = Request(origin="messages", model="m", messages=[], reasoning=reasoning)
    body, losses = rendered(request, model)
    assert (body.get("think"), losses) == (think, lost)


@pytest.mark.parametrize(
    ("choice", "offered", "lost"),
    [
        (None, ["a", "b"], []),
        (ToolChoice(mode="auto", names=("b",)), ["b"], []),
        (ToolChoice(mode="none"), [], []),
        (ToolChoice(mode="required"), ["a", "b"], ["PARAMETER tool_choice"]),
        (ToolChoice(mode="tool", names=("a",)), ["a"], ["PARAMETER tool_choice"]),
    ],
)
def test_tools_can_be_left_out_but_not_forced(choice: Any, offered: list[str], lost: list[str]) -> None:
    tools: list[Any] = [CustomTool(name="a"), CustomTool(name="b", description="B")]
    body, losses = rendered(Request(origin="chat", model="m", messages=[], tools=tools, tool_choice=choice))
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == offered
    assert losses == lost


def test_pictures_are_base64_and_nothing_else() -> None:
    messages, losses = asked(
        Media(kind="image", media_type="image/png", data="AA==", cache=CacheHint()),
        Media(kind="image", url="https://x.test/a.png"),
        Media(kind="file", text="body", title="T"),
        Media(kind="file", text="bare"),
        Text(text="What?"),
    )
    assert messages == [{"role": "user", "content": "T\n\nbody\n\nbare\n\nWhat?", "images": ["AA=="]}]
    assert losses == ["CACHE_HINT messages.content.cache_control", "MEDIA messages.content.image"]


def test_pictures_in_results_follow_as_the_users() -> None:
    result = ToolResult(call_id="c", parts=[Text(text="see"), Media(kind="image", data="AA==")], cache=CacheHint())
    messages, losses = asked(result)
    assert messages == [
        {"role": "tool", "tool_call_id": "c", "content": "see"},
        {"role": "user", "content": "Output of the tool call c:", "images": ["AA=="]},
    ]
    assert losses == ["CACHE_HINT messages.cache_control"]


@pytest.mark.parametrize(
    ("arguments", "is_custom", "said"),
    [
        ("*** a", True, {"input": "*** a"}),
        ("[1]", False, {"arguments": [1]}),
        ('{"a":', False, {"arguments": '{"a":'}),
    ],
)
def test_arguments_are_always_an_object(arguments: str, is_custom: bool, said: Any) -> None:
    messages, _ = asked(ToolCall(id="c", name="f", arguments=arguments, is_custom=is_custom), role="assistant")
    assert messages[0]["tool_calls"][0]["function"]["arguments"] == said


def test_what_only_others_know_is_lost() -> None:
    opaque = Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(b"{}"))
    sealed = Thinking(seal=Seal("anthropic", "s"), is_redacted=True)
    messages, losses = asked(opaque, sealed, ToolResult(call_id="c", parts=[]), role="assistant")
    assert messages == [{"role": "assistant", "content": ""}]
    assert losses == [
        "PART messages.content.server_tool_use",
        "FOREIGN_SEAL messages.thinking",
        "PART messages.content",
    ]
    tools: list[Any] = [
        WebSearch(),
        OpaqueTool(origin="messages", kind="bash", raw=msgspec.Raw(b"{}")),
        CustomTool(name="a", cache=CacheHint()),
    ]
    assert rendered(Request(origin="messages", model="m", messages=[], tools=tools))[1] == [
        "TOOL tools.web_search",
        "TOOL tools.bash",
        "CACHE_HINT tools.cache_control",
    ]
