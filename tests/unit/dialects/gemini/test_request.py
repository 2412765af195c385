from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.dialects.gemini.samples import junk, spoiled

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import read_fields
from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.gemini import DIALECT
from tollway.dialects.gemini.signature import read_signature, write_signature
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import (
    CacheHint,
    CustomTool,
    DialectName,
    Media,
    Message,
    Opaque,
    OpaqueTool,
    OutputFormat,
    Part,
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

FLASH = Target(model="gemini-2.5-flash", provider="gemini", seals=frozenset({"gemini"}))
THIRD = Target(model="gemini-3-flash-preview", provider="gemini", seals=frozenset({"gemini"}))
HELLO = [{"role": "user", "parts": [{"text": "Hi"}]}]


def parse(**body: Any) -> Request:
    body.setdefault("contents", HELLO)
    return DIALECT.parse_request(read_fields(msgspec.json.encode(body)), model="m", is_stream=False)


def rendered(request: Request, target: Target = FLASH) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(msgspec.json.encode(DIALECT.render_request(request, target).fields))
    return document


def losses(request: Request, target: Target = FLASH) -> set[tuple[LossKind, str]]:
    return {(loss.kind, loss.field) for loss in DIALECT.render_request(request, target).losses}


def asked(*messages: Message, origin: DialectName = "messages", **settings: Any) -> Request:
    return Request(
        origin=origin,
        model="m",
        messages=list(messages) or [Message(role="user", parts=[Text(text="Hi")])],
        **settings,
    )


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def model(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


EVERYTHING: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA", "displayName": "a.png"}},
                {
                    "fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"},
                    "videoMetadata": {"startOffset": "1s", "fps": 2},
                },
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"},
                {"text": "I look.", "thoughtSignature": "dGV4dA=="},
                {"functionCall": {"name": "look", "args": {"at": 1}}, "thoughtSignature": "Y2FsbA=="},
                {"functionCall": {"id": "x1", "name": "look", "args": {"at": 2}}},
                {"executableCode": {"language": "PYTHON", "code": "1+1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "look", "response": {"result": "a cat"}}},
                {"functionResponse": {"id": "x1", "name": "look", "response": {"error": "too dark"}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": "Looks.",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"at": {"type": "INTEGER", "nullable": True, "format": "int32"}},
                        "required": ["at"],
                    },
                    "behavior": "BLOCKING",
                },
                {
                    "name": "any.thing",
                    "parametersJsonSchema": {
                        "type": "object",
                        "properties": {"x": {"$ref": "#/$defs/x"}},
                        "$defs": {"x": {}},
                    },
                    "responseJsonSchema": {"type": "string"},
                },
            ]
        },
        {"googleSearch": {"timeRangeFilter": {}}},
        {"codeExecution": {}},
        {"urlContext": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]},
        "retrievalConfig": {"languageCode": "de"},
    },
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "candidateCount": 2,
        "stopSequences": ["END"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {"b": {"type": "STRING"}, "a": {"type": "ARRAY", "items": {"type": "NUMBER"}, "maxItems": 3}},
            "propertyOrdering": ["b", "a"],
        },
        "responseModalities": ["TEXT", "AUDIO"],
        "speechConfig": {"languageCode": "de-DE"},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": True},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
    "labels": {"team": "a"},
    "somethingNew": [1, 2],
}


def test_what_gemini_says_comes_back_as_it_was() -> None:
    assert rendered(parse(**EVERYTHING)) == EVERYTHING
    assert losses(parse(**EVERYTHING)) == set()


