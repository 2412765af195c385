"""The built-in model: its wire format as OpenAI's own types see it, its cadence, its faults."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import struct
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollway.core.errors import UpstreamError
from tollway.core.snapshot import Endpoint, Origin, Timeouts
from tollway.ports.transport import Transport, UpstreamRequest
from tollway.upstream.demo import DemoTransport
from tollway.upstream.demo.answer import Answer
from tollway.upstream.demo.shaping import shape_value
from tollway.upstream.demo.words import embed

AT_ONCE = {"latency_ms": 0, "chunk_ms": 0}
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 2},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


def count_tokens(text: str) -> int:
    """Words and signs: enough to tell whether counts are made of the right texts."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def request(body: dict[str, Any] | bytes, path: str = "/v1/chat/completions", **limits: float) -> UpstreamRequest:
    endpoint = Endpoint(origin=Origin("http", "demo.invalid", 80), target=path, headers=())
    whole = body if isinstance(body, bytes) else json.dumps({"model": "demo", **body}).encode()
    return UpstreamRequest(endpoint=endpoint, body=whole, timeouts=Timeouts(**limits), max_response_bytes=1 << 24)


def demo(**given: Any) -> dict[str, Any]:
    return {"demo": {**AT_ONCE, **given}}


@pytest.fixture
def model() -> DemoTransport:
    return DemoTransport(count_tokens, now=lambda: 1_700_000_000)


