"""Requests of the middle form, written as Messages requests."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import read_fields
from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import (
    CacheHint,
    Citation,
    CustomTool,
    Json,
    Media,
    Message,
    Opaque,
    OpaqueTool,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
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

PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
OLDER = Target(model="claude-sonnet-4-5", provider="anthropic", seals=frozenset({"anthropic"}))
ADAPTIVE = Target(model="claude-opus-4-6", provider="anthropic", seals=frozenset({"anthropic"}))
NEWER = Target(model="claude-opus-4-8", provider="anthropic", seals=frozenset({"anthropic"}))


def request(*messages: Message, **fields: Any) -> Request:
    fields.setdefault("origin", "chat")
    return Request(model="m", messages=list(messages) or [user("Hi")], **fields)


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts: Part | str) -> Message:
    return Message(role="assistant", parts=user(*parts).parts)


def system(text: str) -> Message:
    return Message(role="system", parts=[Text(text=text)])


def written(request: Request, target: Target = OLDER) -> tuple[dict[str, Any], list[tuple[LossKind, str]]]:
    result: Rendered = DIALECT.render_request(request, target)
    document: dict[str, Any] = json.loads(msgspec.json.encode(result.fields))
    PARAMS.validate_python(document)
    return document, [(loss.kind, loss.field) for loss in result.losses]


def fields(request: Request, target: Target = OLDER) -> dict[str, Any]:
    return written(request, target)[0]


def turns(*messages: Message, **settings: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fields(request(*messages, **settings))["messages"]
    return found


def losses(request: Request, target: Target = OLDER) -> list[tuple[LossKind, str]]:
    return written(request, target)[1]


def raw(value: Any) -> Json:
    return msgspec.Raw(json.dumps(value).encode())


def thinking(budget: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}, "max_tokens": budget + 4096}


CALL = ToolCall(id="call_1", name="f", arguments='{"a":1}')
RESULT = ToolResult(call_id="call_1", parts=[Text(text="12")])


def test_the_least_there_is() -> None:
    assert written(request()) == (
        {"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": [{"role": "user", "content": "Hi"}]},
        [],
    )


@pytest.mark.parametrize(("asked", "limit", "sent"), [(7, 100, 7), (None, 100, 100), (None, None, 4096)])
def test_the_limit_is_the_callers_the_models_or_a_default(asked: int | None, limit: int | None, sent: int) -> None:
    target = Target(model="claude-sonnet-4-5", max_output_tokens=limit)
    assert fields(request(max_output_tokens=asked), target)["max_tokens"] == sent


def test_instructions_that_begin_are_system_and_later_ones_the_users_words() -> None:
    body = fields(request(system("A"), system("B"), user("Hi"), system("C"), assistant("Yes"), system("D")))
    assert body["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "C"}]},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "D"},
    ]


def test_instructions_alone_are_the_users_turn() -> None:
    body = fields(request(system("A"), system("B")))
    assert (body["system"], body["messages"]) == ("A", [{"role": "user", "content": "B"}])


@pytest.mark.parametrize("messages", [[user("")], [system("")], [user(" \n"), assistant(Thinking(text="x"))]])
def test_a_request_without_content_is_refused(messages: list[Message]) -> None:
    with pytest.raises(InvalidRequest, match="at least one message"):
        DIALECT.render_request(request(*messages), OLDER)


def test_neighbours_of_one_role_become_one_turn_and_empty_ones_none() -> None:
    assert turns(user("a"), user("b", ""), assistant(""), user("c"), assistant("d"), assistant("e")) == [
        {"role": "user", "content": [{"type": "text", "text": text} for text in "abc"]},
        {"role": "assistant", "content": [{"type": "text", "text": "d"}, {"type": "text", "text": "e"}]},
    ]


def test_the_user_begins() -> None:
    assert turns(assistant("Welcome"), user("Hi"))[0] == {"role": "user", "content": "(continue)"}


def test_results_come_first_even_where_instructions_stand_between() -> None:
    other = ToolResult(call_id="call_2", parts=[], is_error=True)
    last = turns(user("Go"), assistant(CALL), system("Careful"), user("Look:", RESULT), user(other))[-1]
    assert last == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "12"},
            {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
            {"type": "text", "text": "Careful"},
            {"type": "text", "text": "Look:"},
        ],
    }


def test_the_beginning_of_an_answer_has_no_white_space_at_its_end() -> None:
    assert turns(user("Hi"), assistant("It is \n"))[-1] == {"role": "assistant", "content": "It is"}


@pytest.mark.parametrize("id_", ["call|1.é", "", "a" * 70, "functions.f:0"])
def test_ids_have_characters_that_the_api_takes_alike_in_call_and_result(id_: str) -> None:
    call = ToolCall(id=id_, name="f", arguments="{}")
    _, made, given_ = turns(user("Go"), assistant(call), user(ToolResult(call_id=id_, parts=[])))
    assert made["content"][0]["id"] == given_["content"][0]["tool_use_id"]
    assert set(made["content"][0]["id"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert made["content"][0]["id"]


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (ToolCall(id="c", name="f", arguments=""), {}),
        (ToolCall(id="c", name="f", arguments=' {"a":1} '), {"a": 1}),
        (ToolCall(id="c", name="f", arguments="[1]"), {"arguments": [1]}),
        (ToolCall(id="c", name="f", arguments='{"a":'), {"arguments": '{"a":'}),
        (ToolCall(id="c", name="f", arguments="raw", is_custom=True), {"input": "raw"}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(call: ToolCall, sent: dict[str, Any]) -> None:
    assert turns(user("Go"), assistant(call))[-1]["content"][0]["input"] == sent


def test_thoughts_go_to_who_can_open_them() -> None:
    own = Thinking(text="a", seal=Seal("anthropic", "s"))
    hidden = Thinking(seal=Seal("anthropic", "r"), is_redacted=True)
    omitted = Thinking(seal=Seal("anthropic", "o"))
    foreign = Thinking(text="b", seal=Seal("openai", "x"))
    body, lost = written(request(user("Go"), assistant(own, hidden, omitted, foreign, Thinking(text="c"), "Hi")))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "thinking", "thinking": "", "signature": "o"},
        {"type": "text", "text": "Hi"},
    ]
    assert lost == [(LossKind.FOREIGN_SEAL, "messages.thinking")]


def test_seals_on_texts_calls_and_pictures_are_a_loss() -> None:
    seal = Seal("gemini", "s")
    for part in (
        Text(text="a", seal=seal),
        ToolCall(id="c", name="f", arguments="{}", seal=seal),
    ):
        assert losses(request(user("Go"), assistant(part))) == [(LossKind.FOREIGN_SEAL, "messages.content")]
    picture = Media(kind="image", url="https://x", seal=seal)
    assert losses(request(user(picture))) == [(LossKind.FOREIGN_SEAL, "messages.content")]


def test_cache_hints_stay_where_they_are() -> None:
    body = fields(
        request(
            Message(role="system", parts=[Text(text="A", cache=CacheHint("1h"))]),
            user(Text(text="Hi", cache=CacheHint())),
            assistant(ToolCall(id="c", name="f", arguments="{}", cache=CacheHint("5m"))),
            user(ToolResult(call_id="c", parts=[], cache=CacheHint())),
            tools=[
                Tool(name="f", cache=CacheHint()),
                CustomTool(name="g", cache=CacheHint()),
                WebSearch(cache=CacheHint()),
            ],
            cache=CacheHint("1h"),
        )
    )
    short, hour = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    assert body["cache_control"] == hour
    assert body["system"][0]["cache_control"] == hour
    assert body["messages"][0]["content"][0]["cache_control"] == short
    assert body["messages"][1]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert body["messages"][2]["content"][0]["cache_control"] == short
    assert [tool["cache_control"] for tool in body["tools"]] == [short] * 3


@pytest.mark.parametrize(
    ("media", "source"),
    [
        (Media(kind="image", data="aGk="), {"type": "base64", "media_type": "image/png", "data": "aGk="}),
        (
            Media(kind="image", media_type="image/JPG", data="aGk="),
            {"type": "base64", "media_type": "image/jpeg", "data": "aGk="},
        ),
        (Media(kind="image", url="https://x/a.png"), {"type": "url", "url": "https://x/a.png"}),
        (Media(kind="file", file_id="f"), {"type": "file", "file_id": "f"}),
        (Media(kind="file", data="JVBE"), {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}),
        (Media(kind="file", text="x"), {"type": "text", "media_type": "text/plain", "data": "x"}),
        (
            Media(kind="file", media_type="text/csv", data="YSxi"),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
    ],
)
def test_pictures_and_documents(media: Media, source: dict[str, Any]) -> None:
    (block,) = turns(user(media))[0]["content"]
    assert block == {"type": "image" if media.kind == "image" else "document", "source": source}


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", media_type="audio/wav", data="aGk="),
        Media(kind="video", url="https://x/a.mp4"),
        Media(kind="image", media_type="image/tiff", data="aGk="),
        Media(kind="image", url="gs://bucket/a.png"),
        Media(kind="image"),
        Media(kind="file", media_type="application/zip", data="aGk="),
        Media(kind="file", media_type="text/plain", data="/w=="),
        Media(kind="file", media_type="text/plain", data="not base64"),
    ],
)
def test_media_that_the_api_does_not_take_is_a_loss(media: Media) -> None:
    assert losses(request(user("Hi", media))) == [(LossKind.MEDIA, f"messages.content.{media.kind}")]


def test_a_documents_title_context_and_wish_for_citations() -> None:
    media = Media(kind="file", text="x", filename="a.txt", context="c", wants_citations=True)
    (block,) = turns(user(media))[0]["content"]
    assert (block["title"], block["context"], block["citations"]) == ("a.txt", "c", {"enabled": True})


def test_pictures_that_a_model_made_are_no_history_and_detail_is_a_hint() -> None:
    picture = Media(kind="image", data="aGk=", detail="high")
    assert losses(request(user("Hi"), assistant("Look", picture))) == [(LossKind.PART, "messages.content.image")]
    assert losses(request(user(picture))) == [(LossKind.HINT, "messages.content.detail")]


def test_refusals_citations_and_parts_of_other_formats() -> None:
    cited = Text(text="a", citations=(Citation(url="https://x", title="X", cited_text="c"), Citation(title="none")))
    opaque = Opaque(origin="gemini", kind="executableCode", raw=raw({}))
    own = Opaque(origin="messages", kind="search_result", raw=raw({"type": "container_upload", "file_id": "f"}))
    body, lost = written(request(user("Go", own), assistant(cited, Refusal(text="No"), Refusal(text=""), opaque)))
    assert body["messages"][0]["content"][1] == {"type": "container_upload", "file_id": "f"}
    assert body["messages"][1]["content"] == [
        {
            "type": "text",
            "text": "a",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "https://x",
                    "title": "X",
                    "cited_text": "c",
                    "encrypted_index": "",
                }
            ],
        },
        {"type": "text", "text": "No"},
    ]
    assert lost == [(LossKind.PART, "messages.content.executableCode")]


def test_names_of_speakers_are_a_hint() -> None:
    speaker = Message(role="user", parts=[Text(text="Hi")], name="Ann")
    assert losses(request(speaker)) == [(LossKind.HINT, "messages.name")]


def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    body, lost = written(
        request(
            tools=[
                Tool(name="a", description="d", parameters=raw(schema), is_strict=True),
                Tool(name="b", parameters=raw({"properties": {}}), is_strict=False),
                Tool(name="c"),
                CustomTool(name="patch", description="Edits.", format=raw({"type": "grammar", "syntax": "lark",
                                                                          "definition": "start: X"})),
                CustomTool(name="free", format=raw({"type": "text"})),
                WebSearch(max_uses=2, allowed_domains=["x"], context_size="high"),
                WebSearch(origin="messages", raw=raw({"type": "web_search_20260209", "name": "web_search"})),
                OpaqueTool(origin="chat", kind="bash", raw=raw({"type": "bash_20250124", "name": "bash"})),
                OpaqueTool(origin="gemini", kind="codeExecution", raw=raw({})),
            ]
        )
    )  # fmt: skip
    one_text = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    assert body["tools"] == [
        {"name": "a", "description": "d", "input_schema": schema, "strict": True},
        {"name": "b", "input_schema": {"properties": {}, "type": "object"}},
        {"name": "c", "input_schema": {"type": "object"}},
        {
            "name": "patch",
            "description": "Edits.\n\nThe input follows this grammar (lark):\nstart: X",
            "input_schema": one_text,
        },
        {"name": "free", "input_schema": one_text},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "allowed_domains": ["x"]},
        {"type": "web_search_20260209", "name": "web_search"},
        {"type": "bash_20250124", "name": "bash"},
    ]
    assert lost == [
        (LossKind.HINT, "tools.format"),
        (LossKind.HINT, "tools.web_search.search_context_size"),
        (LossKind.TOOL, "tools.codeExecution"),
    ]
    assert "tool_choice" not in body


def test_parameters_that_are_no_object_are_the_vendors_to_refuse() -> None:
    sent = DIALECT.render_request(request(tools=[Tool(name="a", parameters=raw(5))]), OLDER)
    assert json.loads(msgspec.json.encode(sent.fields))["tools"] == [{"name": "a", "input_schema": 5}]


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="required"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice(mode="tool", names=("a",)), None, {"type": "tool", "name": "a"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any]) -> None:
    asked = request(tools=[Tool(name="a")], tool_choice=choice, allows_parallel_tools=parallel)
    assert fields(asked)["tool_choice"] == sent
    assert "tool_choice" not in fields(request(tool_choice=choice, allows_parallel_tools=parallel))


def test_where_only_some_tools_are_allowed_the_others_are_left_out() -> None:
    choice = ToolChoice(mode="required", names=("b",))
    body, lost = written(request(tools=[Tool(name="a"), Tool(name="b")], tool_choice=choice))
    assert [tool["name"] for tool in body["tools"]] == ["b"]
    assert (body["tool_choice"], lost) == ({"type": "any"}, [])


@pytest.mark.parametrize(
    ("settings_", "target", "sent", "lost"),
    [
        # effort and budget, by model
        ({"effort": "low"}, OLDER, thinking(1024), []),
        ({"effort": "high"}, OLDER, thinking(4096), []),
        ({"effort": "max"}, OLDER, thinking(16384), []),
        (
            {"effort": "xhigh"},
            Target(model="claude-opus-4-5"),
            {**thinking(8192), "output_config": {"effort": "high"}},
            [],
        ),
        ({"effort": "minimal"}, ADAPTIVE, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, []),
        ({"effort": "xhigh"}, ADAPTIVE, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, []),
        ({"effort": "max"}, NEWER, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, []),
        ({"budget_tokens": 2000}, ADAPTIVE, thinking(2000), []),
        ({"budget_tokens": 2000}, NEWER, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, []),
        ({"budget_tokens": 1}, OLDER, thinking(1024), []),
        ({"is_adaptive": True}, OLDER, thinking(2048), []),
        ({"is_adaptive": True}, ADAPTIVE, {"thinking": {"type": "adaptive"}}, []),
        ({"summary": "auto"}, ADAPTIVE, {}, []),
        (
            {"effort": "low", "summary": "detailed"},
            ADAPTIVE,
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            [],
        ),
        # off
        ({"is_off": True}, OLDER, {}, []),
        ({"effort": "none"}, NEWER, {}, []),
        ({"effort": "none"}, Target(model="claude-sonnet-5"), {"thinking": {"type": "disabled"}}, []),
        (
            {"is_off": True},
            Target(model="anthropic.claude-opus-5-5-v1:0"),
            {"output_config": {"effort": "low"}},
            [(LossKind.HINT, "reasoning")],
        ),
    ],
)  # fmt: skip
def test_how_long_to_think(
    settings_: dict[str, Any], target: Target, sent: dict[str, Any], lost: list[tuple[LossKind, str]]
) -> None:
    body, found = written(request(reasoning=Reasoning(**settings_)), target)
    least = {"model": target.model, "max_tokens": 4096, "messages": [{"role": "user", "content": "Hi"}]}
    assert body == least | sent
    assert found == lost


def test_a_budget_stays_below_the_callers_limit_or_is_left_out() -> None:
    body = fields(request(max_output_tokens=2000, reasoning=Reasoning(effort="high")))
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (2000, 1999)
    small = request(max_output_tokens=1024, reasoning=Reasoning(effort="high"))
    assert "thinking" not in fields(small)
    assert losses(small) == [(LossKind.HINT, "reasoning")]


def test_a_raised_limit_is_not_above_the_models() -> None:
    target = Target(model="claude-sonnet-4-5", max_output_tokens=6000)
    body = fields(request(reasoning=Reasoning(effort="max")), target)
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (6000, 5999)


def test_sampling_gives_way_to_thinking() -> None:
    asked = request(temperature=0.5, top_k=3, top_p=0.5, reasoning=Reasoning(effort="low"))
    body, lost = written(asked)
    assert {"temperature", "top_k", "top_p"}.isdisjoint(body)
    assert lost == [(LossKind.HINT, name) for name in ("temperature", "top_k", "top_p")]
    kept = fields(request(temperature=1.0, top_p=0.97, reasoning=Reasoning(effort="low")))
    assert (kept["temperature"], kept["top_p"]) == (1.0, 0.97)


def test_thinking_gives_way_to_a_forced_tool() -> None:
    asked = request(
        tools=[Tool(name="a")],
        tool_choice=ToolChoice(mode="required"),
        temperature=0.5,
        reasoning=Reasoning(effort="low"),
    )
    body, lost = written(asked)
    assert "thinking" not in body
    assert (body["temperature"], lost) == (0.5, [(LossKind.HINT, "reasoning")])


def test_a_budget_is_left_out_where_the_calls_were_made_without_a_thought() -> None:
    history = [user("Go"), assistant("Well", CALL), user(RESULT)]
    asked = request(*history, reasoning=Reasoning(effort="low"))
    assert losses(asked) == [(LossKind.HINT, "reasoning")]
    assert "thinking" in fields(asked, ADAPTIVE)
    history[1].parts.insert(0, Thinking(text="hm", seal=Seal("anthropic", "s")))
    assert "thinking" in fields(request(*history, reasoning=Reasoning(effort="low")))


def test_the_newest_models_take_no_sampling() -> None:
    asked = request(temperature=0.5, top_p=0.5, top_k=3)
    assert losses(asked, NEWER) == [(LossKind.PARAMETER, name) for name in ("temperature", "top_p", "top_k")]
    assert losses(request(temperature=1.0, top_p=1.0), NEWER) == []


def test_temperatures_above_one_are_one() -> None:
    body, lost = written(request(temperature=1.7))
    assert (body["temperature"], lost) == (1.0, [(LossKind.HINT, "temperature")])


@pytest.mark.parametrize(
    ("field", "value", "lost"),
    [
        ("seed", 1, (LossKind.PARAMETER, "seed")),
        ("choices", 2, (LossKind.PARAMETER, "n")),
        ("choices", 1, None),
        ("presence_penalty", 0.1, (LossKind.PARAMETER, "presence_penalty")),
        ("frequency_penalty", 0.1, (LossKind.PARAMETER, "frequency_penalty")),
        ("logprobs", 0, (LossKind.PARAMETER, "logprobs")),
        ("logit_bias", raw({}), (LossKind.PARAMETER, "logit_bias")),
        ("min_p", 0.1, (LossKind.PARAMETER, "min_p")),
        ("modalities", ["text", "audio"], (LossKind.PARAMETER, "modalities")),
        ("modalities", ["text"], None),
        ("audio", raw({}), (LossKind.PARAMETER, "audio")),
        ("prediction", raw({}), (LossKind.HINT, "prediction")),
        ("safety_settings", raw([]), (LossKind.HINT, "safetySettings")),
        ("verbosity", "low", (LossKind.HINT, "verbosity")),
        ("store", True, (LossKind.HINT, "store")),
        ("prompt_cache_key", "k", (LossKind.HINT, "prompt_cache_key")),
        ("metadata", raw({}), (LossKind.HINT, "metadata")),
        ("service_tier", "flex", (LossKind.HINT, "service_tier")),
        ("format", OutputFormat(kind="json_object"), (LossKind.PARAMETER, "response_format")),
        ("format", OutputFormat(kind="text"), None),
        ("user", "ann@example.com", (LossKind.HINT, "user")),
        ("user", "+41 44 123 45 67", (LossKind.HINT, "user")),
    ],
)
def test_what_has_no_counterpart_is_a_loss(field: str, value: Any, lost: tuple[LossKind, str] | None) -> None:
    body, found = written(request(**{field: value}))
    assert found == ([lost] if lost is not None else [])
    assert body == fields(request())


@pytest.mark.parametrize(
    ("field", "value", "name", "sent"),
    [
        ("user", "u-1", "metadata", {"user_id": "u-1"}),
        ("service_tier", "auto", "service_tier", "auto"),
        ("service_tier", "default", "service_tier", "standard_only"),
        ("stop", ["x"], "stop_sequences", ["x"]),
        ("top_p", 0.5, "top_p", 0.5),
        ("top_k", 5, "top_k", 5),
        (
            "format",
            OutputFormat(kind="json_schema", name="n", schema=raw({"type": "object"})),
            "output_config",
            {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        ),
        (
            "format",
            OutputFormat(kind="json_schema"),
            "output_config",
            {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        ),
    ],
)
def test_what_has_a_counterpart(field: str, value: Any, name: str, sent: Any) -> None:
    assert fields(request(**{field: value})) == fields(request()) | {name: sent}


def test_a_stream_is_asked_for() -> None:
    assert DIALECT.render_request(request(is_stream=True), OLDER).fields["stream"] is True


def test_unknown_fields_go_where_they_are_known() -> None:
    extra = {"container": raw("c"), "output_config": raw({"task_budget": 1})}
    wanted = OutputFormat(kind="json_schema", schema=raw({"type": "object"}))
    body = fields(request(extra=extra, format=wanted))
    assert body["container"] == "c"
    assert set(body["output_config"]) == {"format", "task_budget"}
    assert losses(request(extra=extra, origin="gemini")) == [
        (LossKind.UNKNOWN, "container"),
        (LossKind.UNKNOWN, "output_config"),
    ]
    with pytest.raises(InvalidRequest, match="output_config: must be an object"):
        DIALECT.render_request(request(extra={"output_config": raw(5)}, format=wanted), OLDER)


def test_fields_of_another_formats_tools_calls_and_media_are_not_written() -> None:
    extra = {"x": raw(1)}
    body = fields(
        request(
            user(Media(kind="image", url="https://x", extra=extra)),
            assistant(ToolCall(id="c", name="f", arguments="{}", extra=extra)),
            tools=[Tool(name="f", extra=extra)],
        )
    )
    assert '"x"' not in json.dumps(body)
    assert losses(request(tools=[Tool(name="f", extra=extra)])) == [(LossKind.UNKNOWN, "tools.x")]


def test_a_chat_request_of_an_agent_becomes_one_that_the_api_takes() -> None:
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "w", "arguments": '{"c":"Bern"}'}},
                    {"id": "call_b", "type": "function", "function": {"name": "w", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_a", "content": "12"},
            {"role": "tool", "tool_call_id": "call_b", "content": "13"},
        ],
        "tools": [{"type": "function", "function": {"name": "w", "parameters": {}}}],
        "max_tokens": 50,
        "stop": "END",
    }
    parsed = CHAT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)
    sent, lost = written(parsed)
    assert lost == []
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["tool_use_id"] for block in sent["messages"][2]["content"]] == ["call_a", "call_b"]
    assert (sent["system"], sent["stop_sequences"]) == ("Be brief.", ["END"])


roles: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant"])
messages = st.builds(
    lambda role, text, has_call: Message(
        role=role,
        parts=[
            Text(text=text),
            *([CALL] if has_call and role == "assistant" else [RESULT] if has_call and role == "user" else []),
        ],
    ),
    roles,
    st.sampled_from(["", " ", "a", "b "]),
    st.booleans(),
)


@given(st.lists(messages, max_size=8))
@settings(max_examples=200, deadline=None)
def test_turns_alternate_begin_with_the_user_and_hold_no_empty_text(found: list[Message]) -> None:
    try:
        sent = DIALECT.render_request(Request(origin="chat", model="m", messages=found), OLDER)
    except InvalidRequest:
        assert not any(
            part for message in found for part in message.parts if part != Text(text="") and part != Text(text=" ")
        )
        return
    body = json.loads(msgspec.json.encode(sent.fields))
    assert [turn["role"] for turn in body["messages"]] == [
        "assistant" if number % 2 else "user" for number in range(len(body["messages"]))
    ]
    for turn in body["messages"]:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        kinds = [block["type"] != "tool_result" for block in blocks]
        assert kinds == sorted(kinds)


def test_losses_are_told_once() -> None:
    found = DIALECT.render_request(request(user(Media(kind="video"), Media(kind="video"), "x")), OLDER).losses
    assert found == [Loss(LossKind.MEDIA, "messages.content.video")]