def test_the_middle_form_of_everything() -> None:
    request = parse(**EVERYTHING)
    assert request.messages[0] == Message(role="system", parts=[Text(text="Be brief.")])
    assert request.messages[1].parts == [
        Text(text="What is this?"),
        Media(kind="image", media_type="image/png", data="AAAA", filename="a.png"),
        Media(kind="video", media_type="video/mp4", url="https://youtu.be/x"),
        Opaque(
            origin="gemini",
            kind="part.videoMetadata",
            raw=raw({"videoMetadata": {"startOffset": "1s", "fps": 2}}),
        ),
    ]
    thought, text, first, second, code, _ = request.messages[2].parts
    assert thought == Thinking(text="Hm.", seal=Seal("gemini", "c2ln"))
    assert text == Text(text="I look.", seal=Seal("gemini", "dGV4dA=="))
    assert first == ToolCall(id="call_1_0", name="look", arguments='{"at":1}', seal=Seal("gemini", "Y2FsbA=="))
    assert second == ToolCall(id="x1", name="look", arguments='{"at":2}')
    assert isinstance(code, Opaque)
    assert code.kind == "executableCode"
    assert request.messages[3].parts == [
        ToolResult(call_id="call_1_0", name="look", parts=[Text(text="a cat")]),
        ToolResult(call_id="x1", name="look", parts=[Text(text="too dark")], is_error=True),
    ]
    look, other, search, *opaque = request.tools
    assert isinstance(look, Tool)
    assert look.parameters is not None
    assert json.loads(bytes(look.parameters))["properties"]["at"] == {"type": ["integer", "null"], "format": "int32"}
    assert isinstance(other, Tool)
    assert other.name == "any.thing"
    assert (set(look.extra), set(other.extra)) == ({"behavior"}, {"responseJsonSchema"})
    assert isinstance(search, WebSearch)
    assert search.origin == "gemini"
    assert [tool.kind for tool in opaque if isinstance(tool, OpaqueTool)] == ["codeExecution", "urlContext"]
    assert request.tool_choice == ToolChoice(mode="tool", names=("look",))
    assert (request.max_output_tokens, request.top_k, request.choices, request.stop) == (100, 40, 2, ["END"])
    assert request.logprobs == 3
    assert request.modalities == ["text", "audio"]
    assert request.reasoning == Reasoning(budget_tokens=2048, summary="auto")
    assert request.format is not None
    assert request.format.kind == "json_schema"
    assert list(json.loads(bytes(request.format.schema or b""))["properties"]) == ["b", "a"]
    assert set(request.extra) == {
        "toolConfig.retrievalConfig",
        "generationConfig.speechConfig",
        "generationConfig.mediaResolution",
        "cachedContent",
        "labels",
        "somethingNew",
    }


def test_every_field_of_the_envelope_may_be_in_snake_case() -> None:
    request = parse(
        system_instruction={"parts": {"text": "S"}},
        contents={"parts": {"inline_data": {"mime_type": "image/png", "data": "AA"}}},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}, "top_k": 3.0},
        tools={
            "function_declarations": [
                {
                    "name": "f_g",
                    "parameters": {"type": "object", "properties": {"a_b": {"type": "STRING", "min_length": "2"}}},
                }
            ]
        },
        tool_config={"function_calling_config": {"mode": "any", "allowed_function_names": ["f_g", "h"]}},
        safety_settings=[],
        cached_content="c",
    )
    assert request.messages == [
        Message(role="system", parts=[Text(text="S")]),
        user(Media(kind="image", media_type="image/png", data="AA")),
    ]
    assert request.max_output_tokens == 5
    assert request.top_k == 3
    assert request.reasoning == Reasoning(budget_tokens=0, is_off=True)
    assert request.tool_choice == ToolChoice(mode="required", names=("f_g", "h"))
    assert rendered(request)["tools"][0]["functionDeclarations"][0]["parameters"]["properties"] == {
        "a_b": {"type": "STRING", "minLength": 2}
    }
    assert request.extra == {"cachedContent": raw("c")}


def test_arguments_and_responses_are_never_renamed() -> None:
    request = parse(
        contents=[
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"snake_case": {"x_y": 1}}}}]},
            {"role": "function", "parts": [{"function_response": {"name": "f", "response": {"a_b": 1}}}]},
        ]
    )
    call, result = request.messages[0].parts[0], request.messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert json.loads(call.arguments) == {"snake_case": {"x_y": 1}}
    assert isinstance(result, ToolResult)
    assert result.parts == [Text(text='{"a_b":1}')]
    assert request.messages[1].role == "user"