async def ask(model: Transport, body: dict[str, Any] | bytes, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    response = await model.send(request(body, path))
    return response.status, json.loads(await response.read())


async def chat(model: Transport, **body: Any) -> ChatCompletion:
    status, answer = await ask(model, {"messages": HELLO, **demo(), **body})
    assert status == 200, answer
    return ChatCompletion.model_validate(answer, strict=True)


async def events(model: Transport, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[Any]:
    response = await model.send(request({"stream": True, **body}, path))
    assert (response.status, dict(response.headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
    raw = await response.read()
    *found, last, rest = raw.split(b"\n\n")
    assert (last, rest) == (b"data: [DONE]", b"")
    assert all(event.startswith(b"data: ") for event in found)
    return [json.loads(event.removeprefix(b"data: ")) for event in found]


async def chunks(model: Transport, **body: Any) -> list[ChatCompletionChunk]:
    found = await events(model, {"messages": HELLO, **demo(), **body})
    return [ChatCompletionChunk.model_validate(event, strict=True) for event in found]


def streamed_text(found: list[ChatCompletionChunk], index: int = 0) -> str:
    choices = [choice for chunk in found for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


async def test_it_answers_about_the_question_as_openai_would(model: DemoTransport) -> None:
    answer = await chat(model)
    (choice,) = answer.choices
    assert "What is the capital of France?" in (choice.message.content or "")
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert (answer.object, answer.model, answer.created) == ("chat.completion", "demo", 1_700_000_000)


async def test_tokens_are_counted_for_real(model: DemoTransport) -> None:
    answer = await chat(model)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count_tokens(answer.choices[0].message.content or "")
    assert answer.usage.prompt_tokens == 3 + 3 + count_tokens("user") + count_tokens("What is the capital of France?")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_parts_images_tools_and_tool_calls_count_too(model: DemoTransport) -> None:
    plain = (await chat(model, messages=[{"role": "user", "content": "one two"}])).usage
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    parts = [{"type": "text", "text": "one two"}, image]
    pictured = (await chat(model, messages=[{"role": "user", "content": parts}])).usage
    tooled = (await chat(model, messages=[{"role": "user", "content": "one two"}], tools=[WEATHER])).usage
    assert plain is not None
    assert pictured is not None
    assert tooled is not None
    assert pictured.prompt_tokens == plain.prompt_tokens + 85
    assert tooled.prompt_tokens > plain.prompt_tokens + 10


async def test_the_same_prompt_gets_the_same_answer_and_another_one_another(model: DemoTransport) -> None:
    first, second = await chat(model), await chat(DemoTransport(count_tokens), temperature=2, seed=7)
    other = await chat(model, messages=[{"role": "user", "content": "And of Italy?"}])
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.id != second.id
    assert other.choices[0].message.content != first.choices[0].message.content


async def test_a_stream_says_the_same_as_a_whole_answer(model: DemoTransport) -> None:
    whole, found = await chat(model), await chunks(model)
    assert streamed_text(found) == whole.choices[0].message.content
    assert found[0].choices[0].delta.role == "assistant"
    assert found[0].choices[0].delta.content == ""
    assert [chunk.choices[0].finish_reason for chunk in found] == [None] * (len(found) - 1) + ["stop"]
    assert len({chunk.id for chunk in found}) == 1
    assert len(found) > 20


async def test_a_stream_speaks_of_usage_only_if_asked(model: DemoTransport) -> None:
    for options in ({}, {"stream_options": {"include_usage": False}}, {"stream_options": None}):
        assert all("usage" not in event for event in await events(model, {"messages": HELLO, **demo(), **options}))


async def test_usage_is_null_until_its_own_last_chunk(model: DemoTransport) -> None:
    found = await events(model, {"messages": HELLO, **demo(), "stream_options": {"include_usage": True}})
    assert [event["usage"] for event in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1]["choices"] == []
    whole = (await chat(model)).usage
    assert whole is not None
    assert found[-1]["usage"] == whole.model_dump(exclude_none=True)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [1, 2, 7, 40])
async def test_a_limit_ends_the_answer_exactly_there(model: DemoTransport, field: str, limit: int) -> None:
    answer = await chat(model, **{field: limit})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == limit
    found = await chunks(model, **{field: limit})
    assert streamed_text(found) == answer.choices[0].message.content
    assert found[-1].choices[0].finish_reason == "length"


async def test_a_limit_that_is_not_reached_changes_nothing(model: DemoTransport) -> None:
    assert (await chat(model, max_tokens=5000)).choices == (await chat(model)).choices


@pytest.mark.parametrize("stop", ["capital", ["nowhere", "capital", "France"]])
async def test_it_ends_before_a_stop_sequence(model: DemoTransport, stop: str | list[str]) -> None:
    (choice,) = (await chat(model, stop=stop)).choices
    assert (choice.message.content or "").endswith("What is the ")
    assert choice.finish_reason == "stop"


async def test_it_gives_as_many_choices_as_wanted(model: DemoTransport) -> None:
    answer, found = await chat(model, n=3), await chunks(model, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [streamed_text(found, index) for index in range(3)] == [choice.message.content for choice in answer.choices]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(count_tokens(each.message.content or "") for each in answer.choices)


async def test_it_says_what_it_is_told_to_say(model: DemoTransport) -> None:
    answer = await chat(model, **demo(text="Bonjour, le monde !"), tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].message.content == "Bonjour, le monde !"
    assert streamed_text(await chunks(model, **demo(text="a  b\n c "))) == "a  b\n c "


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(Answer(text, "stop", 0).pieces) == text


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize("tool_choice", ["required", NAMED])
async def test_a_tool_that_must_be_called_is_called_with_fitting_arguments(
    model: DemoTransport, tool_choice: Any
) -> None:
    answer = await chat(model, tools=[WEATHER], tool_choice=tool_choice)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    jsonschema.validate(arguments, WEATHER["function"]["parameters"])  # type: ignore[index]
    assert "France" in arguments["city"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count_tokens(call.function.arguments)


async def test_a_streamed_tool_call_adds_up_to_the_whole_one(model: DemoTransport) -> None:
    whole = (await chat(model, tools=[WEATHER], tool_choice="required")).choices[0].message.tool_calls or []
    found = await chunks(model, tools=[WEATHER], tool_choice="required")
    deltas = [call for chunk in found for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert {delta.index for delta in deltas} == {0}
    assert next(delta.id for delta in deltas if delta.id).startswith("call_")
    assert [delta.function.name for delta in deltas if delta.function and delta.function.name] == ["get_weather"]
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    assert whole[0].type == "function"
    assert arguments == whole[0].function.arguments
    assert found[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("tool_choice", [None, "auto", "none"])
async def test_a_tool_that_may_be_called_is_not(model: DemoTransport, tool_choice: str | None) -> None:
    answer = await chat(model, tools=[WEATHER], tool_choice=tool_choice)
    assert answer.choices[0].message.tool_calls is None


async def test_the_result_of_a_tool_is_what_it_speaks_about_next(model: DemoTransport) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}]
    answer = await chat(model, messages=[*turns, {"role": "tool", "tool_call_id": "c", "content": "18 degrees, rain"}])
    assert "18 degrees, rain" in (answer.choices[0].message.content or "")


async def test_json_is_answered_where_json_is_wanted(model: DemoTransport) -> None:
    answer = await chat(model, response_format={"type": "json_object"})
    assert "France" in json.loads(answer.choices[0].message.content or "")["answer"]


async def test_a_json_schema_is_followed(model: DemoTransport) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "steps", "strict": True, "schema": SCHEMAS[-1]}}
    answer = await chat(model, response_format=wanted)
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), SCHEMAS[-1])


NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["name", "next"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "minLength": 200},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "exclusiveMinimum": 3, "maximum": 4},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "exclusiveMaximum": 0},
    {"type": "integer", "minimum": 5, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    {"type": "number", "minimum": 0.25, "maximum": 0.5},
    {"type": "number", "exclusiveMaximum": 1},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["null", "integer"]},
    {"const": {"a": [1]}},
    {"enum": ["x", 2]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}],
     "$defs": {"a": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"type": "object", "required": ["free"],
     "properties": {"a/b": {"$ref": "#/properties/c~0d"}, "c~d": {"type": "null"}}},
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_a_value_fits_its_schema(schema: dict[str, Any]) -> None:
    value = shape_value(schema, "the capital of France")
    jsonschema.Draft202012Validator(schema).validate(value)
    json.dumps(value, allow_nan=False)


