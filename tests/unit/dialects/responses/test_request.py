"""Requests of the Responses API read into the middle form, and written from any dialect's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import read_fields
from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import (
    CacheHint,
    CustomTool,
    Media,
    Message,
    Namespace,
    Opaque,
    OpaqueTool,
    OutputFormat,
    Reasoning,
    Refusal,
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
from tollway.dialects.responses import DIALECT

CORPUS = Path(__file__).parents[3] / "contract/dialects/responses"
OPENAI = Target(model="gpt-5.2", provider="openai", seals=frozenset({"openai"}))


def parse(body: dict[str, Any], *, is_stream: bool = False) -> Request:
    return DIALECT.parse_request(read_fields(json.dumps(body).encode()), model="public", is_stream=is_stream)


def parse_input(*items: Any) -> list[Message]:
    return parse({"model": "m", "input": list(items)}).messages


def render(request: Request, target: Target = OPENAI) -> tuple[dict[str, Any], list[Loss]]:
    rendered: Rendered = DIALECT.render_request(request, target)
    fields: dict[str, Any] = json.loads(msgspec.json.encode(rendered.fields))
    return fields, rendered.losses


def request(*messages: Message, **fields: Any) -> Request:
    return Request(**{"origin": "messages", "model": "public", "messages": list(messages), **fields})


def user(*parts: Any) -> Message:
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts: Any) -> Message:
    return Message(role="assistant", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


@pytest.mark.parametrize("path", sorted(CORPUS.glob("request_*.json")), ids=lambda path: path.stem)
def test_a_request_comes_back_as_it_was(path: Path) -> None:
    body = json.loads(path.read_text())
    target = Target(model=body["model"], seals=OPENAI.seals)
    fields, losses = render(parse(body, is_stream=body.get("stream", False)), target)
    assert sorted(fields.pop("include", [])) == sorted(body.pop("include", []))
    assert fields == body
    assert losses == []


def test_a_text_is_a_message_of_the_user() -> None:
    found = parse({"model": "m", "input": "hi", "instructions": "be brief"})
    assert found.messages == [Message(role="system", parts=[Text(text="be brief")]), user("hi")]
    assert (found.origin, found.model) == ("responses", "public")


def test_messages_may_leave_out_their_type_and_give_a_plain_text() -> None:
    assert parse_input(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": ""},
        {"role": "user", "content": None},
    ) == [
        Message(role="system", parts=[Text(text="s")]),
        Message(role="system", parts=[Text(text="d")], is_developer=True),
        user("u"),
        assistant("a"),
        user(),
        user(),
    ]


def test_items_of_one_turn_are_one_message() -> None:
    turns = parse_input(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAA"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I will"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "x"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "two"}]},
        {"role": "user", "content": "thanks"},
    )
    assert turns == [
        user("go"),
        assistant(
            Thinking(seal=Seal("openai", "gAA"), is_redacted=True, id="rs_1"),
            "I will",
            ToolCall(id="call_1", name="f", arguments="{}"),
            ToolCall(id="call_2", name="c", arguments="x", is_custom=True),
        ),
        user(
            ToolResult(call_id="call_1", parts=[Text(text="one")]),
            ToolResult(call_id="call_2", parts=[Text(text="two")], is_custom=True),
        ),
        user("thanks"),
    ]


def test_thoughts_have_a_part_for_each_text_and_the_seal_on_the_last() -> None:
    (turn,) = parse_input(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "content": [{"type": "reasoning_text", "text": "c"}],
            "encrypted_content": "tollway.anthropic.SIG",
        }
    )
    assert turn.parts == [
        Thinking(text="a", id="rs_1", is_summary=True),
        Thinking(text="b", id="rs_1", is_summary=True),
        Thinking(text="c", id="rs_1", seal=Seal("anthropic", "SIG")),
    ]


def test_a_seal_that_travelled_behind_its_call_is_put_back() -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "tollway.gemini.TS"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    (turn,) = parse_input({"role": "assistant", "content": "x"}, sealed, call, sealed, sealed)
    text, called, rest = turn.parts
    assert isinstance(text, Text)
    assert text.seal == Seal("gemini", "TS")
    assert isinstance(called, ToolCall)
    assert called.seal == Seal("gemini", "TS")
    assert rest == Thinking(seal=Seal("gemini", "TS"), is_redacted=True)


def test_reasoning_that_says_nothing_stays_as_it_is() -> None:
    (turn,) = parse_input({"type": "reasoning", "id": "rs_1", "summary": []})
    assert [part.kind for part in turn.parts if isinstance(part, Opaque)] == ["reasoning"]


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("web_search_call", "assistant"),
        ("file_search_call", "assistant"),
        ("computer_call", "assistant"),
        ("computer_call_output", "user"),
        ("code_interpreter_call", "assistant"),
        ("image_generation_call", "assistant"),
        ("local_shell_call", "assistant"),
        ("local_shell_call_output", "user"),
        ("shell_call", "assistant"),
        ("shell_call_output", "user"),
        ("apply_patch_call", "assistant"),
        ("apply_patch_call_output", "user"),
        ("mcp_call", "assistant"),
        ("mcp_list_tools", "assistant"),
        ("mcp_approval_request", "assistant"),
        ("mcp_approval_response", "user"),
        ("compaction", "assistant"),
        ("something_new", "assistant"),
    ],
)
def test_items_that_only_this_api_knows_stay_bytes(kind: str, role: str) -> None:
    item = {"type": kind, "id": "x", "output": {"a": 1}, "arguments": {"b": 2}}
    (turn,) = parse_input(item)
    assert turn.role == role
    (part,) = turn.parts
    assert isinstance(part, Opaque)
    assert (part.origin, part.kind, json.loads(bytes(part.raw))) == ("responses", kind, item)


def test_parts_of_every_kind() -> None:
    (turn,) = parse_input(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "high"},
                {"type": "input_image", "image_url": "https://example.com/a.png"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "file_data": "JVBERi0=", "filename": "a.pdf"},
                {"type": "input_file", "file_data": "data:text/plain;base64,YQ=="},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                {"type": "input_file", "file_id": "file-2"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "refusal", "refusal": "no"},
                {
                    "type": "input_image",
                    "image_url": "https://example.com/b.png",
                    "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
                },
                {"type": "new"},
            ],
        }
    )
    assert turn.parts[:-1] == [
        Text(text="t", cache=CacheHint()),
        Media(kind="image", media_type="image/png", data="AA", detail="high"),
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="image", file_id="file-1"),
        Media(kind="file", media_type="application/pdf", data="JVBERi0=", filename="a.pdf"),
        Media(kind="file", media_type="text/plain", data="YQ=="),
        Media(kind="file", url="https://example.com/a.pdf"),
        Media(kind="file", file_id="file-2"),
        Media(kind="audio", media_type="audio/wav", data="UklG"),
        Refusal(text="no"),
        Media(kind="image", url="https://example.com/b.png", cache=CacheHint("1h")),
    ]
    last = turn.parts[-1]
    assert isinstance(last, Opaque)
    assert last.kind == "part.new"


def test_tools_of_a_namespace_have_flat_names_and_remember_it() -> None:
    tool = {"type": "function", "name": "f", "parameters": None}
    found = parse(
        {
            "input": [{"type": "function_call", "namespace": "srv", "name": "f", "call_id": "c", "arguments": "{}"}],
            "tools": [
                {
                    "type": "namespace",
                    "name": "srv",
                    "description": "d",
                    "tools": [tool, {"type": "custom", "name": "c"}],
                },
                {"type": "namespace", "name": "odd", "tools": [{"type": "hosted"}]},
            ],
            "tool_choice": {"type": "function", "namespace": "srv", "name": "f"},
        }
    )
    assert found.tools[:2] == [
        Tool(name="srv__f", namespace=Namespace("srv", "d")),
        CustomTool(name="srv__c", namespace=Namespace("srv", "d")),
    ]
    assert isinstance(found.tools[2], OpaqueTool)
    assert found.tool_choice == ToolChoice(mode="tool", names=("srv__f",))
    (call,) = found.messages[0].parts
    assert isinstance(call, ToolCall)
    assert call.name == "srv__f"
    assert render(found)[0]["tool_choice"] == {"type": "function", "name": "f", "namespace": "srv"}


def test_a_web_search_keeps_its_bytes_and_is_understood() -> None:
    raw = {
        "type": "web_search",
        "search_context_size": "low",
        "filters": {"allowed_domains": ["a.example"]},
        "user_location": {"type": "approximate", "city": "Oslo"},
    }
    (tool,) = parse({"input": "x", "tools": [raw]}).tools
    assert isinstance(tool, WebSearch)
    assert (tool.context_size, tool.allowed_domains) == ("low", ["a.example"])
    assert json.loads(bytes(tool.raw)) == raw


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="tool", names=("f",))),
        ({"type": "custom", "name": "c"}, ToolChoice(mode="tool", names=("c",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(mode="auto", names=("f",)),
        ),
    ],
)
def test_tool_choices(wire: Any, choice: ToolChoice) -> None:
    found = parse({"input": "x", "tool_choice": wire})
    assert found.tool_choice == choice
    assert "tool_choice" not in found.extra


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "web_search_preview"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}]},
        {"type": "mcp", "server_label": "s"},
    ],
)
def test_choices_that_only_this_api_knows_stay_as_they_are(wire: Any) -> None:
    found = parse({"input": "x", "tool_choice": wire})
    assert found.tool_choice is None
    assert json.loads(bytes(found.extra["tool_choice"])) == wire


def test_settings_are_understood() -> None:
    found = parse(
        {
            "input": "x",
            "max_output_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "parallel_tool_calls": False,
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}, "verbosity": "low"},
            "reasoning": {"effort": "low", "generate_summary": "auto"},
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
            "top_logprobs": 3,
            "safety_identifier": "u",
            "store": False,
            "truncation": "disabled",
            "background": False,
            "stream_options": {"include_obfuscation": False},
            "previous_response_id": None,
        }
    )
    assert (found.max_output_tokens, found.temperature, found.top_p) == (50, 0.5, 0.9)
    assert found.allows_parallel_tools is False
    assert found.format == OutputFormat(kind="json_schema", name="n", schema=msgspec.Raw(b"{}"), is_strict=True)
    assert (found.verbosity, found.logprobs, found.user, found.store) == ("low", 3, "u", False)
    assert found.reasoning == Reasoning(effort="low", summary="auto")
    assert found.extra == {}


def test_what_says_more_than_the_middle_form_can_is_kept_whole() -> None:
    found = parse(
        {
            "input": "x",
            "reasoning": {"effort": "none", "context": "all_turns"},
            "text": {"format": {"type": "text"}, "new": 1},
            "user": "u",
            "safety_identifier": "s",
            "client_metadata": {"a": "b"},
            "include": ["file_search_call.results"],
        }
    )
    assert set(found.extra) == {"reasoning", "text", "safety_identifier", "client_metadata", "include"}
    assert found.reasoning == Reasoning(effort="none", is_off=True)


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"input": 1}, "input", "'input' must be a string or a list of items"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input", "'robot' is not one of user, assistant"),
        ({"input": [{"role": "user", "content": 1}]}, "input", "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input", "content[0]"),
        ({"input": [{"role": "assistant", "content": 5}]}, "input", "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input", "input[0].call_id"),
        ({"input": [{"type": "function_call", "name": 1}]}, "input", "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_9"}]}, "input", "'msg_9' is not known here"),
        ({"input": [{"id": "msg_9"}]}, "input", "'msg_9' is not known here"),
        ({"input": "x", "instructions": 1}, "instructions", "must be a string"),
        ({"input": "x", "temperature": "hot"}, "temperature", "must be a number"),
        ({"input": "x", "tools": {}}, "tools", "a list of tools"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools", "needs a 'name'"),
        ({"input": "x", "tool_choice": "maybe"}, "tool_choice", "'maybe' is not one of"),
        ({"input": "x", "text": {"format": {"type": "xml"}}}, "text.format", "'xml' is not one of"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format", "needs a 'schema'"),
        ({"input": "x", "reasoning": {"effort": "giant"}}, "reasoning.effort", "'giant' is not one of"),
        ({"input": "x", "include": "all"}, "include", "a list of strings"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.param == param
    assert message in caught.value.message


def test_instructions_that_begin_are_a_field_and_later_ones_items() -> None:
    system = Message(role="system", parts=[Text(text="a"), Text(text="b")])
    developer = Message(role="system", parts=[Text(text="c")], is_developer=True)
    fields, losses = render(request(system, developer, user("hi"), system, store=True))
    assert fields["instructions"] == "a\n\nb\n\nc"
    assert [item["role"] for item in fields["input"]] == ["user", "developer"]
    assert losses == []


def test_nothing_is_stored_and_thoughts_come_back_for_clients_of_other_dialects() -> None:
    fields, _ = render(request(user("hi")))
    assert (fields["store"], fields["include"]) == (False, ["reasoning.encrypted_content"])
    fields, _ = render(request(user("hi")), Target(model="gpt-4.1"))
    assert "include" not in fields
    fields, _ = render(request(user("hi"), origin="chat", store=True))
    assert fields["store"] is True
    assert "include" not in fields


def test_functions_are_not_strict_unless_asked() -> None:
    tools = [Tool(name="a"), Tool(name="b", description="d", parameters=msgspec.Raw(b'{"x":1}'), is_strict=True)]
    fields, _ = render(request(user("hi"), tools=tools))
    assert fields["tools"] == [
        {"type": "function", "name": "a", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "function", "name": "b", "description": "d", "parameters": {"x": 1}, "strict": True},
    ]


def test_tools_and_choices_of_other_dialects() -> None:
    tools = [
        Tool(name="f", cache=CacheHint()),
        CustomTool(name="c", description="d", format=msgspec.Raw(b'{"type":"text"}')),
        WebSearch(
            max_uses=3, allowed_domains=["a"], context_size="low", user_location=msgspec.Raw(b"{}"), origin="chat"
        ),
        OpaqueTool(origin="messages", kind="bash_20250124", raw=msgspec.Raw(b"{}")),
    ]
    choice = ToolChoice(mode="required", names=("f", "c"))
    fields, losses = render(request(user("hi"), tools=tools, tool_choice=choice, allows_parallel_tools=False))
    assert fields["tools"][1:] == [
        {"type": "custom", "name": "c", "description": "d", "format": {"type": "text"}},
        {
            "type": "web_search",
            "search_context_size": "low",
            "user_location": {},
            "filters": {"allowed_domains": ["a"]},
        },
    ]
    assert fields["tool_choice"]["tools"] == [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]
    assert fields["parallel_tool_calls"] is False
    assert set(losses) == {
        Loss(LossKind.CACHE_HINT, "tools.cache_control"),
        Loss(LossKind.HINT, "tools.max_uses"),
        Loss(LossKind.TOOL, "tools.bash_20250124"),
    }
    chosen = ToolChoice(mode="tool", names=("web_search",))
    assert render(request(user("hi"), tools=tools[2:3], tool_choice=chosen))[0]["tool_choice"] == {"type": "web_search"}
    bare = request(user("hi"), tools=tools[3:], tool_choice=choice, allows_parallel_tools=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(render(bare)[0])


def test_turns_of_other_dialects_become_items() -> None:
    fields, losses = render(
        request(
            user("go", Media(kind="image", data="AA")),
            assistant(
                Thinking(text="mine", seal=Seal("openai", "gAA")),
                Thinking(text="theirs", seal=Seal("anthropic", "SIG")),
                Thinking(text="nobody's"),
                "I will",
                Refusal(text="not"),
                ToolCall(id="toolu_1", name="f", arguments="", seal=Seal("gemini", "TS")),
                ToolCall(id="toolu_2", name="c", arguments="text", is_custom=True),
            ),
            user(
                ToolResult(
                    call_id="toolu_1", parts=[Text(text="a"), Media(kind="image", url="https://e.example/x.png")]
                ),
                ToolResult(call_id="toolu_2", parts=[Text(text="b")]),
                ToolResult(call_id="toolu_3", parts=[]),
                "next",
            ),
        )
    )
    assert fields["input"] == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "go"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "mine"}],
            "encrypted_content": "gAA",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I will"}, {"type": "refusal", "refusal": "not"}],
        },
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "toolu_1"},
        {"type": "custom_tool_call", "name": "c", "input": "text", "call_id": "toolu_2"},
        {
            "type": "function_call_output",
            "call_id": "toolu_1",
            "output": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "https://e.example/x.png", "detail": "auto"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "toolu_2", "output": "b"},
        {"type": "function_call_output", "call_id": "toolu_3", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "next"}]},
    ]
    assert set(losses) == {
        Loss(LossKind.FOREIGN_SEAL, "messages.thinking"),
        Loss(LossKind.FOREIGN_SEAL, "messages.tool_calls"),
    }


def test_seals_that_the_target_cannot_open_are_left_out() -> None:
    sealed = request(assistant(Thinking(text="mine", seal=Seal("openai", "gAA"))), user("x"))
    fields, losses = render(sealed, Target(model="grok-4"))
    assert [item["type"] for item in fields["input"]] == ["message"]
    assert losses == [Loss(LossKind.FOREIGN_SEAL, "messages.thinking")]


def test_media_of_every_kind() -> None:
    fields, losses = render(
        request(
            user(
                Media(kind="file", data="JV", title="t"),
                Media(kind="file", text="plain", title="Title"),
                Media(kind="file", text="plain"),
                Media(kind="audio", media_type="audio/mpeg", data="ID3"),
                Media(kind="audio", url="https://example.com/a.mp3"),
                Media(kind="video", url="https://example.com/a.mp4"),
            ),
            assistant(Media(kind="image", data="AA"), "x"),
        )
    )
    assert fields["input"][0]["content"] == [
        {"type": "input_file", "filename": "t", "file_data": "data:application/pdf;base64,JV"},
        {"type": "input_text", "text": "Title\n\nplain"},
        {"type": "input_text", "text": "plain"},
        {"type": "input_audio", "input_audio": {"data": "ID3", "format": "mp3"}},
    ]
    assert {(loss.kind, loss.field) for loss in losses} == {
        (LossKind.MEDIA, "messages.content.audio"),
        (LossKind.MEDIA, "messages.content.video"),
        (LossKind.MEDIA, "messages.content.image"),
    }


def test_what_the_api_has_no_field_for_is_a_loss() -> None:
    raw = msgspec.Raw(b"{}")
    fields, losses = render(
        request(
            Message(role="system", parts=[Text(text="s", cache=CacheHint()), Media(kind="image", data="AA")]),
            Message(role="user", parts=[Text(text="hi", cache=CacheHint("1h"))], name="ann"),
            assistant(
                Text(text="x", seal=Seal("gemini", "s")),
                Opaque(origin="messages", kind="container", raw=raw),
                ToolResult(call_id="c", parts=[]),
            ),
            user(Thinking(text="t"), Opaque(origin="messages", kind="doc", raw=raw)),
            top_k=1,
            min_p=0.1,
            seed=1,
            stop=["x"],
            choices=2,
            presence_penalty=0.1,
            frequency_penalty=0.1,
            logit_bias=raw,
            audio=raw,
            prediction=raw,
            modalities=["text", "audio"],
            safety_settings=raw,
            cache=CacheHint(),
            metadata=raw,
            extra={"container": raw},
        )
    )
    assert {(loss.kind, loss.field) for loss in losses} == {
        *(
            (LossKind.PARAMETER, name)
            for name in (
                "top_k", "min_p", "seed", "stop", "n", "presence_penalty", "frequency_penalty", "logit_bias", "audio",
                "prediction", "modalities", "safetySettings",
            )
        ),
        (LossKind.CACHE_HINT, "cache_control"),
        (LossKind.PART, "instructions"),
        (LossKind.HINT, "messages.name"),
        (LossKind.HINT, "metadata"),
        (LossKind.FOREIGN_SEAL, "messages.content"),
        (LossKind.PART, "messages.content"),
        (LossKind.PART, "messages.content.container"),
        (LossKind.PART, "messages.content.doc"),
        (LossKind.UNKNOWN, "container"),
    }  # fmt: skip
    assert set(fields) == {"model", "instructions", "input", "store", "include"}


def test_settings_of_other_dialects() -> None:
    fields, losses = render(
        request(
            user("hi"),
            max_output_tokens=1,
            reasoning=Reasoning(budget_tokens=2000, summary="none"),
            format=OutputFormat(kind="json_schema", description="d", schema=msgspec.Raw(b'{"a":1}'), is_strict=True),
            logprobs=2,
            is_stream=True,
            user="u",
            service_tier="flex",
        )
    )
    assert fields["max_output_tokens"] == 16
    assert fields["reasoning"] == {"effort": "medium"}
    assert fields["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "description": "d",
        "schema": {"a": 1},
        "strict": True,
    }
    assert (fields["top_logprobs"], fields["stream"], fields["user"]) == (2, True, "u")
    assert fields["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]
    assert losses == []


@pytest.mark.parametrize(("reasoning", "lost"), [(Reasoning(effort="low"), True), (Reasoning(is_off=True), False)])
def test_models_that_do_not_think_are_not_asked_to(reasoning: Reasoning, lost: bool) -> None:
    fields, losses = render(request(user("x"), reasoning=reasoning), Target(model="gpt-4.1"))
    assert "reasoning" not in fields
    assert losses == ([Loss(LossKind.HINT, "reasoning")] if lost else [])


def test_a_budget_of_nothing_and_an_open_one_ask_for_no_effort() -> None:
    for reasoning in (Reasoning(is_adaptive=True), Reasoning(is_off=True, budget_tokens=0)):
        assert "reasoning" not in render(request(user("x"), reasoning=reasoning))[0]


def test_fields_that_chat_passes_on_are_passed_on() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "safety_identifier": "s",
        "metadata": {"a": "b"},
    }
    found = CHAT.parse_request(read_fields(json.dumps(body).encode()), model="m", is_stream=False)
    fields, losses = render(found)
    assert (fields["safety_identifier"], fields["metadata"]) == ("s", {"a": "b"})
    assert losses == []


def test_cache_breakpoints_of_its_own_come_back() -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    item = {"type": "message", "role": "user", "content": [part]}
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}
    fields, losses = render(parse({"input": [item, output]}))
    assert fields["input"] == [item, output]
    assert losses == []


def test_own_content_parts_and_unsealed_thoughts_come_back() -> None:
    items = [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]},
        {"type": "message", "role": "user", "content": [{"type": "new", "x": 1}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "b"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "newer", "x": 1}]},
    ]
    fields, _ = render(parse({"instructions": "i", "input": [{"role": "user", "content": "u"}, *items]}))
    assert fields["input"][1:] == items


def test_a_request_of_instructions_alone_still_has_input() -> None:
    system = Message(role="system", parts=[Text(text="s")])
    fields, _ = render(request(system))
    assert "instructions" not in fields
    assert [item["role"] for item in fields["input"]] == ["developer"]
    assert render(parse({"instructions": "s", "prompt": {"id": "pmpt_1"}}))[0]["instructions"] == "s"


def test_formats_of_every_kind() -> None:
    plain = parse({"input": "x", "text": {"format": {"type": "json_object"}}})
    assert render(plain)[0]["text"] == {"format": {"type": "json_object"}}
    assert render(parse({"input": "x", "text": {"verbosity": "high"}}))[0]["text"] == {"verbosity": "high"}
    loose = OutputFormat(kind="json_schema", name="n")
    wire = render(request(user("x"), format=loose))[0]["text"]["format"]
    assert wire == {"type": "json_schema", "name": "n", "schema": {"type": "object"}}


def test_a_bare_web_search() -> None:
    fields, losses = render(request(user("x"), tools=[WebSearch()]))
    assert (fields["tools"], losses) == ([{"type": "web_search"}], [])


def test_a_result_may_hold_what_only_this_api_knows() -> None:
    result = ToolResult(
        call_id="c",
        parts=[
            Opaque(origin="messages", kind="search_result", raw=msgspec.Raw(b"{}")),
            Opaque(origin="responses", kind="part.new", raw=msgspec.Raw(b'{"type":"new"}')),
        ],
    )
    fields, losses = render(request(user(result)))
    assert fields["input"][0]["output"] == [{"type": "new"}]
    assert losses == [Loss(LossKind.PART, "messages.content.search_result")]


def test_a_search_without_the_web_is_offered_to_nobody_else() -> None:
    body = json.loads((CORPUS / "request_codex_first.json").read_text())
    found = parse(body)
    assert not any(isinstance(tool, WebSearch) for tool in found.tools)
    sent = CHAT.render_request(found, Target(model="m", provider="deepseek"))
    assert "web_search_options" not in sent.fields
    assert Loss(LossKind.UNKNOWN, "tools.web_search") in sent.losses
    assert not [loss for loss in sent.losses if loss.kind.is_refused]
    assert render(parse({"input": "x", "tools": [body["tools"][-1]]}))[0]["tools"] == [body["tools"][-1]]