def test_results_without_an_id_answer_calls_of_their_name_in_order() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {}}}

    def answer(name: str, text: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    request = parse(
        contents=[
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [call("never_answered")]},
            {"role": "user", "parts": [{"text": "y"}]},
            {"role": "model", "parts": [call("f"), call("g"), call("f")]},
            {"role": "user", "parts": [answer("g", "1"), answer("f", "2")]},
            {"role": "user", "parts": [answer("f", "3"), answer("never_answered", "4")]},
        ]
    )
    found = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [(each.call_id, each.name) for each in found] == [
        ("call_3_1", "g"),
        ("call_3_0", "f"),
        ("call_3_2", "f"),
        ("call_orphan_5_0", "never_answered"),
    ]
    assert [each.parts for each in found] == [[Text(text=text)] for text in "1234"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({}, ToolChoice(mode="auto")),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "ANY"}, ToolChoice(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}, ToolChoice(mode="required", names=("a", "b"))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}, ToolChoice(mode="auto", names=("a",))),
        ({"mode": "VALIDATED"}, ToolChoice(mode="auto")),
        ({"mode": "MODE_UNSPECIFIED"}, None),
    ],
)
def test_function_calling_modes(config: dict[str, Any], expected: ToolChoice | None) -> None:
    request = parse(toolConfig={"functionCallingConfig": config}, tools=[{"functionDeclarations": [{"name": "a"}]}])
    assert request.tool_choice == expected
    if expected is not None:
        assert rendered(request)["toolConfig"]["functionCallingConfig"] == {"mode": "AUTO", **config}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"thinkingBudget": -1}, Reasoning(is_adaptive=True)),
        ({"thinkingBudget": 0}, Reasoning(budget_tokens=0, is_off=True)),
        ({"thinkingLevel": "HIGH", "includeThoughts": False}, Reasoning(effort="high", summary="none")),
        ({"thinkingLevel": "minimal"}, Reasoning(effort="minimal")),
        ({"includeThoughts": True}, Reasoning(summary="auto")),
    ],
)
def test_thinking(thinking: dict[str, Any], expected: Reasoning) -> None:
    assert parse(generationConfig={"thinkingConfig": thinking}).reasoning == expected


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "text/x.enum"])
def test_mime_types_of_answers(kind: str) -> None:
    config = {"responseMimeType": kind}
    assert rendered(parse(generationConfig=config))["generationConfig"] == config


def test_an_enumeration_as_answer_stays_as_it_came() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    request = parse(generationConfig=config)
    assert request.format is None
    assert rendered(request)["generationConfig"] == config


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"contents": None}, "contents", "Missing required parameter: 'contents'"),
        ({"contents": "Hi"}, "contents", "'contents' must be a list of objects"),
        ({"contents": [1]}, "contents", "'contents[0]' must be an object"),
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents", "'contents[0].role' must be user or model"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents", "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"inlineData": {}}]}]}, "contents", "contents[0].parts[0].inlineData"),
        ({"contents": [{"parts": [{"fileData": {}}]}]}, "contents", "fileUri"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents", "contents[0].parts[0].functionCall"),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": 1}}]}]},
            "contents",
            "functionResponse.response",
        ),
        ({"generationConfig": []}, "generationConfig", "'generationConfig' must be an object"),
        ({"generationConfig": {"temperature": "warm"}}, "generationConfig", "generationConfig.temperature"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}}, "generationConfig", "thinkingLevel"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools", "tools[0].functionDeclarations[0]"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig", "not 'MAYBE'"),
    ],
)
def test_errors_name_the_field(body: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    assert caught.value.param == param
    assert words in caught.value.message


def test_gemini_cli_shape() -> None:
    """Instructions and a leading user turn with the surroundings, tools as JSON Schema, signatures on calls."""
    body: dict[str, Any] = {
        "systemInstruction": {"role": "user", "parts": [{"text": "You are a CLI agent."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "This is the Gemini CLI. The folder is /x."}]},
            {"role": "user", "parts": [{"text": "List the files."}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "list", "args": {"path": "/x"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "list", "args": {"path": "/y"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "list-1", "name": "list", "response": {"output": "a\nb"}}},
                    {"functionResponse": {"id": "list-2", "name": "list", "response": {"output": ""}}},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "list",
                        "description": "Lists.",
                        "parametersJsonSchema": {
                            "type": "object",
                            "properties": {"path": {"type": "string"}},
                            "required": ["path"],
                            "additionalProperties": False,
                        },
                    }
                ]
            }
        ],
        "generationConfig": {"temperature": 1, "topP": 0.95, "thinkingConfig": {"includeThoughts": True}},
    }
    request = parse(**body)
    chat = json.loads(msgspec.json.encode(CHAT.render_request(request, Target(model="m", provider="p")).fields))
    assert [message["role"] for message in chat["messages"]] == [
        "system", "user", "user", "assistant", "tool", "tool",
    ]  # fmt: skip
    calls = [call["id"] for call in chat["messages"][3]["tool_calls"]]
    assert [message["tool_call_id"] for message in chat["messages"][4:]] == calls
    assert chat["messages"][4]["content"] == "a\nb"
    assert (
        chat["tools"][0]["function"]["parameters"]
        == body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    )
    own = rendered(request, THIRD)
    assert own["contents"][0]["parts"] == [*body["contents"][0]["parts"], *body["contents"][1]["parts"]]
    assert own["contents"][1] == body["contents"][2]
    assert own["tools"] == body["tools"]