KEYWORDS = st.sampled_from(
    [
        *("type", "enum", "const", "$ref", "anyOf", "allOf", "items", "properties", "required", "format"),
        *("minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "multipleOf"),
        *("exclusiveMinimum", "exclusiveMaximum"),
    ]
)
KINDS = ["object", "array", "string", "integer", "number", "null", "#", "#/properties", "date"]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(KEYWORDS, ANYTHING, max_size=6))
@settings(deadline=None)
def test_a_hostile_schema_never_fails(schema: dict[str, Any]) -> None:
    json.dumps(shape_value(schema, "subject"))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"type": "array", "minItems": 10**12, "items": {"type": "array", "minItems": 10**12, "items": {"$ref": "#"}}},
        {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(60)}},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_a_schema_without_an_end_gets_one(schema: dict[str, Any]) -> None:
    assert len(json.dumps(shape_value(schema, "s"))) < 1_000_000


async def test_completions_have_their_own_format(model: DemoTransport) -> None:
    status, answer = await ask(model, {"prompt": ["Say hi", "Say bye"], "n": 2, **demo()}, "/v1/completions")
    assert status == 200
    parsed = Completion.model_validate(answer, strict=True)
    assert [choice.index for choice in parsed.choices] == [0, 1, 2, 3]
    assert ["Say hi" in choice.text for choice in parsed.choices] == [True, True, False, False]
    assert parsed.usage is not None
    assert parsed.usage.prompt_tokens == 4
    assert parsed.usage.completion_tokens == sum(count_tokens(choice.text) for choice in parsed.choices)


