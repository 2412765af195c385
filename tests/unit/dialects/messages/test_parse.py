"""Messages requests, read into the middle form."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import read_fields
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import (
    CacheHint,
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)
from tollway.dialects.messages import DIALECT

OWN = Target(model="claude-sonnet-4-5", provider="anthropic", seals=frozenset({"anthropic"}))
PICTURE = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def parse(**body: Any) -> Request:
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **body}
    return DIALECT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)


def parts(*blocks: dict[str, Any], role: str = "user") -> list[Part]:
    return parse(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def rendered(request: Request, target: Target = OWN) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(msgspec.json.encode(DIALECT.render_request(request, target).fields))
    return document


def value(raw: msgspec.Raw | None) -> Any:
    return msgspec.json.decode(raw or b"")


WHOLE: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 9000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": PICTURE, "transformations": {"oversized": "scale"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "T",
                    "context": "C",
                    "citations": {"enabled": True},
                    "cache_control": {"type": "ephemeral", "ttl": "5m"},
                },
                {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
                {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
                {"type": "container_upload", "file_id": "file_3"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "cipher"},
                {"type": "thinking", "thinking": "", "signature": "omitted"},
                {
                    "type": "text",
                    "text": "I see",
                    "citations": [
                        {
                            "type": "char_location",
                            "cited_text": "x",
                            "document_index": 0,
                            "document_title": "T",
                            "start_char_index": 0,
                            "end_char_index": 1,
                        }
                    ],
                },
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "weather",
                    "input": {"city": "Bern"},
                    "caller": {"type": "direct"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "12"}, {"type": "image", "source": PICTURE}],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "And?"},
            ],
        },
        {"role": "system", "content": "Now in French."},
    ],
    "tools": [
        {
            "name": "weather",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "defer_loading": True,
        },
        {"name": "now", "input_schema": {"type": "object"}, "strict": False},
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["example.com"],
            "user_location": {"type": "approximate", "city": "Bern"},
        },
        {"type": "bash_20250124", "name": "bash"},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": {"total": 9}},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u@example.com", "other": 1},
    "service_tier": "standard_only",
    "cache_control": {"type": "ephemeral"},
    "container": "c_1",
    "context_management": {"edits": []},
}


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        {"model": "claude-opus-4-6", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]},
        {
            "model": "claude-opus-4-6",
            "max_tokens": 1,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I say: "}],
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "thinking": {"type": "disabled"},
            "output_config": {"effort": "low"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any"},
        },
        {
            "model": "claude-opus-4-6",
            "max_tokens": 1,
            "messages": [{"role": "user", "content": "Hi"}],
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "max"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "none"},
        },
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 1,
            "messages": [{"role": "user", "content": "Hi"}],
            "thinking": {"type": "between_tools"},
            "output_config": {"effort": "xhigh"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
        },
    ],
)
def test_a_request_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    target = Target(model=body["model"], seals=frozenset({"anthropic"}))
    request = DIALECT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)
    assert rendered(request, target) == body
    assert DIALECT.render_request(request, target).losses == []


def test_everything_that_has_a_field_is_in_it() -> None:
    request = parse(**WHOLE)
    assert (request.origin, request.model, request.max_output_tokens, request.stop) == ("messages", "m", 9000, ["END"])
    assert (request.user, request.service_tier, request.cache) == ("u@example.com", "standard_only", CacheHint())
    assert request.reasoning == Reasoning(budget_tokens=2048, summary="none")
    assert (request.tool_choice, request.allows_parallel_tools) == (ToolChoice(mode="auto"), False)
    assert request.format is not None
    assert (request.format.kind, value(request.format.schema)) == ("json_schema", {"type": "object"})
    assert {name: value(raw) for name, raw in request.extra.items()} == {
        "container": "c_1",
        "context_management": {"edits": []},
        "metadata": {"other": 1},
        "output_config": {"task_budget": {"total": 9}},
    }


def test_system_is_a_message_before_the_others() -> None:
    assert parse(system="Be brief.").messages[0] == Message(role="system", parts=[Text(text="Be brief.")])
    assert parse(**WHOLE).messages[0].parts == [Text(text="Be brief.", cache=CacheHint("1h"))]
    assert parse(system=None).messages[0].role == "user"


def test_pictures_and_documents() -> None:
    found = parse(**WHOLE).messages[1].parts
    assert found[1] == Media(
        kind="image",
        media_type="image/png",
        data="aGk=",
        extra={"transformations": found[1].extra["transformations"]},  # type: ignore[union-attr]
    )
    assert found[2:5] == [
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="image", file_id="file_1"),
        Media(
            kind="file",
            media_type="application/pdf",
            data="JVBERi0=",
            title="T",
            context="C",
            wants_citations=True,
            cache=CacheHint("5m"),
        ),
    ]
    assert found[7] == Media(kind="file", media_type="text/plain", text="plain")
    kept = [part.kind for part in found if isinstance(part, Opaque)]
    assert kept == ["document", "search_result", "container_upload"]


def test_a_data_url_is_taken_apart() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "data:image/gif;base64,R0lG"}}
    assert parts(block) == [Media(kind="image", media_type="image/gif", data="R0lG")]


def test_calls_results_and_thoughts() -> None:
    _, _, answer, results, later = parse(**WHOLE).messages
    assert answer.parts[:3] == [
        Thinking(text="hm", seal=Seal("anthropic", "sig")),
        Thinking(seal=Seal("anthropic", "cipher"), is_redacted=True),
        Thinking(seal=Seal("anthropic", "omitted")),
    ]
    call = answer.parts[-1]
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, json.loads(call.arguments), value(call.extra["caller"])) == (
        "toolu_1",
        "weather",
        {"city": "Bern"},
        {"type": "direct"},
    )
    assert results.parts[0] == ToolResult(
        call_id="toolu_1",
        parts=[Text(text="12"), Media(kind="image", media_type="image/png", data="aGk=")],
        is_error=True,
        cache=CacheHint(),
    )
    assert later == Message(role="system", parts=[Text(text="Now in French.")])


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_a_result_may_be_empty(content: dict[str, Any]) -> None:
    block = {"type": "tool_result", "tool_use_id": "t", **content}
    assert parts(block) == [ToolResult(call_id="t", parts=[])]


def test_seals_of_other_vendors_come_back_with_their_origin() -> None:
    assert parts(
        {"type": "thinking", "thinking": "hm", "signature": "tollway.openai.enc.rypted"},
        {"type": "redacted_thinking", "data": "tollway.openai.x"},
        role="assistant",
    ) == [
        Thinking(text="hm", seal=Seal("openai", "enc.rypted")),
        Thinking(seal=Seal("openai", "x"), is_redacted=True),
    ]


def test_seals_of_calls_and_texts_come_back_to_them_wherever_they_stand() -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    assert parts(
        {"type": "redacted_thinking", "data": "tollway.gemini@call_1.s1"},
        {"type": "text", "text": "Hi"},
        {"type": "redacted_thinking", "data": "tollway.gemini@.s2"},
        {"type": "redacted_thinking", "data": "tollway.gemini@.s3"},
        {"type": "redacted_thinking", "data": "tollway.gemini@call_of_another_message.s4"},
        call,
        role="assistant",
    ) == [
        Text(text="Hi", seal=Seal("gemini", "s2")),
        Text(text="", seal=Seal("gemini", "s3")),
        ToolCall(id="call_1", name="f", arguments="{}", seal=Seal("gemini", "s1")),
    ]


def test_tools() -> None:
    weather, now, search, bash = parse(**WHOLE).tools
    assert isinstance(weather, Tool)
    assert (weather.name, weather.description, weather.is_strict, weather.cache) == ("weather", "d", True, CacheHint())
    assert value(weather.extra["defer_loading"]) is True
    assert isinstance(now, Tool)
    assert now.is_strict is False
    assert isinstance(search, WebSearch)
    assert (search.max_uses, search.allowed_domains, value(search.user_location)) == (
        3,
        ["example.com"],
        {"type": "approximate", "city": "Bern"},
    )
    assert isinstance(bash, OpaqueTool)
    assert (bash.kind, value(bash.raw)) == ("bash_20250124", {"type": "bash_20250124", "name": "bash"})
    assert parse(tools=[{"type": "custom", "name": "f"}]).tools == [Tool(name="f")]


def test_a_title_that_is_no_text_is_none() -> None:
    source = {"type": "file", "file_id": "f"}
    assert parts({"type": "document", "source": source, "title": 5}) == [Media(kind="file", file_id="f")]


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Reasoning(is_off=True)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(is_adaptive=True)),
        ({"output_config": {"effort": "xhigh"}}, Reasoning(effort="xhigh")),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            Reasoning(is_adaptive=True, summary="auto", effort="low"),
        ),
        ({"thinking": {"type": "between_tools"}}, None),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}}, Reasoning(effort="low")),
    ],
)
def test_reasoning(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert parse(**fields).reasoning == reasoning


def test_the_older_name_of_the_output_format() -> None:
    wanted = parse(output_format={"type": "json_schema", "schema": {"type": "object"}}).format
    assert wanted is not None
    assert (wanted.kind, value(wanted.schema)) == ("json_schema", {"type": "object"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": "1"}, "max_tokens: must be an integer."),
        ({"messages": "x"}, "messages: must be a list of messages with a role and content."),
        ({"messages": [{"role": "user"}]}, "messages[0]: must be a list of messages with a role and content."),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: 'tool' is not one of user, assistant."),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content: must be a string or a list of content blocks.",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages.0.content.0.tool_use_id: Field required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
            "messages.0.content.0.source.data: Field required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages.0.content.0: Expected `str`, got `int`",
        ),
        ({"system": 5}, "system: must be a string or a list of content blocks."),
        ({"cache_control": "yes"}, "cache_control: must be an object with a type."),
        ({"tools": [{"name": "f", "cache_control": "yes"}]}, "tools.cache_control: must be an object with a type."),
        ({"tools": [5]}, "tools: must be a list of tools with a name and an input_schema."),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type: 'some' is not one of auto, any, tool, none."),
        ({"tool_choice": "auto"}, "tool_choice: must be an object with a type."),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: Field required"),
        (
            {"output_config": {"effort": "huge"}},
            "output_config.effort: must be an object; its effort one of low to max.",
        ),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type: 'text' is not json_schema."),
        ({"metadata": 5}, "metadata: must be an object."),
        ({"temperature": "hot"}, "temperature: must be a number."),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    assert caught.value.message == message
    assert caught.value.param is not None


def test_texts_that_are_no_utf_8_are_the_callers_error() -> None:
    for text in (b'{"role":"user","content":"\xff"}', b'{"role":"user","content":[{"type":"text","text":"\xff"}]}'):
        fields = read_fields(b'{"max_tokens":1,"messages":[%s]}' % text)
        with pytest.raises(InvalidRequest):
            DIALECT.parse_request(fields, model="m", is_stream=False)


def paths(document: Any) -> list[tuple[str | int, ...]]:
    """Every place of a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [(key, *rest) for key, inner in items for rest in ((), *paths(inner))]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(paths(WHOLE)),
            st.sampled_from([None, 5, -1, "x", "", [], {}, [5], [None], {"type": "x"}, {"type": "text"}, True, 1e300]),
        ),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([OWN, Target(model="claude-opus-4-8"), Target(model="claude-3")]),
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_wrong_is_the_callers_error_and_never_ours(
    changes: list[tuple[tuple[str | int, ...], Any]], target: Target
) -> None:
    body = json.loads(json.dumps(WHOLE))
    for (*way, last), junk in changes:
        place = body
        try:
            for key in way:
                place = place[key]
            place[last] = json.loads(json.dumps(junk))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken the place away
    with suppress(InvalidRequest):
        request = DIALECT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)
        for origin in ("messages", "chat", "gemini"):
            request.origin = origin
            assert json.loads(msgspec.json.encode(DIALECT.render_request(request, target).fields))["messages"]