def test_leading_instructions_are_apart_and_later_ones_stay_in_their_place() -> None:
    request = asked(
        Message(role="system", parts=[Text(text="A")]),
        Message(role="system", parts=[Text(text="B")], is_developer=True),
        user(Text(text="C")),
        Message(role="system", parts=[Text(text="D")]),
        model(Text(text="E")),
        user(Text(text="F")),
        user(Text(text="G")),
    )
    body = rendered(request)
    assert body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "C"}, {"text": "D"}]},
        {"role": "model", "parts": [{"text": "E"}]},
        {"role": "user", "parts": [{"text": "F"}, {"text": "G"}]},
    ]


def test_instructions_alone_are_what_is_asked() -> None:
    body = rendered(asked(Message(role="system", parts=[Text(text="Sing.")])))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Sing."}]}]}


def test_results_come_together_in_the_order_of_their_calls() -> None:
    request = asked(
        user(Text(text="Go")),
        model(
            ToolCall(id="toolu_1", name="f", arguments='{"a":1}'),
            ToolCall(id="toolu_2", name="g", arguments=""),
            ToolCall(id="toolu_3", name="h", arguments="free text", is_custom=True),
        ),
        user(ToolResult(call_id="toolu_2", parts=[Text(text="two")])),
        user(
            ToolResult(call_id="toolu_3", parts=[Text(text="bad")], is_error=True),
            ToolResult(call_id="toolu_1", parts=[Text(text='{"n": 1}')]),
            Text(text="And?"),
        ),
    )
    body = rendered(request)
    assert body["contents"][1]["parts"] == [
        {"functionCall": {"id": "toolu_1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "toolu_2", "name": "g", "args": {}}},
        {"functionCall": {"id": "toolu_3", "name": "h", "args": {"input": "free text"}}},
    ]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"id": "toolu_1", "name": "f", "response": {"n": 1}}},
        {"functionResponse": {"id": "toolu_2", "name": "g", "response": {"result": "two"}}},
        {"functionResponse": {"id": "toolu_3", "name": "h", "response": {"error": "bad"}}},
        {"text": "And?"},
    ]


def test_pictures_in_results_go_where_the_model_takes_them() -> None:
    picture = Media(kind="image", media_type="image/png", data="AA")
    request = asked(
        user(Text(text="Go")),
        model(ToolCall(id="a", name="shot", arguments="{}")),
        user(ToolResult(call_id="a", parts=[Text(text="ok"), picture])),
    )
    wire = {"inlineData": {"mimeType": "image/png", "data": "AA"}}
    answer = {"id": "a", "name": "shot", "response": {"result": "ok"}}
    assert rendered(request, THIRD)["contents"][2]["parts"] == [{"functionResponse": {**answer, "parts": [wire]}}]
    assert rendered(request, FLASH)["contents"][2]["parts"] == [
        {"functionResponse": answer},
        {"text": "Output of shot:"},
        wire,
    ]