async def test_a_streamed_completion_adds_up(model: DemoTransport) -> None:
    body = {"prompt": "Say hi", "echo": True, "max_tokens": 9, **demo(), "stream_options": {"include_usage": True}}
    _, whole = await ask(model, body, "/v1/completions")
    # Unchecked, as the SDK does it: its type leaves out that the reason is null until the end.
    found = [Completion.construct(**event) for event in await events(model, body, "/v1/completions")]
    assert "".join(choice.text for chunk in found for choice in chunk.choices) == whole["choices"][0]["text"]
    assert {choice.finish_reason for chunk in found[:-2] for choice in chunk.choices} == {None}
    assert whole["choices"][0]["text"].startswith("Say hi ")
    assert found[-2].choices[0].finish_reason == "length"
    assert found[-1].usage is not None
    assert found[-1].usage.completion_tokens == 9


async def test_a_prompt_of_tokens_is_counted_as_it_is(model: DemoTransport) -> None:
    for prompt, expected in (([1, 2, 3], 3), ([[1, 2], [3]], 3)):
        _, answer = await ask(model, {"prompt": prompt, **demo()}, "/v1/completions")
        assert answer["usage"]["prompt_tokens"] == expected


async def test_embeddings_are_unit_vectors_in_order(model: DemoTransport) -> None:
    status, answer = await ask(model, {"input": ["one two", "three"], **demo()}, "/v1/embeddings")
    assert status == 200
    parsed = CreateEmbeddingResponse.model_validate(answer, strict=True)
    assert [item.index for item in parsed.data] == [0, 1]
    assert parsed.usage.prompt_tokens == parsed.usage.total_tokens == 3
    for item in parsed.data:
        assert len(item.embedding) == 256
        assert math.isclose(math.hypot(*item.embedding), 1.0)
    assert parsed.data[0].embedding == embed("one two", 256)


async def test_embeddings_come_in_base64_too(model: DemoTransport) -> None:
    body = {"input": "hello", "dimensions": 12, **demo()}
    _, plain = await ask(model, body, "/v1/embeddings")
    _, packed = await ask(model, {**body, "encoding_format": "base64"}, "/v1/embeddings")
    floats = struct.unpack("<12f", base64.b64decode(packed["data"][0]["embedding"]))
    assert floats == pytest.approx(plain["data"][0]["embedding"], abs=1e-6)


async def test_token_arrays_can_be_embedded(model: DemoTransport) -> None:
    _, answer = await ask(model, {"input": [[1, 2, 3], [4]], **demo()}, "/v1/embeddings")
    assert len(answer["data"]) == 2
    assert answer["usage"]["prompt_tokens"] == 4
    _, single = await ask(model, {"input": [1, 2, 3], **demo()}, "/v1/embeddings")
    assert single["data"][0]["embedding"] == answer["data"][0]["embedding"]


@given(st.text(min_size=1), st.integers(1, 64))
def test_every_text_has_one_unit_vector(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0)
    assert vector == embed(text, dimensions)


def test_a_text_without_words_has_a_vector_too() -> None:
    assert embed(" \n", 3) == [1.0, 0.0, 0.0]


def test_texts_that_share_words_lie_closer_than_others() -> None:
    def likeness(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(embed(one, 256), embed(other, 256), strict=True))

    same = likeness("how do I reset my password", "reset the password please")
    assert same > likeness("how do I reset my password", "best pasta in Rome") + 0.2


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {}, "messages"),
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": "hello"}, "messages"),
        ("/v1/chat/completions", {"messages": HELLO, "n": 0}, "n"),
        ("/v1/chat/completions", {"messages": HELLO, "n": 10**9}, "n"),
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": "many"}, "max_tokens"),
        ("/v1/chat/completions", {"messages": HELLO, "tool_choice": "required"}, "tool_choice"),
        ("/v1/chat/completions", {"messages": HELLO, "tools": [WEATHER], "tool_choice": {}}, "tool_choice"),
        ("/v1/chat/completions", {"messages": HELLO, "demo": {"fault": "meteor"}}, "demo"),
        ("/v1/chat/completions", {"messages": HELLO, "demo": {"latency_ms": -1}}, "demo"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * 100, "n": 2}, "n"),
        ("/v1/embeddings", {"input": ""}, "input"),
        ("/v1/embeddings", {"input": [1, "a"]}, "input"),
        ("/v1/embeddings", {"input": ["a"] * 2049}, "input"),
        ("/v1/embeddings", {"input": "a", "dimensions": 10**9}, "dimensions"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)  # fmt: skip
