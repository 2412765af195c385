"""Requests written for Cohere."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.cohere import DIALECT
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
from tollway.dialects.messages import DIALECT as MESSAGES

REASONING = Target(model="command-a-reasoning-08-2025")
PLAIN = Target(model="command-a-03-2025")
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Now", "parameters": WEATHER}


def rendered(request: Request, target: Target = PLAIN) -> tuple[dict[str, Any], list[str]]:
    found = DIALECT.render_request(request, target)
    body: dict[str, Any] = json.loads(msgspec.json.encode(found.fields))
    return body, [f"{loss.kind.name} {loss.field}" for loss in found.losses]


def chat(target: Target = PLAIN, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    raw = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    return rendered(CHAT.parse_request(raw, model="public", is_stream=bool(fields.get("stream"))), target)


def asked(*parts: Part, role: Any = "user", target: Target = PLAIN) -> tuple[Any, list[str]]:
    body, losses = rendered(
        Request(origin="messages", model="m", messages=[Message(role=role, parts=[*parts])]), target
    )
    return body["messages"], losses


def test_a_conversation_with_tools_there_and_back() -> None:
    body, losses = chat(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "I will ask.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"A"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "get_weather", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "18"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "19"}]},
            {"role": "assistant", "content": "18 and 19."},
            {"role": "user", "content": "Thanks"},
        ],
        tools=[{"type": "function", "function": {**FUNCTION, "strict": True}}],
        tool_choice="required",
        parallel_tool_calls=True,
        stream=True,
    )
    assert losses == []
    assert body == {
        "model": "command-a-03-2025",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "tool_plan": "I will ask.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"A"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "18"},
            {"role": "tool", "tool_call_id": "c2", "content": "19"},
            {"role": "assistant", "content": "18 and 19."},
            {"role": "user", "content": "Thanks"},
        ],
        "stream": True,
        "tools": [{"type": "function", "function": FUNCTION}],
        "strict_tools": True,
        "tool_choice": "REQUIRED",
    }


def test_settings_have_other_names_and_narrower_ranges() -> None:
    body, losses = chat(
        temperature=0.5,
        top_p=1,
        top_k=900,
        max_completion_tokens=9,
        stop=["END"],
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=-1,
        logprobs=True,
    )
    del body["model"], body["messages"]
    assert body == {
        "temperature": 0.5,
        "p": 0.99,
        "k": 500,
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "seed": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0,
        "logprobs": True,
    }
    assert losses == ["HINT presence_penalty"]


def test_what_cannot_be_said_is_lost_by_name() -> None:
    _, losses = chat(
        n=2,
        logit_bias={"1": 1},
        logprobs=True,
        top_logprobs=3,
        user="u",
        parallel_tool_calls=False,
        modalities=["audio"],
        tools=[{"type": "web_search_preview"}],
        web_search_options={},
    )
    assert losses == [
        "PARAMETER n",
        "PARAMETER logit_bias",
        "HINT parallel_tool_calls",
        "HINT user",
        "PARAMETER modalities",
        "PARAMETER top_logprobs",
        "TOOL tools.web_search_preview",
        "TOOL tools.web_search",
    ]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}},
            {"type": "json_object", "json_schema": WEATHER},
        ),
        ({"type": "text"}, None),
    ],
)
def test_structured_output(wanted: dict[str, Any], said: Any) -> None:
    assert chat(response_format=wanted)[0].get("response_format") == said


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({"reasoning_effort": "medium"}, {"type": "enabled", "token_budget": 2048}),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, {"type": "enabled", "token_budget": 5000}),
        ({"thinking": {"type": "adaptive"}}, {"type": "enabled"}),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({}, None),
    ],
)
def test_models_that_reason_are_told_how_long(fields: dict[str, Any], thinking: Any) -> None:
    body, losses = chat(REASONING, **fields)
    assert (body.get("thinking"), losses) == (thinking, [])


def test_others_are_not_told_to_think() -> None:
    assert chat(reasoning_effort="high")[1] == ["HINT reasoning"]
    request = Request(origin="messages", model="m", messages=[], reasoning=Reasoning(is_off=True))
    assert rendered(request) == ({"model": "command-a-03-2025", "messages": []}, [])


@pytest.mark.parametrize(
    ("choice", "said", "offered"),
    [
        (ToolChoice(mode="auto"), None, ["a", "b"]),
        (ToolChoice(mode="auto", names=("b",)), None, ["b"]),
        (ToolChoice(mode="none"), "NONE", ["a", "b"]),
        (ToolChoice(mode="tool", names=("a",)), "REQUIRED", ["a"]),
        (None, None, ["a", "b"]),
    ],
)
def test_a_tool_is_forced_by_offering_no_other(choice: Any, said: str | None, offered: list[str]) -> None:
    tools: list[Any] = [CustomTool(name="a", description="A"), CustomTool(name="b", cache=CacheHint())]
    body, losses = rendered(Request(origin="chat", model="m", messages=[], tools=tools, tool_choice=choice))
    assert body.get("tool_choice") == said
    assert [tool["function"]["name"] for tool in body["tools"]] == offered
    assert losses == ["CACHE_HINT tools.cache_control"]
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]


def test_fields_of_its_own_come_from_any_caller_others_from_chat() -> None:
    own: dict[str, Any] = {"documents": ["d"], "safety_mode": "STRICT", "future": 1}
    assert chat(**own)[0].items() >= own.items()
    extra = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in own.items()}
    body, losses = rendered(Request(origin="messages", model="m", messages=[], extra=extra))
    assert (body["documents"], body["safety_mode"], losses) == (["d"], "STRICT", ["UNKNOWN future"])


def test_pictures_and_documents() -> None:
    messages, losses = asked(
        Media(kind="image", media_type="image/jpeg", data="AA==", detail="low", cache=CacheHint()),
        Media(kind="image", url="https://x.test/a.png"),
        Media(kind="file", text="body", title="T"),
        Media(kind="file", data="AA==", media_type="application/pdf"),
        Text(text="What?", cache=CacheHint()),
    )
    assert messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "text", "text": "T\n\nbody"},
        {"type": "text", "text": "What?"},
    ]
    assert losses == ["CACHE_HINT messages.content.cache_control", "MEDIA messages.content.file"]


def test_a_document_that_is_to_be_cited_is_one() -> None:
    body, losses = rendered(
        Request(
            origin="messages",
            model="m",
            messages=[
                Message(
                    role="user",
                    parts=[Media(kind="file", text="body", title="T", wants_citations=True), Text(text="What?")],
                )
            ],
        )
    )
    assert body["documents"] == [{"id": "doc_0", "data": {"title": "T", "text": "body"}}]
    assert (body["messages"], losses) == ([{"role": "user", "content": "What?"}], [])


def test_pictures_in_results_follow_as_the_users() -> None:
    result = ToolResult(call_id="c", parts=[Text(text="see"), Media(kind="image", data="AA==")], cache=CacheHint())
    messages, losses = asked(result, Text(text="And?"))
    assert [message["role"] for message in messages] == ["tool", "user"]
    assert messages[0] == {"role": "tool", "tool_call_id": "c", "content": "see"}
    assert [part["type"] for part in messages[1]["content"]] == ["text", "image_url", "text"]
    assert losses == ["CACHE_HINT messages.cache_control"]


def test_thoughts_go_where_the_model_takes_them() -> None:
    thought = Thinking(text="hm", seal=Seal("anthropic", "s"))
    assert asked(thought, Text(text="Hi"), role="assistant", target=REASONING) == (
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]}],
        [],
    )
    assert asked(thought, role="assistant") == ([], ["FOREIGN_SEAL messages.thinking"])


def test_a_custom_call_is_an_object_with_its_text() -> None:
    messages, losses = asked(
        ToolCall(id="c", name="patch", arguments="*** a", is_custom=True, cache=CacheHint()), role="assistant"
    )
    assert messages[0]["tool_calls"][0]["function"]["arguments"] == '{"input":"*** a"}'
    assert losses == ["CACHE_HINT messages.cache_control"]


def test_parts_that_only_others_know_are_lost() -> None:
    opaque = Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(b"{}"))
    messages, losses = asked(opaque, Thinking(text="x"))
    assert messages == [{"role": "user", "content": ""}]
    assert losses == ["PART messages.content.server_tool_use", "PART messages.content"]
    tools: list[Any] = [WebSearch(), OpaqueTool(origin="messages", kind="bash", raw=msgspec.Raw(b"{}"))]
    assert rendered(Request(origin="messages", model="m", messages=[], tools=tools))[1] == [
        "TOOL tools.web_search",
        "TOOL tools.bash",
    ]


def test_a_request_of_an_agent_in_anthropics_format() -> None:
    fields = {
        "messages": [{"role": "user", "content": "Hi"}],
        "system": [{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}}],
        "max_tokens": 32000,
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 4096},
        "tools": [{"name": "Bash", "input_schema": WEATHER}],
        "tool_choice": {"type": "tool", "name": "Bash"},
    }
    raw = msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, msgspec.Raw])
    body, losses = rendered(MESSAGES.parse_request(raw, model="m", is_stream=True), REASONING)
    assert body["messages"][0] == {"role": "system", "content": "You are"}
    assert (body["tool_choice"], body["thinking"]) == ("REQUIRED", {"type": "enabled", "token_budget": 4096})
    assert not any(loss.startswith(("PARAMETER", "TOOL", "MEDIA")) for loss in losses)