def test_calls_that_nobody_signed_are_marked_for_gemini_3_alone() -> None:
    def history(seal: Seal | None) -> Request:
        first = ToolCall(id="a", name="f", arguments="{}", seal=seal)
        return asked(user(Text(text="x")), model(first, ToolCall(id="b", name="f", arguments="{}")))

    def signatures(request: Request, target: Target) -> list[Any]:
        return [part.get("thoughtSignature") for part in rendered(request, target)["contents"][1]["parts"]]

    assert signatures(history(None), FLASH) == [None, None]
    assert signatures(history(None), THIRD) == ["skip_thought_signature_validator", None]
    assert signatures(history(Seal("gemini", "own")), THIRD) == ["own", None]
    assert signatures(history(Seal("anthropic", "x")), THIRD) == ["skip_thought_signature_validator", None]
    assert losses(history(Seal("anthropic", "x")), THIRD) == {(LossKind.FOREIGN_SEAL, "messages.tool_calls.signature")}


def test_thoughts_go_back_to_their_own_vendor_alone() -> None:
    own = Thinking(text="a", seal=Seal("gemini", "c2ln"))
    foreign = Thinking(text="b", seal=Seal("anthropic", "sig"))
    request = asked(user(Text(text="x")), model(own, foreign, Thinking(text="c"), Text(text="d")))
    assert rendered(request)["contents"][1]["parts"] == [
        {"text": "a", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "d"},
    ]
    assert losses(request) == {(LossKind.FOREIGN_SEAL, "messages.thinking")}


@given(st.text(min_size=1), st.sampled_from(["anthropic", "openai"]), st.booleans(), st.booleans())
def test_seals_of_others_pass_through_gemini_clients(data: str, origin: str, is_urlsafe: bool, is_padded: bool) -> None:
    seal = Seal(origin, data)
    text = write_signature(seal)
    assert types.Part.model_validate({"thoughtSignature": text}).thought_signature == b64decode(text)
    if is_urlsafe:
        text = text.translate(str.maketrans("+/", "-_"))
    if not is_padded:
        text = text.rstrip("=")
    assert read_signature(text) == seal


@given(st.binary(min_size=1))
def test_signatures_of_gemini_stay_as_they_are(data: bytes) -> None:
    text = b64encode(data).decode()
    assert write_signature(read_signature(text)) == text or data.startswith(b"tollway.")


