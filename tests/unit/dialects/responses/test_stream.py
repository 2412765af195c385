"""Streams of the Responses API read into events and written from them; the official SDK reassembles what we write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.grammar_middle import check_events
from tests.support.grammar_responses import Illegal, check_stream
from tests.support.middle_answers import event_sequences

from tollway.core.errors import Overloaded, TollwayError, UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.generation.answer import (
    Answer,
    Assembler,
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Pinged,
    Sealed,
    Started,
    Stopped,
    TokenProbability,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import (
    Citation,
    CustomTool,
    Media,
    Opaque,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollway.dialects.responses import DIALECT

CORPUS = Path(__file__).parents[3] / "contract/dialects/responses"
REQUEST = Request(origin="responses", model="public", messages=[], tools=[CustomTool(name="apply_patch")])
OPTIONS = StreamOptions(model="public", call_id="01J", created=7, request=REQUEST)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STREAMS = ["agent", "incomplete", "refusal"]


def stream_of(name: str) -> bytes:
    return (CORPUS / f"stream_{name}.sse").read_bytes()


def decode(*chunks: bytes) -> list[Event]:
    decoder = DIALECT.decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def assemble(events: Iterable[Event]) -> Answer:
    assembler = Assembler("responses")
    for event in events:
        assembler.add(event)
    return assembler.answer()


def encode(events: Iterable[Event], error: TollwayError | None = None, options: StreamOptions = OPTIONS) -> bytes:
    encoder = DIALECT.encoder(options)
    return b"".join(encoder.push([event]) for event in events) + encoder.close(error)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def client_of(stream: bytes) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="sk-1", base_url="http://gateway", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def shape(answer: Answer) -> dict[str, Any]:
    """An answer as plain data: raw JSON compares by its value."""
    return _plain(answer)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if hasattr(value, "__struct_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if type(value).__name__ == "Raw":
        return json.loads(bytes(value) or b"null")
    return value


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_same_answer_as_the_whole_body(name: str) -> None:
    events = decode(stream_of(name))
    check_events(events)
    whole = DIALECT.parse_answer((CORPUS / f"answer_{name}.json").read_bytes())
    streamed = assemble(events)
    streamed.service_tier = whole.service_tier  # is not part of the events
    assert shape(streamed) == shape(whole)


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 9000), max_size=6))
def test_a_stream_split_anywhere_gives_the_same_events(name: str, cuts: list[int]) -> None:
    data = stream_of(name)
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges)]
    assert _plain(decode(*chunks)) == _plain(decode(data))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_has_no_end(name: str) -> None:
    blocks = stream_of(name).split(b"\n\n")
    for count in range(1, len(blocks) - 1):
        decoder = DIALECT.decoder()
        events = decoder.feed(b"\n\n".join(blocks[:count]) + b"\n\n") + decoder.end()
        check_events(events, is_whole=False)
        assert not decoder.is_done
        assert not any(isinstance(event, Stopped) for event in events)


def test_what_a_server_leaves_out_is_taken_from_the_ends() -> None:
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    note = {"type": "url_citation", "url": "https://e.example", "title": "E", "start_index": 0, "end_index": 1}
    text = {"type": "output_text", "text": "Hi", "annotations": [note]}
    call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}
    custom = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "go"}
    response = {"id": "resp_1", "model": "m", "created_at": 3, "status": "completed"}
    events = decode(
        sse(
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text", "text": ""}},
            {"type": "response.content_part.done", "output_index": 0, "part": text},
            {"type": "response.output_item.done", "output_index": 0, "item": item | {"content": [text]}},
            {"type": "response.output_item.added", "output_index": 1, "item": call | {"arguments": ""}},
            {"type": "response.output_item.done", "output_index": 1, "item": call},
            {"type": "response.output_item.added", "output_index": 2, "item": custom | {"input": ""}},
            {"type": "response.custom_tool_call_input.done", "output_index": 2, "input": "go"},
            {"type": "response.output_item.done", "output_index": 2, "item": custom},
            {"type": "response.output_item.done", "output_index": 3, "item": call | {"call_id": "call_3"}},
            {
                "type": "response.completed",
                "response": response | {"output": [item, call, custom, call, call | {"call_id": "call_4"}]},
            },
        )
    )
    check_events(events)
    (choice,) = assemble(events).choices
    said, *calls = choice.parts
    assert isinstance(said, Text)
    assert (said.text, said.citations[0].url) == ("Hi", "https://e.example")
    assert [(part.id, part.arguments) for part in calls if isinstance(part, ToolCall)] == [
        ("call_1", '{"a":1}'),
        ("call_2", "go"),
        ("call_3", '{"a":1}'),
        ("call_4", '{"a":1}'),
    ]
    assert choice.stop == "tool_use"


def test_deltas_need_no_beginning() -> None:
    events = decode(
        sse(
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "a"},
            {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "b"},
            {"type": "response.refusal.delta", "output_index": 0, "delta": "c"},
            {"type": "response.refusal.delta", "output_index": 0, "delta": ""},
            {"type": "response.output_text.delta", "output_index": 0, "delta": "d"},
            {"type": "response.output_text.delta", "output_index": 0, "delta": ""},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
            {"type": "response.output_text.done", "output_index": 0, "text": "d"},
            {"type": "response.incomplete", "response": {"status": "incomplete", "output": None}},
        )
    )
    check_events(events)
    assert assemble(events).choices[0].parts == [
        Thinking(text="a", is_summary=True),
        Thinking(text="b"),
        Refusal(text="c"),
        Text(text="d"),
    ]


def test_items_that_are_interleaved_are_put_in_order() -> None:
    def call(number: int) -> dict[str, Any]:
        return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": "f"}

    def added(number: int) -> dict[str, Any]:
        return {"type": "response.output_item.added", "output_index": number, "item": call(number)}

    def piece(number: int, text: str) -> dict[str, Any]:
        return {"type": "response.function_call_arguments.delta", "output_index": number, "delta": text}

    def done(number: int) -> dict[str, Any]:
        return {"type": "response.output_item.done", "output_index": number, "item": call(number)}

    end = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}
    mixed = [
        added(0),
        added(1),
        piece(1, "{1"),
        piece(0, "{0"),
        added(2),
        piece(2, "{2}"),
        piece(1, "}"),
        piece(0, "}"),
    ]
    for rest in ([done(1), done(0), done(2)], [done(0)], []):
        events = decode(sse(*mixed, *rest, end))
        check_events(events)
        calls = assemble(events).choices[0].parts
        assert [part.arguments for part in calls if isinstance(part, ToolCall)] == ["{0}", "{1}", "{2}"]


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, 429, "slow"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, 400, "bad"),
        ({"type": "error", "code": None, "message": "boom"}, 500, "boom"),
        ({"type": "error", "code": "503"}, 503, "the response failed"),
        ({"type": "response.failed", "response": {"error": {"code": "invalid_image_url", "message": "x"}}}, 400, "x"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "y"}}}, 500, "y"),
        ({"type": "response.failed", "response": {"status": "failed"}}, 500, "the response failed"),
    ],
)
def test_errors_in_a_stream(document: dict[str, Any], status: int, words: str) -> None:
    decoder = DIALECT.decoder()
    (event,) = decoder.feed(sse(document))
    assert isinstance(event, Failed)
    assert event.error.status == status
    assert words in event.error.message
    assert decoder.is_done
    assert decoder.feed(stream_of("refusal")) == []


def test_a_bare_envelope_is_an_error_too() -> None:
    (event,) = decode(b'data: {"error":{"message":"no","code":429}}\n\n')
    assert isinstance(event, Failed)
    assert event.error.status == 429


def test_a_failed_stream_from_the_vendor() -> None:
    events = decode(stream_of("failed"))
    check_events(events)
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.error.error_class == "RateLimitError"


def test_what_cannot_be_read_is_skipped() -> None:
    noise = (
        b"event: response.output_text.delta\ndata: {broken\n\nevent: new.thing\ndata: {}\n\ndata: [DONE]\n\n: ping\n\n"
    )
    assert decode(noise) == []
    unnamed = b'data: {"type":"response.output_text.delta","delta":"x","output_index":0}'
    assert decode(unnamed)[-1] == Delta("x")


def test_probabilities_in_a_stream_both_ways() -> None:
    token = TokenProbability(token="Hi", logprob=-0.5, bytes=(72, 105), top=())
    events: list[Event] = [
        Started(id="resp_1", model="m"),
        PartStarted(Text(text=""), 0),
        Delta("Hi", logprobs=[token]),
        Delta(""),
        PartEnded(),
        Stopped("end"),
    ]
    data = encode(events)
    check_stream(data)
    assert assemble(decode(data)).choices[0].logprobs == [token]


def test_the_sdk_reads_a_stream_and_ends_with_the_same_response() -> None:
    events: list[Event] = [
        Started(id="msg_1", model="claude"),
        PartStarted(Thinking(), 0),
        Delta("let me "),
        Delta("see"),
        Sealed(Seal("anthropic", "SIG")),
        PartEnded(),
        PartStarted(Text(text=""), 1),
        Delta("Hel"),
        Pinged(),
        Delta("lo"),
        Cited(Citation(url="https://e.example", title="E", start=0, end=5)),
        PartEnded(),
        PartStarted(ToolCall(id="toolu_1", name="f", arguments=""), 2),
        Delta('{"a"'),
        Delta(":1}"),
        PartEnded(),
        PartStarted(ToolCall(id="toolu_2", name="apply_patch", arguments=""), 3),
        Delta('{"input":"*** Begin'),
        Delta('\\n*** End"}'),
        PartEnded(),
        Stopped("tool_use"),
        Metered(Usage(input_tokens=9, output_tokens=4)),
    ]
    data = encode(events)
    seen = check_stream(data)
    with client_of(data).responses.stream(model="public", input="hi") as stream:
        names = [event.type for event in stream]
        final = stream.get_final_response()
    assert names == [event["type"] for event in seen]
    assert final.output_text == "Hello"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    call, custom = final.output[2:]
    assert call.type == "function_call"
    assert (call.call_id, call.arguments) == ("toolu_1", '{"a":1}')
    assert custom.type == "custom_tool_call"
    assert (custom.call_id, custom.input) == ("toolu_2", "*** Begin\n*** End")
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.total_tokens) == (9, 13)


def test_the_sdk_raises_on_an_error_and_codex_reads_the_failed_response() -> None:
    error = UpstreamError("too long", status=400, error_class="ContextWindowExceededError", param="input")
    data = encode([Started(id="a", model="m"), PartStarted(Text(text=""), 0), Delta("Hel")], error)
    *_, event, failed = check_stream(data)
    assert (event["type"], event["code"], event["message"]) == ("error", "context_length_exceeded", "too long")
    assert failed["response"]["error"] == {"code": "context_length_exceeded", "message": "too long"}
    with pytest.raises(openai.APIError, match="too long"):
        list(client_of(data).responses.create(model="m", input="x", stream=True))


def test_an_error_before_anything_else_is_a_legal_stream_as_well() -> None:
    *_, event, failed = check_stream(encode([], Overloaded("later")))
    assert event["error"]["message"] == "later"
    assert failed["response"]["error"]["code"] == "server_error"


def test_after_the_end_nothing_is_written() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    assert encoder.close(None)
    assert encoder.close(Overloaded("late")) == b""


def test_opaque_items_of_this_api_survive_and_others_are_left_out() -> None:
    events = decode(stream_of("agent"))
    whole = json.loads((CORPUS / "answer_agent.json").read_text())
    done = check_stream(encode(events))[-1]["response"]["output"]
    assert [item for item in done if item["type"] == "web_search_call"] == [whole["output"][1]]
    other = Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(b"{}"))
    assert check_stream(encode([Started(id="a", model="m"), PartStarted(other, 0), PartEnded(), Stopped("end")]))


def test_only_the_first_of_several_answers_is_written() -> None:
    events: list[Event] = [Started(id="a", model="m")]
    for number in (0, 1):
        events += [
            PartStarted(Text(text=""), 0, number),
            Delta(str(number), number),
            PartEnded(number),
            Stopped("end", None, number),
        ]
    last = check_stream(encode(events))[-1]
    assert [part["text"] for item in last["response"]["output"] for part in item["content"]] == ["0"]


def test_a_part_may_come_with_its_text() -> None:
    events: list[Event] = [
        Started(id="a", model="m", usage=Usage(input_tokens=3)),
        Started(id="b", model="m"),
        PartStarted(Text(text="whole"), 0),
        PartEnded(),
        PartStarted(ToolCall(id="c", name="f", arguments="{}", seal=Seal("gemini", "T")), 1),
        PartEnded(),
        PartStarted(Media(kind="audio", data="UklG"), 2),
        Delta("lost"),
        PartEnded(),
        PartStarted(Thinking(id="rs_1", text="raw"), 3),
        PartEnded(),
        PartStarted(Thinking(id="rs_1", is_summary=True), 4),
        Delta("sum"),
        PartEnded(),
        Stopped("end"),
    ]
    output = check_stream(encode(events))[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "reasoning", "reasoning"]
    assert output[3]["content"] == [{"type": "reasoning_text", "text": "raw"}]
    assert output[3]["summary"] == [{"type": "summary_text", "text": "sum"}]


def test_events_that_have_no_place_are_passed_over() -> None:
    begun: list[Event] = [Started(id="a", model="m")]
    lost: list[Event] = [
        Delta("lost"),
        Sealed(Seal("gemini", "S")),
        Cited(Citation(url="https://e.example")),
        PartEnded(),
        PartStarted(ToolResult(call_id="c", parts=[]), 0),
        PartEnded(),
        PartStarted(Thinking(is_redacted=True), 1),
        Delta("lost"),
        PartEnded(),
    ]
    output = check_stream(encode([*begun, *lost, Stopped("end")]))[-1]["response"]["output"]
    assert [(item["type"], item["summary"]) for item in output] == [("reasoning", [])]


def test_ends_and_pieces_of_items_that_are_not_open_are_skipped() -> None:
    note = {"type": "url_citation", "url": "https://e.example"}
    assert (
        decode(
            sse(
                {"type": "response.content_part.done", "output_index": 0, "part": {"type": "output_text"}},
                {"type": "response.content_part.added", "output_index": 0},
                {"type": "response.output_text.done", "output_index": 0, "text": "x"},
                {"type": "response.refusal.done", "output_index": 0, "refusal": "x"},
                {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": note},
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "x"},
                {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "x"},
                {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call"}},
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "x"},
                {"type": "response.output_text.delta", "output_index": 1, "delta": "waits"},
            )
        )
        == []
    )


def test_ends_before_anything_began_are_skipped() -> None:
    for kind in ("output_text", "refusal", "function_call_arguments"):
        assert decode(sse({"type": f"response.{kind}.done", "output_index": 0, "text": "x"})) == []


@given(event_sequences())
def test_every_event_of_every_answer_is_legal_and_of_an_official_type(sequence: tuple[Answer, list[Event]]) -> None:
    answer, events = sequence
    data = encode(events)
    seen = check_stream(data)
    for event in seen:
        EVENT.validate_python(event)
    whole = json.loads(DIALECT.render_answer(answer, OPTIONS))
    Response.model_validate(whole)
    assert seen[-1]["response"] == whole


@given(event_sequences(), st.data())
def test_a_stream_cut_anywhere_is_closed_legally(sequence: tuple[Answer, list[Event]], data: st.DataObject) -> None:
    _, events = sequence
    cut = data.draw(st.integers(0, len(events)))
    failed = check_stream(encode(events[:cut], Overloaded("the provider left")))[-1]
    assert failed["type"] == "response.failed"
    ended = check_stream(encode(events[:cut]))[-1]
    assert ended["type"] in ("response.completed", "response.incomplete")


@given(event_sequences())
def test_what_is_written_is_read_again_as_the_same_answer(sequence: tuple[Answer, list[Event]]) -> None:
    _, events = sequence
    data = encode(events)
    decoded = decode(data)
    check_events(decoded)
    whole = json.dumps(check_stream(data)[-1]["response"]).encode()
    assert shape(assemble(decoded)) == shape(DIALECT.parse_answer(whole))


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"type": "response.created", "response": {"id": "a", "status": "completed", "output": []}}],
        [{"type": "response.output_text.delta", "output_index": 0}],
    ],
)
def test_the_checker_itself_refuses(events: list[dict[str, Any]]) -> None:
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    with pytest.raises(Illegal):
        check_stream(sse(*numbered))