async def test_a_wrong_body_is_refused_in_openais_words(
    model: DemoTransport, path: str, body: dict[str, Any], param: str
) -> None:
    status, answer = await ask(model, body, path)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == param
    assert answer["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_not_json_is_refused(model: DemoTransport, body: bytes) -> None:
    status, answer = await ask(model, body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_odd_parts_of_a_body_do_not_upset_it(model: DemoTransport) -> None:
    odd = {"tools": [{"type": "custom"}, WEATHER], "response_format": {"type": "json_schema", "json_schema": "x"}}
    await chat(model, messages=[{}, {"content": [1, {"type": "text"}]}, {"role": 3, "content": {"a": 1}}], **odd)


async def test_another_path_is_not_found(model: DemoTransport) -> None:
    status, answer = await ask(model, {}, "/v1/images/generations?x=1")
    assert status == 404
    assert "/v1/images/generations" in answer["error"]["message"]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_faults_that_come_instead_of_an_answer(model: DemoTransport, is_streamed: bool) -> None:
    body = {"messages": HELLO, "stream": is_streamed}
    assert (await ask(model, body | demo(fault="error_500")))[0] == 500
    busy = await model.send(request(body | demo(fault="rate_limit", retry_after_s=7)))
    assert (busy.status, dict(busy.headers)[b"retry-after"]) == (429, b"7")
    assert json.loads(await busy.read())["error"]["code"] == "rate_limit_exceeded"
    with pytest.raises(UpstreamError, match="connection refused") as caught:
        await model.send(request(body | demo(fault="refuse")))
    assert (caught.value.upstream_status, caught.value.is_retryable) == (0, True)


async def test_faults_are_there_for_embeddings_too(model: DemoTransport) -> None:
    assert (await ask(model, {"input": "a", **demo(fault="error_500")}, "/v1/embeddings"))[0] == 500


@pytest.mark.parametrize("after", [0, 1, 4])
async def test_a_stream_that_is_cut_ends_with_an_error(model: DemoTransport, after: int) -> None:
    response = await model.send(request({"messages": HELLO, "stream": True, **demo(fault="cut", after_chunks=after)}))
    for _ in range(after):
        assert (await response.next_chunk()).startswith(b"data: ")
    with pytest.raises(UpstreamError, match="cut before its end"):
        await response.next_chunk()


async def test_a_body_that_is_cut_ends_with_an_error(model: DemoTransport) -> None:
    response = await model.send(request({"messages": HELLO, **demo(fault="cut")}))
    with pytest.raises(UpstreamError, match="cut before its end"):
        await response.read()


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_silence_lasts_until_the_timeout(model: DemoTransport, is_streamed: bool) -> None:
    body = {"messages": HELLO, "stream": is_streamed, **demo(fault="stall", after_chunks=1)}
    response = await model.send(request(body, between_chunks=0.01))
    assert await response.next_chunk()
    with pytest.raises(UpstreamError, match=r"the next chunk took longer than 0.01 s") as caught:
        await response.next_chunk()
    assert (caught.value.status, caught.value.error_class) == (408, "Timeout")


async def test_a_malformed_stream_has_one_event_that_is_not_json(model: DemoTransport) -> None:
    response = await model.send(request({"messages": HELLO, "stream": True, **demo(fault="malformed", after_chunks=2)}))
    *found, rest = (await response.read()).split(b"\n\n")
    bad = []
    for index, event in enumerate(found[:-1]):
        try:
            json.loads(event.removeprefix(b"data: "))
        except ValueError:
            bad.append(index)
    assert bad == [2]
    assert (found[-1], rest) == (b"data: [DONE]", b"")


async def test_a_malformed_body_is_not_json(model: DemoTransport) -> None:
    response = await model.send(request({"messages": HELLO, **demo(fault="malformed")}))
    with pytest.raises(json.JSONDecodeError):
        json.loads(await response.read())


async def test_the_answer_takes_its_time(model: DemoTransport) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    body = {"messages": HELLO, "stream": True, "max_tokens": 3, "demo": {"latency_ms": 20, "chunk_ms": 4}}
    response = await model.send(request(body))
    assert loop.time() - started >= 0.019
    count = len((await response.read()).split(b"\n\n")) - 1
    assert loop.time() - started >= 0.019 + 0.004 * (count - 1)


async def test_a_slow_reader_does_not_slow_the_model_down(model: DemoTransport) -> None:
    body = {"messages": HELLO, "stream": True, "demo": {"latency_ms": 0, "chunk_ms": 5}}
    response = await model.send(request(body))
    await response.next_chunk()
    await asyncio.sleep(0.03)
    for _ in range(5):
        reading = asyncio.ensure_future(response.next_chunk())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reading.done(), "what was due meanwhile is there at once"
    response.close()


async def test_a_head_that_takes_too_long_is_a_timeout(model: DemoTransport) -> None:
    with pytest.raises(UpstreamError, match=r"the first byte took longer than 0.01 s") as caught:
        await model.send(request({"messages": HELLO, "demo": {"latency_ms": 60_000}}, first_byte=0.01))
    assert caught.value.status == 408


async def test_an_answer_that_takes_too_long_in_all_is_a_timeout(model: DemoTransport) -> None:
    body = {"messages": HELLO, "stream": True, "demo": {"latency_ms": 0, "chunk_ms": 5}}
    response = await model.send(request(body, total=0.02))
    with pytest.raises(UpstreamError, match="the whole answer"):
        await response.read()


async def test_closing_wakes_whoever_waits(model: DemoTransport) -> None:
    body = {"messages": HELLO, "stream": True, "demo": {"latency_ms": 0, "chunk_ms": 60_000}}
    response = await model.send(request(body))
    await response.next_chunk()
    waiting = asyncio.ensure_future(response.next_chunk())
    await asyncio.sleep(0)
    response.close()
    response.close()
    with pytest.raises(UpstreamError, match="closed"):
        await waiting
    with pytest.raises(UpstreamError, match="closed"):
        await response.next_chunk()


async def test_closing_the_transport_closes_every_answer(model: DemoTransport) -> None:
    body = {"messages": HELLO, "stream": True, "demo": {"latency_ms": 0, "chunk_ms": 60_000}}
    response = await model.send(request(body))
    await response.next_chunk()
    await model.close()
    with pytest.raises(UpstreamError, match="closed"):
        await response.next_chunk()


async def test_waiting_can_be_cancelled(model: DemoTransport) -> None:
    sending = asyncio.ensure_future(model.send(request({"messages": HELLO, "demo": {"latency_ms": 60_000}})))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_body_that_has_ended_stays_ended(model: DemoTransport) -> None:
    response = await model.send(request({"messages": HELLO, **demo()}))
    await response.read()
    assert await response.next_chunk() == b""
    response.close()


async def test_no_answer_grows_past_the_maximum(model: DemoTransport) -> None:
    asked = request({"messages": HELLO, **demo(text="x" * 5000)})
    small = UpstreamRequest(endpoint=asked.endpoint, body=asked.body, timeouts=asked.timeouts, max_response_bytes=1000)
    response = await model.send(small)
    with pytest.raises(UpstreamError, match="larger than 1,000 bytes"):
        await response.read()