@pytest.mark.parametrize(
    ("name", "reasoning", "expected"),
    [
        ("gemini-2.5-flash", Reasoning(effort="low"), {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", Reasoning(budget_tokens=90_000), {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("gemini-2.5-flash", Reasoning(is_off=True), {"thinkingBudget": 0}),
        ("gemini-2.5-flash", Reasoning(is_adaptive=True), {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-pro", Reasoning(is_off=True), {"thinkingBudget": 128}),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=10), {"thinkingBudget": 512, "includeThoughts": True}),
        ("gemini-3-pro-preview", Reasoning(effort="medium"), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", Reasoning(effort="medium"), {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", Reasoning(effort="minimal"), {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3-flash-preview", Reasoning(budget_tokens=2000), {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3-flash-preview", Reasoning(is_off=True), {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash-preview", Reasoning(is_adaptive=True), {"includeThoughts": True}),
        (
            "gemini-3-flash-preview",
            Reasoning(effort="max", summary="none"),
            {"thinkingLevel": "HIGH", "includeThoughts": False},
        ),
        ("gemini-2.0-flash", Reasoning(effort="high"), None),
        ("my-tuned-model", Reasoning(effort="high"), {"thinkingBudget": 4096, "includeThoughts": True}),
    ],
)
def test_thinking_is_said_as_the_model_understands_it(
    name: str, reasoning: Reasoning, expected: dict[str, Any] | None
) -> None:
    body = rendered(asked(reasoning=reasoning), Target(model=name, provider="gemini"))
    assert body.get("generationConfig", {}).get("thinkingConfig") == expected


def test_what_cannot_be_turned_off_is_told() -> None:
    off = asked(reasoning=Reasoning(is_off=True))
    assert losses(off, Target(model="gemini-2.5-pro")) == {(LossKind.HINT, "reasoning")}
    assert losses(off, THIRD) == {(LossKind.HINT, "reasoning")}
    assert losses(off, Target(model="gemini-2.0-flash")) == set()
    assert losses(asked(reasoning=Reasoning(effort="low")), Target(model="gemini-2.0-flash")) == {
        (LossKind.HINT, "reasoning")
    }


def test_responses_clients_see_thoughts_when_they_ask_for_a_summary() -> None:
    def shows(reasoning: Reasoning) -> Any:
        body = rendered(asked(origin="responses", reasoning=reasoning))
        return body["generationConfig"]["thinkingConfig"].get("includeThoughts")

    assert shows(Reasoning(effort="low")) is None
    assert shows(Reasoning(effort="low", summary="auto")) is True


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (
            Media(kind="image", url="https://a.test/x.webp?y=1"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://a.test/x.webp?y=1"}},
        ),
        (
            Media(kind="file", url="gs://bucket/x", filename="x.csv"),
            {"fileData": {"mimeType": "text/csv", "fileUri": "gs://bucket/x"}},
        ),
        (
            Media(kind="video", url="https://youtu.be/x"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
        ),
        (
            Media(kind="file", media_type="application/pdf", file_id="files/abc"),
            {
                "fileData": {
                    "mimeType": "application/pdf",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                }
            },
        ),
        (Media(kind="audio", data="AA"), {"inlineData": {"mimeType": "audio/wav", "data": "AA"}}),
        (Media(kind="file", text="Body", title="Title", context="C"), {"text": "Title\n\nC\n\nBody"}),
    ],
)
def test_media(media: Media, expected: dict[str, Any]) -> None:
    assert rendered(asked(user(media)))["contents"][0]["parts"] == [expected]
    assert losses(asked(user(media))) == set()


@pytest.mark.parametrize("kind", ["none", "object"])
def test_functions_without_parameters_have_none(kind: str) -> None:
    schema = None if kind == "none" else raw({"type": "object", "properties": {}, "additionalProperties": False})
    body = rendered(asked(tools=[Tool(name="f", description="d", parameters=schema)]))
    assert body["tools"] == [{"functionDeclarations": [{"name": "f", "description": "d"}]}]


def test_tools_of_other_dialects() -> None:
    request = asked(
        tools=[
            CustomTool(name="patch", description="d", format=raw({"type": "grammar", "syntax": "lark"})),
            WebSearch(max_uses=3, allowed_domains=["a.test"], origin="messages", raw=raw({"type": "web_search"})),
            OpaqueTool(origin="messages", kind="bash", raw=raw({})),
            Tool(name="f", is_strict=True, parameters=raw({"type": "object", "properties": {"a": {"const": 1}}})),
        ],
        tool_choice=ToolChoice(mode="auto", names=("f",)),
        allows_parallel_tools=False,
    )
    body = rendered(request)
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "patch",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"input": {"type": "STRING"}},
                        "required": ["input"],
                    },
                },
                {"name": "f", "parametersJsonSchema": {"type": "object", "properties": {"a": {"const": 1}}}},
            ]
        },
        {"googleSearch": {}},
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}}
    assert losses(request) == {
        (LossKind.HINT, "tools.custom.format"),
        (LossKind.HINT, "tools.web_search.max_uses"),
        (LossKind.PARAMETER, "tools.web_search.allowed_domains"),
        (LossKind.TOOL, "tools.bash"),
        (LossKind.HINT, "tools.strict"),
        (LossKind.HINT, "parallel_tool_calls"),
    }


