"""Requests of the middle form as Converse requests; Amazon's own service description says whether they are legal."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.converse import DIALECT
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import (
    Citation,
    CustomTool,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from tollway.dialects.messages import DIALECT as MESSAGES

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "us.anthropic.claude-opus-4-6-v1"
NOVA = "amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
PNG = b64encode(b"\x89PNG").decode()
USER = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object"}}}
SERVICE: ServiceModel = botocore.session.get_session().get_service_model("bedrock-runtime")
_INPUT = SERVICE.operation_model("Converse").input_shape


def _with_bytes(value: Any) -> Any:
    """As an SDK takes it: blobs are bytes."""
    if isinstance(value, dict):
        return {
            name: b64decode(each) if name in ("bytes", "redactedContent") else _with_bytes(each)
            for name, each in value.items()
        }
    return [_with_bytes(each) for each in value] if isinstance(value, list) else value


def check(fields: dict[str, Any]) -> None:
    """Raises if Amazon's description of the service does not allow these fields."""
    report = ParamValidator().validate({"modelId": "m", **_with_bytes(fields)}, _INPUT)
    assert not report.has_errors(), report.generate_report()


def render(
    fields: dict[str, Any], *, model: str = CLAUDE, dialect: Any = CHAT, limit: int | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The body for Bedrock, checked, and the names of what was lost."""
    least = {"messages": USER} | ({"max_tokens": 9} if dialect is MESSAGES else {})
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in {**least, **fields}.items()}
    request = dialect.parse_request(raw, model="public", is_stream=False)
    seals = frozenset({"anthropic"}) if "claude" in model else frozenset()
    target = Target(model=model, provider="bedrock", seals=seals, max_output_tokens=limit)
    rendered = DIALECT.render_request(request, target)
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rendered.fields))
    check(body)
    assert "model" not in body
    assert "stream" not in body
    return body, [loss.field for loss in rendered.losses]


def content(*parts: Any, role: str = "user", **given: Any) -> list[Any]:
    """The blocks of one message."""
    limit = {"max_tokens": 100} if given.get("dialect") is MESSAGES else {}
    body, losses = render({**limit, "messages": [{"role": role, "content": list(parts)}]}, **given)
    assert losses == []
    blocks: list[Any] = body["messages"][-1]["content"]
    return blocks


def more(body: dict[str, Any]) -> Any:
    return body.get("additionalModelRequestFields")


def test_the_oracle_refuses_what_it_does_not_know() -> None:
    with pytest.raises(AssertionError, match="wrong"):
        check({"messages": [{"role": "user", "content": [{"wrong": 1}]}]})


def test_the_system_prompt_is_apart_and_turns_alternate() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "system", "content": "Now rhyme."},
        {"role": "user", "content": " "},
    ]
    body, losses = render({"messages": messages})
    assert losses == []
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}]},
        {"role": "user", "content": [{"text": "Now rhyme."}]},
    ]


def test_a_conversation_begins_with_the_user() -> None:
    body, _ = render({"messages": [{"role": "assistant", "content": "c"}, *USER]})
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_settings_have_a_place_of_their_own() -> None:
    given = {"max_tokens": 5, "temperature": 1.5, "top_p": 0.5, "stop": ["x"], "service_tier": "flex"}
    body, losses = render(given)
    assert losses == []
    assert body["inferenceConfig"] == {"maxTokens": 5, "temperature": 1.0, "topP": 0.5, "stopSequences": ["x"]}
    assert body["serviceTier"] == {"type": "flex"}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [(CLAUDE, {"top_k": 7}), (NOVA, {"inferenceConfig": {"topK": 7}}), (LLAMA, {"top_k": 7})],
)
def test_top_k_goes_where_the_model_looks_for_it(model: str, expected: dict[str, Any]) -> None:
    assert more(render({"top_k": 7}, model=model)[0]) == expected


def test_what_has_no_counterpart_is_lost_by_name() -> None:
    given = {"seed": 1, "n": 2, "logprobs": True, "presence_penalty": 1, "user": "u", "service_tier": "scale"}
    body, losses = render({**given, "response_format": {"type": "json_object"}, "modalities": ["text", "audio"]})
    assert {"seed", "n", "logprobs", "presence_penalty", "user", "service_tier", "response_format"} <= set(losses)
    assert "modalities" in losses
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_a_schema_is_given_as_text() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": schema}}
    body, losses = render({"response_format": wanted})
    assert losses == []
    described = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (described["name"], described["description"]) == ("n", "d")
    assert msgspec.json.decode(described["schema"]) == schema


def test_images_are_bytes_with_a_format() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{PNG}"}}
    assert content(image) == [{"image": {"format": "jpeg", "source": {"bytes": PNG}}}]


def test_media_in_a_bucket_are_named_by_their_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "s3://bucket/cat.webp"}}
    assert content(image) == [{"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/cat.webp"}}}}]


@pytest.mark.parametrize("url", ["https://a.test/cat.png", "data:image/tiff;base64,AAAA"])
def test_images_that_bedrock_does_not_take_are_a_loss(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    text = {"type": "text", "text": "x"}
    body, losses = render({"messages": [{"role": "user", "content": [text, part]}]})
    assert losses == ["messages.content.image"]
    assert body["messages"][0]["content"] == [{"text": "x"}]


def test_documents_have_names_that_are_allowed_and_differ() -> None:
    pdf = {"type": "file", "file": {"filename": "a_b.c.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}}
    blocks = content(pdf, pdf)
    assert [block["document"]["name"] for block in blocks] == ["a b c", "a b c 2"]
    assert blocks[0]["document"]["format"] == "pdf"


def test_anthropics_documents_keep_their_context_and_citations() -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        "title": "T",
        "context": "c",
        "citations": {"enabled": True},
    }
    assert content(document, dialect=MESSAGES) == [
        {
            "document": {
                "format": "txt",
                "name": "T",
                "source": {"text": "words"},
                "context": "c",
                "citations": {"enabled": True},
            }
        }
    ]


def test_sound_has_the_format_by_bedrocks_name() -> None:
    assert content({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}) == [
        {"audio": {"format": "wav", "source": {"bytes": PNG}}}
    ]


CALLED = [
    *USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call/1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "x" * 80, "type": "function", "function": {"name": "f", "arguments": "broken"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call/1", "content": "one"},
    {"role": "tool", "tool_call_id": "x" * 80, "content": "two"},
]


def test_calls_and_results_go_by_ids_that_are_allowed() -> None:
    body, losses = render({"messages": CALLED, "tools": [TOOL]})
    assert losses == []
    _, calls, results = body["messages"]
    first, second = (block["toolUse"] for block in calls["content"])
    assert (first["toolUseId"], first["input"]) == ("call_1", {"a": 1})
    assert second["input"] == {"arguments": "broken"}
    assert len(second["toolUseId"]) <= 64
    assert [block["toolResult"]["toolUseId"] for block in results["content"]] == ["call_1", second["toolUseId"]]
    assert results["content"][0]["toolResult"]["content"] == [{"text": "one"}]


def test_failed_results_say_so_and_may_hold_images() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [image]},
            ],
        },
    ]
    body, _ = render({"messages": messages, "max_tokens": 9}, dialect=MESSAGES)
    result, text = body["messages"][2]["content"]
    assert text == {"text": "see"}, "results come first"
    assert result["toolResult"]["status"] == "error"
    assert result["toolResult"]["content"] == [{"image": {"format": "png", "source": {"bytes": PNG}}}]


def test_a_conversation_that_used_tools_names_them_where_the_caller_does_not() -> None:
    body, _ = render({"messages": CALLED})
    assert body["toolConfig"] == {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
    ],
)
def test_the_choice_of_tools_is_said(choice: Any, expected: dict[str, Any]) -> None:
    body, losses = render({"tools": [TOOL], "tool_choice": choice})
    assert losses == []
    assert body["toolConfig"]["toolChoice"] == expected
    assert body["toolConfig"]["tools"] == [
        {"toolSpec": {"name": "f", "description": "does", "inputSchema": {"json": {"type": "object"}}}}
    ]


def test_no_tools_are_offered_where_none_may_be_used() -> None:
    body, losses = render({"tools": [TOOL], "tool_choice": "none"})
    assert (losses, "toolConfig" in body) == ([], False)
    body, losses = render({"messages": CALLED, "tools": [TOOL], "tool_choice": "none"})
    assert losses == ["tool_choice"]
    assert "toolConfig" in body, "a conversation that used tools is refused without"


def test_one_call_at_a_time_is_claudes_to_promise() -> None:
    body, losses = render({"tools": [TOOL], "parallel_tool_calls": False})
    assert (more(body), losses) == ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, [])
    body, losses = render({"tools": [TOOL], "parallel_tool_calls": False}, model=NOVA)
    assert (more(body), losses) == (None, ["parallel_tool_calls"])


def test_tools_of_anthropics_that_claude_has_here_too_are_passed_on() -> None:
    computer = {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1}
    body, losses = render({"tools": [computer], "max_tokens": 9}, dialect=MESSAGES)
    assert losses == []
    assert more(body) == {"tools": [computer], "anthropic_beta": ["computer-use-2025-01-24"]}
    _, losses = render({"tools": [computer], "max_tokens": 9}, dialect=MESSAGES, model=NOVA)
    assert losses == ["tools.computer_20250124"]


def test_tools_that_a_provider_runs_are_a_loss() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    _, losses = render({"tools": [search], "max_tokens": 9}, dialect=MESSAGES)
    assert losses == ["tools.web_search"]


CACHED = {
    "system": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
    "max_tokens": 9,
}


def test_cache_hints_are_points_between_blocks() -> None:
    body, losses = render(CACHED, dialect=MESSAGES)
    assert losses == []
    assert body["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


def test_only_models_that_cache_are_told() -> None:
    body, losses = render(CACHED, dialect=MESSAGES, model=NOVA)
    assert losses == ["tools"]
    assert body["system"][1] == {"cachePoint": {"type": "default"}}
    body, losses = render(CACHED, dialect=MESSAGES, model=LLAMA)
    assert set(losses) == {"tools", "system.cache_control", "messages.cache_control"}
    assert "cachePoint" not in msgspec.json.encode(body).decode()


def test_a_hint_for_the_whole_prompt_is_a_point_at_its_end() -> None:
    given = {"cache_control": {"type": "ephemeral"}, "max_tokens": 9}
    body, _ = render(given, dialect=MESSAGES)
    assert body["messages"][-1]["content"] == [{"text": "Hi"}, {"cachePoint": {"type": "default"}}]


def thoughts(*blocks: dict[str, Any], model: str = CLAUDE) -> tuple[list[Any], list[str]]:
    messages = [*USER, {"role": "assistant", "content": [*blocks, {"type": "text", "text": "a"}]}, *USER]
    body, losses = render({"messages": messages, "max_tokens": 9}, dialect=MESSAGES, model=model)
    return body["messages"][1]["content"][:-1], losses


def test_sealed_thoughts_go_back_to_claude_alone() -> None:
    sealed = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    redacted = {"type": "redacted_thinking", "data": "AAAA"}
    blocks, losses = thoughts(sealed, redacted)
    assert losses == []
    assert blocks == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
    ]
    assert thoughts(sealed, model=NOVA) == ([], ["messages.thinking"])
    assert thoughts({"type": "thinking", "thinking": "hm", "signature": ""}) == ([], ["messages.thinking"])


HIGH = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}


@pytest.mark.parametrize(
    ("model", "given", "fields", "effort"),
    [
        (CLAUDE, {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, None),
        (CLAUDE, {"reasoning_effort": "none"}, None, None),
        (OPUS, {"reasoning_effort": "minimal"}, {"thinking": {"type": "adaptive"}}, "low"),
        (NOVA, {"reasoning_effort": "xhigh"}, HIGH, None),
        (NOVA, {"reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}, None),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "medium"}, {"reasoning_effort": "medium"}, None),
    ],
)  # fmt: skip
def test_each_family_is_told_to_think_in_its_own_words(
    model: str, given: dict[str, Any], fields: Any, effort: str | None
) -> None:
    body, losses = render(given, model=model)
    assert losses == []
    assert more(body) == fields
    assert body.get("outputConfig", {}).get("effort") == effort


def test_a_model_that_cannot_be_told_to_think_is_not() -> None:
    body, losses = render({"reasoning_effort": "low"}, model=LLAMA)
    assert (losses, more(body)) == (["reasoning"], None)


def test_thinking_leaves_room_for_the_answer_and_rules_out_what_it_must() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    body, losses = render({**thinking, "temperature": 0.5, "top_k": 3})
    assert set(losses) == {"temperature", "top_k"}
    assert body["inferenceConfig"] == {"maxTokens": 2000 + 4096}
    body, _ = render(thinking, limit=3000)
    assert body["inferenceConfig"] == {"maxTokens": 3000}
    body, losses = render({**thinking, "max_tokens": 500})
    assert (losses, more(body)) == (["reasoning"], None)
    body, losses = render({**thinking, "tools": [TOOL], "tool_choice": "required"})
    assert (losses, more(body)) == (["reasoning"], None)


def test_the_newest_models_take_no_sampling_of_the_callers() -> None:
    newest = "us.anthropic.claude-opus-4-7-v1:0"
    body, losses = render({"temperature": 0.5, "top_p": 1, "top_k": 3}, model=newest)
    assert losses == ["temperature", "top_k"]
    assert (more(body), "inferenceConfig" in body) == (None, False)


def test_calls_that_were_made_without_a_thought_are_not_continued_with_a_budget() -> None:
    body, losses = render({"messages": CALLED, "tools": [TOOL], "reasoning_effort": "low"})
    assert (losses, more(body)) == (["reasoning"], None)


def test_thoughts_may_be_kept_from_view() -> None:
    given = {"thinking": {"type": "adaptive", "display": "omitted"}, "max_tokens": 9}
    body, _ = render(given, dialect=MESSAGES, model=OPUS)
    assert more(body)["thinking"] == {"type": "adaptive", "display": "omitted"}


def test_fields_of_converse_keep_their_place_and_the_rest_is_the_models() -> None:
    guardrail = {"guardrailIdentifier": "abc", "guardrailVersion": "1"}
    body, losses = render(
        {
            "guardrailConfig": guardrail,
            "performanceConfig": {"latency": "optimized"},
            "anthropic_beta": ["b"],
            "additionalModelRequestFields": {"x": 1},
        }
    )
    assert losses == []
    assert (body["guardrailConfig"], body["performanceConfig"]) == (guardrail, {"latency": "optimized"})
    assert more(body) == {"anthropic_beta": ["b"], "x": 1}


def test_fields_of_anthropics_are_lost_on_other_models() -> None:
    given = {"container": "c", "max_tokens": 9}
    assert more(render(given, dialect=MESSAGES)[0]) == {"container": "c"}
    assert render(given, dialect=MESSAGES, model=LLAMA)[1] == ["container"]


parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=5)),
    st.just({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}),
)
chats = st.lists(
    st.one_of(
        st.builds(lambda content: {"role": "user", "content": content}, st.lists(parts, min_size=1, max_size=3)),
        st.builds(
            lambda role, text: {"role": role, "content": text},
            st.sampled_from(["system", "assistant"]),
            st.text(max_size=5),
        ),
    ),
    max_size=6,
)


@given(chats, st.sampled_from([CLAUDE, NOVA, LLAMA]))
@settings(max_examples=100, deadline=None)
def test_any_conversation_is_legal_and_alternates(messages: list[dict[str, Any]], model: str) -> None:
    body, _ = render({"messages": [*messages, *USER]}, model=model)
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == [("user", "assistant")[number % 2] for number in range(len(roles))]
    assert roles[-1] == "user"


def direct(*parts: Part, model: str = CLAUDE, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """The body for a request that is put together by hand."""
    request = Request(origin="chat", model="public", messages=[Message(role="user", parts=list(parts))], **given)
    rendered = DIALECT.render_request(request, Target(model=model, provider="bedrock"))
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rendered.fields))
    check(body)
    return body, [loss.field for loss in rendered.losses]


def test_parts_of_converses_own_go_back_as_they_came_and_others_are_lost() -> None:
    raw = msgspec.Raw(b'{"guardContent":{"text":{"text":"x"}}}')
    own = Opaque(origin="converse", kind="guardContent", raw=raw)
    foreign = Opaque(origin="messages", kind="container_upload", raw=msgspec.Raw(b"{}"))
    body, losses = direct(own, foreign)
    assert body["messages"][0]["content"] == [{"guardContent": {"text": {"text": "x"}}}]
    assert losses == ["messages.content.container_upload"]


def test_refusals_and_cited_texts_are_texts() -> None:
    body, losses = direct(Refusal(text="no"), Text(text="a", citations=(Citation(url="https://a"),)))
    assert body["messages"][0]["content"] == [{"text": "no"}, {"text": "a"}]
    assert losses == ["messages.content.citations"]


def test_a_system_prompt_holds_texts_alone() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    text = {"type": "text", "text": "Be brief."}
    body, losses = render({"messages": [{"role": "system", "content": [text, image]}, *USER]})
    assert (body["system"], losses) == ([{"text": "Be brief."}], ["system"])


def test_thoughts_in_a_result_and_other_oddities_are_left_out() -> None:
    result = ToolResult(call_id="t", parts=[Thinking(text="hm"), Text(text=" "), Text(text="18")])
    body, _ = direct(result)
    assert body["messages"][0]["content"] == [{"toolResult": {"toolUseId": "t", "content": [{"text": "18"}]}}]
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "tool", "results alone want a tool as well"


def test_custom_tools_are_functions_with_one_text() -> None:
    body, losses = direct(Text(text="x"), tools=[CustomTool(name="shell", description="runs")])
    [tool] = body["toolConfig"]["tools"]
    assert losses == []
    assert (tool["toolSpec"]["name"], tool["toolSpec"]["description"]) == ("shell", "runs")
    assert tool["toolSpec"]["inputSchema"]["json"]["required"] == ["input"]


def test_a_choice_among_some_of_the_tools_cannot_be_said() -> None:
    body, losses = direct(
        Text(text="x"), tools=[Tool(name="f", is_strict=True)], tool_choice=ToolChoice(mode="auto", names=("f",))
    )
    assert losses == ["tool_choice"]
    assert body["toolConfig"]["tools"][0]["toolSpec"]["strict"] is True


def test_an_effort_that_is_not_said_is_not_made_up() -> None:
    for model in (CLAUDE, OPUS):
        body, losses = direct(Text(text="x"), model=model, reasoning=Reasoning(summary="auto"))
        assert (more(body), losses) == (None, [])


def test_fields_of_the_models_own_must_be_an_object() -> None:
    assert more(render({"additionalModelRequestFields": [1]})[0]) is None


def test_a_model_with_a_number_for_a_name_is_taken_for_claude() -> None:
    profile = "arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc"
    assert more(render({"reasoning_effort": "low"}, model=profile)[0]) == {
        "thinking": {"type": "enabled", "budget_tokens": 1024}
    }


def test_what_the_blocks_have_no_place_for_is_told() -> None:
    seal = Seal("gemini", "s")
    image = Media(kind="image", media_type="image/png", data=PNG, detail="low")
    _, losses = direct(Text(text="x", seal=seal), image)
    assert losses == ["messages.content", "messages.content.detail"]
    _, losses = render({"messages": [{"role": "user", "name": "Ann", "content": "Hi"}]})
    assert losses == ["messages.name"]
    tool = {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}
    assert render({"tools": [tool]}, dialect=MESSAGES)[1] == ["tools.defer_loading"]