def test_what_gemini_cannot_say_is_declared() -> None:
    hint = CacheHint("1h")
    request = asked(
        Message(role="system", parts=[Text(text="S", cache=hint)]),
        Message(
            role="user",
            name="anna",
            parts=[
                Media(kind="image", data="AA", detail="high", cache=hint),
                Media(kind="file", file_id="file-1", wants_citations=True),
                Opaque(origin="messages", kind="container_upload", raw=raw({})),
            ],
        ),
        model(Refusal(text="No."), ToolCall(id="a", name="f", arguments="[1]", cache=hint)),
        user(ToolResult(call_id="a", parts=[Text(text="x", cache=hint)], cache=hint)),
        min_p=0.1,
        logit_bias=raw({}),
        prediction=raw({}),
        audio=raw({}),
        user="u",
        metadata=raw({}),
        store=True,
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        cache=hint,
        stop=list("abcdef"),
        format=OutputFormat(kind="json_schema", description="d", schema=raw({"type": "string"})),
        extra={"container": raw("c")},
        tools=[Tool(name="f", extra={"defer_loading": raw(True)})],
    )
    assert losses(request) == {
        *((LossKind.PARAMETER, name) for name in ("min_p", "logit_bias", "prediction", "audio", "stop")),
        *(
            (LossKind.HINT, name)
            for name in (
                "user", "metadata", "store", "service_tier", "prompt_cache_key", "verbosity", "messages.name",
                "messages.content.detail", "messages.content.citations", "response_format.description",
            )
        ),
        *(
            (LossKind.CACHE_HINT, name)
            for name in ("cache_control", "messages.cache_control", "messages.content.cache_control")
        ),
        (LossKind.MEDIA, "messages.content.file"),
        (LossKind.PART, "messages.content.container_upload"),
        (LossKind.UNKNOWN, "container"),
        (LossKind.UNKNOWN, "tools.defer_loading"),
    }  # fmt: skip
    body = rendered(request)
    assert body["generationConfig"]["stopSequences"] == list("abcde")
    assert body["contents"][1]["parts"] == [
        {"text": "No."},
        {"functionCall": {"id": "a", "name": "f", "args": {"input": "[1]"}}},
    ]


def test_chat_clients_reach_fields_that_only_gemini_has() -> None:
    body = rendered(asked(origin="chat", extra={"cachedContent": raw("c")}))
    assert body["cachedContent"] == "c"


def test_choices_probabilities_and_formats() -> None:
    body = rendered(
        asked(
            choices=2, logprobs=0, seed=1, presence_penalty=0.5, frequency_penalty=0.25, modalities=["text", "image"],
            format=OutputFormat(kind="json_object"), safety_settings=raw([]),
        )
    )  # fmt: skip
    assert body["generationConfig"] == {
        "candidateCount": 2,
        "seed": 1,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.25,
        "responseLogprobs": True,
        "responseModalities": ["TEXT", "IMAGE"],
        "responseMimeType": "application/json",
    }
    assert body["safetySettings"] == []
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    structured = rendered(asked(format=OutputFormat(kind="json_schema", schema=raw(schema), is_strict=True)))
    assert structured["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}


def test_googles_own_types_take_what_is_written() -> None:
    request = asked(
        user(Text(text="Go"), Media(kind="image", data="AA")),
        model(ToolCall(id="a", name="f", arguments="{}")),
        user(ToolResult(call_id="a", parts=[Text(text="x"), Media(kind="image", data="AA")])),
        tools=[Tool(name="f", parameters=raw({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}))],
        tool_choice=ToolChoice(mode="required"),
        reasoning=Reasoning(effort="low"),
    )
    body = rendered(request, THIRD)
    for content in body["contents"]:
        types.Content.model_validate(content)
    types.Tool.model_validate(body["tools"][0])
    types.ToolConfig.model_validate(body["toolConfig"])
    types.GenerationConfig.model_validate(body["generationConfig"])


def test_losses_are_told_once() -> None:
    request = asked(user(*(Text(text="x", cache=CacheHint()) for _ in range(3))))
    found = DIALECT.render_request(request, FLASH).losses
    assert found == [Loss(LossKind.CACHE_HINT, "messages.content.cache_control")]


@pytest.mark.parametrize(("role", "parts"), [("model", [{"text": ""}]), ("user", [{}])])
def test_turns_of_nothing_are_left_out(role: str, parts: list[Any]) -> None:
    assert rendered(parse(contents=[*HELLO, {"role": role, "parts": parts}]))["contents"] == HELLO


def test_instructions_may_be_a_text_or_nothing() -> None:
    assert parse(systemInstruction="S").messages[0] == Message(role="system", parts=[Text(text="S")])
    assert [message.role for message in parse(systemInstruction={"parts": []}).messages] == ["user"]


def test_results_in_a_turn_of_the_models_are_declared() -> None:
    request = asked(user(Text(text="x")), model(ToolResult(call_id="a", parts=[])))
    assert losses(request) == {(LossKind.PART, "messages.content.tool_result")}


def test_what_is_said_about_a_part_that_is_left_out_is_left_out_too() -> None:
    thought = {
        "text": "x",
        "thought": True,
        "thoughtSignature": "dG9sbHdheS5hbnRocm9waWMuYWJj",
        "partMetadata": {"a": 1},
    }
    request = parse(contents=[{"role": "model", "parts": [{"text": "a"}, thought]}])
    assert rendered(request)["contents"] == [{"role": "model", "parts": [{"text": "a"}]}]
    assert losses(request) == {
        (LossKind.FOREIGN_SEAL, "messages.thinking"),
        (LossKind.PART, "messages.content.part.partMetadata"),
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", {}), (' {"a": 1}', {"a": 1}), ('{"a":', {"input": '{"a":'}), ("[1]", {"input": "[1]"})],
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, expected: Any) -> None:
    request = asked(user(Text(text="x")), model(ToolCall(id="a", name="f", arguments=arguments)))
    assert rendered(request)["contents"][1]["parts"][0]["functionCall"]["args"] == expected


def test_responses_of_several_fields_are_their_json() -> None:
    wire = {"name": "f", "response": {"a": 1, "b": "x"}}
    request = parse(contents=[{"parts": [{"functionResponse": wire}]}])
    found = request.messages[0].parts[0]
    assert isinstance(found, ToolResult)
    assert found.parts == [Text(text='{"a":1,"b":"x"}')]
    assert rendered(request)["contents"][0]["parts"][0]["functionResponse"]["response"] == wire["response"]


def test_results_keep_their_pictures_and_their_form() -> None:
    result = {
        "name": "f",
        "response": {"result": {"a": 1}},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}],
    }
    request = parse(contents=[{"role": "user", "parts": [{"functionResponse": {"id": "x", **result}}]}])
    found = request.messages[0].parts[0]
    assert isinstance(found, ToolResult)
    assert found.call_id == "x"
    assert found.parts == [
        Text(text='{"result":{"a":1}}'),
        Media(kind="image", media_type="image/png", data="AA"),
    ]
    assert rendered(request, THIRD)["contents"][0]["parts"] == [{"functionResponse": {"id": "x", **result}}]
    failed = parse(contents=[{"parts": [{"functionResponse": {"name": "f", "response": {"error": {"a": 1}}}}]}])
    assert rendered(failed)["contents"][0]["parts"][0]["functionResponse"]["response"] == {"error": {"a": 1}}


def test_thinking_that_says_nothing_of_how_long() -> None:
    assert rendered(asked(origin="responses", reasoning=Reasoning())) == {"contents": HELLO}
    assert rendered(asked(origin="responses", reasoning=Reasoning()), THIRD) == {"contents": HELLO}
    own = parse(generationConfig={"thinkingConfig": {"thinkingLevel": "XHIGH"}})
    assert rendered(own, THIRD)["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "XHIGH"}}


def test_a_custom_tool_without_a_grammar_loses_nothing() -> None:
    request = asked(tools=[CustomTool(name="f", format=raw({"type": "text"}))])
    assert losses(request) == set()


@pytest.mark.parametrize("text", ["dG9sbHdheS%", "dG9sbHdheS//"])
def test_what_only_looks_like_another_vendors_seal_is_geminis(text: str) -> None:
    assert read_signature(text) == Seal("gemini", text)


@settings(max_examples=300)
@given(spoiled(EVERYTHING))
def test_any_request_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(InvalidRequest):
        request = parse(**body)
        assert "contents" in rendered(request)
        assert "messages" in CHAT.render_request(request, Target(model="m", provider="p")).fields


@given(junk)
def test_any_schema_is_written(schema: Any) -> None:
    request = asked(
        tools=[Tool(name="f", parameters=raw({"type": "object", "properties": {"a": schema}}))],
        format=OutputFormat(kind="json_schema", schema=raw(schema)),
    )
    assert rendered(request)["tools"]
