"""Streams of the Messages API through the middle form, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.answers import answers, texts, usages
from tests.support.grammar_messages import Illegal, check_stream
from tests.support.grammar_middle import check_events

from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.generation.answer import (
    Answer,
    Assembler,
    Choice,
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
    events_of,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import (
    Citation,
    Media,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollway.dialects.messages import DIALECT

OPTIONS = StreamOptions(model="public", call_id="c1")
RECORDED = Path(__file__).parents[3] / "contract/dialects/messages"
RAW_SEARCH = b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}'


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = event("message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}})


def block(number: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    return (
        event("content_block_start", index=number, content_block=content)
        + b"".join(event("content_block_delta", index=number, delta=delta) for delta in deltas)
        + event("content_block_stop", index=number)
    )


def ended(reason: str = "end_turn", **delta: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, **delta}, usage={"output_tokens": 5}) + event(
        "message_stop"
    )


def decode(data: bytes, size: int | None = None) -> list[Event]:
    decoder = DIALECT.decoder()
    events: list[Event] = []
    for start in range(0, len(data), size or len(data) or 1):
        events += decoder.feed(data[start : start + (size or len(data))])
    return events + decoder.end()


def assembled(events: list[Event]) -> Answer:
    check_events(events)
    assembler = Assembler("messages")
    for each in events:
        assembler.add(each)
    return assembler.answer()


def written(answer: Answer) -> bytes:
    encoder = DIALECT.encoder(OPTIONS)
    return encoder.push(events_of(answer)) + encoder.close(None)


def final_message(stream: bytes) -> anthropic.types.Message:
    """What the vendor's own SDK makes of a stream."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    )
    client = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport), max_retries=0)
    with client.messages.stream(
        model="public", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
    ) as open_stream:
        return open_stream.get_final_message()


seals = st.sampled_from([None, Seal("anthropic", "sig=="), Seal("openai", "enc.rypted"), Seal("gemini", "th/ought")])
citations = st.builds(
    lambda url, title: Citation(
        url=url,
        title=title,
        cited_text="c",
        origin="messages",
        raw=msgspec.Raw(
            json.dumps(
                {
                    "type": "web_search_result_location",
                    "url": url,
                    "title": title,
                    "cited_text": "c",
                    "encrypted_index": "",
                },
                separators=(",", ":"),
            ).encode()
        ),
    ),
    st.sampled_from(["https://a.example", "https://b.example"]),
    st.sampled_from(["A", "B"]),
)
gemini = st.sampled_from([None, Seal("gemini", "s1"), Seal("gemini", "s.2")])
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(lambda text, seal, cited: Text(text=text, seal=seal, citations=tuple(cited)), texts, gemini,
              st.lists(citations, max_size=2)),
    st.builds(lambda text, seal: Thinking(text=text, seal=seal), texts, seals),
    st.builds(
        lambda data, origin: Thinking(seal=Seal(origin, data), is_redacted=True),
        st.sampled_from(["a", "b=="]),
        st.sampled_from(["anthropic", "openai", "gemini"]),
    ),
    st.builds(lambda: Thinking(seal=Seal("anthropic", "omitted"))),
    st.builds(
        lambda id_, text, seal: ToolCall(id=f"toolu_{id_}", name="f", arguments=text, seal=seal),
        st.uuids().map(lambda id_: id_.hex),
        st.sampled_from(["{}", '{"a":1}', '{"b":["é"]}']),
        gemini,
    ),
    st.builds(lambda: Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(RAW_SEARCH))),
)  # fmt: skip
rich_answers = st.builds(
    lambda found, stop, usage: Answer(
        origin="messages", id="msg_1", model="public", choices=[Choice(parts=found, stop=stop)], usage=usage
    ),
    st.lists(parts, max_size=6),
    st.sampled_from(["end", "length", "tool_use", "stop_sequence", "refusal", "pause", "context"]),
    usages,
)


@given(rich_answers, st.integers(1, 60))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_legal_and_read_again_however_it_is_split(answer: Answer, size: int) -> None:
    data = written(answer)
    check_stream(data)
    events = decode(data, size)
    assert events == decode(data)
    assert DIALECT.render_answer(assembled(events), OPTIONS) == DIALECT.render_answer(answer, OPTIONS)


@given(rich_answers)
@settings(max_examples=150, deadline=None)
def test_a_whole_answer_says_the_same_as_its_stream_and_comes_back_as_it_was(answer: Answer) -> None:
    body = DIALECT.render_answer(answer, OPTIONS)
    anthropic.types.Message.model_validate_json(body)
    again = DIALECT.parse_answer(body)
    assert again == answer
    assert DIALECT.render_answer(again, OPTIONS) == body


@given(rich_answers)
@settings(max_examples=60, deadline=None)
def test_the_official_sdk_puts_the_stream_together_to_the_whole_answer(answer: Answer) -> None:
    message = final_message(written(answer))
    whole = anthropic.types.Message.model_validate_json(DIALECT.render_answer(answer, OPTIONS))
    assert [each.to_dict() for each in message.content] == [each.to_dict() for each in whole.content]
    assert (message.id, message.model, message.stop_reason) == (whole.id, whole.model, whole.stop_reason)
    assert message.usage.to_dict() == whole.usage.to_dict()


@given(answers())
@settings(max_examples=100, deadline=None)
def test_answers_of_other_formats_survive(answer: Answer) -> None:
    again = assembled(decode(written(answer)))
    assert again.choices == answer.choices
    assert again.usage == answer.usage
    assert DIALECT.parse_answer(DIALECT.render_answer(answer, OPTIONS)).choices == answer.choices


@given(rich_answers, st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_a_stream_that_is_cut_ends_with_an_error_or_properly_and_then_says_nothing(answer: Answer, cut: int) -> None:
    events = events_of(answer)
    for error in (TollwayError("cut", status=529), None):
        encoder = DIALECT.encoder(OPTIONS)
        sent = encoder.push(events[: cut % len(events)])
        documents = check_stream(sent + encoder.close(error))
        assert documents[-1] == (
            {"type": "message_stop"}
            if error is None
            else {
                "type": "error",
                "error": {"type": "overloaded_error", "message": "cut", "code": "internal_server_error"},
            }
        )
        assert encoder.close(error) == b""


PIECES = events_of(
    Answer(
        origin="chat",
        id="1",
        model="m",
        choices=[
            Choice(
                parts=[
                    Text(text="1"),
                    Refusal(text="1"),
                    Thinking(text="1", seal=Seal("openai", "s")),
                    ToolCall(id="t", name="n", arguments="1", seal=Seal("gemini", "s")),
                    ToolCall(id="t", name="n", arguments="1", is_custom=True),
                    Media(kind="image", url="https://x"),
                    Opaque(origin="gemini", kind="code", raw=msgspec.Raw(b"{}")),
                    Opaque(origin="messages", kind="server_tool_use", raw=msgspec.Raw(RAW_SEARCH)),
                ]
            )
        ],
    )
)[1:]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
@settings(max_examples=200, deadline=None)
def test_even_events_out_of_order_never_make_an_illegal_stream(events: list[Event]) -> None:
    encoder = DIALECT.encoder(OPTIONS)
    check_stream(encoder.push([Started(id="1", model="m"), *events]) + encoder.close(None))


def test_thoughts_texts_and_calls_of_a_recorded_stream() -> None:
    answer = assembled(decode((RECORDED / "tools.sse").read_bytes(), 7))
    assert answer.choices[0].parts == [
        Thinking(text="Two cities, two calls.", seal=Seal("anthropic", "EqQBsig==")),
        Text(text="Let me look."),
        ToolCall(id="toolu_01", name="weather", arguments='{"city": "Bern"}'),
        ToolCall(id="toolu_02", name="now", arguments=""),
    ]
    assert answer.choices[0].stop == "tool_use"
    assert answer.usage == Usage(
        input_tokens=1321,
        cache_read_tokens=1000,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
        output_tokens=89,
        reasoning_tokens=12,
    )


def test_what_is_known_of_the_prompt_comes_with_the_start() -> None:
    started = decode((RECORDED / "tools.sse").read_bytes())[0]
    assert isinstance(started, Started)
    assert (started.id, started.model, started.usage.input_tokens) == ("msg_01", "claude-sonnet-4-6", 1321)


def test_a_servers_tool_is_told_when_its_input_is_whole() -> None:
    data = (RECORDED / "search.sse").read_bytes()
    answer = assembled(decode(data))
    call, result, text, thought = answer.choices[0].parts
    assert isinstance(call, Opaque)
    assert isinstance(result, Opaque)
    assert isinstance(text, Text)
    assert msgspec.json.decode(call.raw)["input"] == {"query": "weather"}
    assert (result.kind, text.citations[0].url) == ("web_search_tool_result", "https://example.com/w")
    assert thought == Thinking(seal=Seal("anthropic", "EmwKcipher"), is_redacted=True)
    assert (answer.choices[0].stop, answer.usage.input_tokens, answer.usage.cache_read_tokens) == ("pause", 16, 4)
    check_stream(written(answer))
    message = final_message(written(answer))
    assert [each.type for each in message.content] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "redacted_thinking",
    ]
    assert message.content[0].to_dict()["input"] == {"query": "weather"}


def test_the_input_of_a_servers_tool_that_was_cut_stays_empty() -> None:
    tool = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    cut = block(0, tool, {"type": "input_json_delta", "partial_json": '{"query":'})
    (part,) = assembled(decode(START + cut + ended("max_tokens"))).choices[0].parts
    assert isinstance(part, Opaque)
    assert msgspec.json.decode(part.raw)["input"] == {}


def test_a_compaction_is_whole() -> None:
    data = START + block(
        0, {"type": "compaction", "content": None}, {"type": "compaction_delta", "content": "In short"}
    )
    (part,) = assembled(decode(data + ended())).choices[0].parts
    assert isinstance(part, Opaque)
    assert msgspec.json.decode(part.raw) == {"type": "compaction", "content": "In short"}


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("end_turn", "end"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_use"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context"),
        ("something_new", "end"),
    ],
)
def test_stop_reasons(wire: str, reason: str) -> None:
    assert assembled(decode(START + ended(wire))).choices == [Choice(parts=[], stop=reason)]  # type: ignore[arg-type]


def test_the_stop_sequence_and_what_is_said_of_a_refusal_come_through() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    events = decode(START + ended("refusal", stop_sequence="END", stop_details=details))
    (stopped,) = [each for each in events if isinstance(each, Stopped)]
    assert (stopped.sequence, msgspec.json.decode(stopped.details or b"")) == ("END", details)
    encoder = DIALECT.encoder(OPTIONS)
    end = check_stream(encoder.push(events) + encoder.close(None))[-2]
    assert end["delta"] == {"stop_reason": "refusal", "stop_sequence": "END", "stop_details": details}


def test_a_stop_that_only_the_last_event_says() -> None:
    assert assembled(decode(START + event("message_stop"))).choices == [Choice(parts=[], stop="end")]


@pytest.mark.parametrize(
    ("kind", "status"), [("overloaded_error", 529), ("rate_limit_error", 429), ("api_error", 500), ("new_error", 500)]
)
def test_an_error_in_the_stream_is_a_failure_with_its_status(kind: str, status: int) -> None:
    events = decode(START + event("error", error={"type": kind, "message": "Overloaded"}))
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, UpstreamError)
    assert (events[-1].error.status, events[-1].error.is_retryable) == (status, True)
    assert "Overloaded" in events[-1].error.message


def test_nothing_is_read_after_the_end() -> None:
    decoder = DIALECT.decoder()
    decoder.feed(START + ended())
    assert decoder.is_done
    assert decoder.feed(START + block(0, {"type": "text", "text": "x"})) == []


@pytest.mark.parametrize(
    "junk",
    [
        b"data: not json\n\n",
        b"data: []\n\n",
        event("content_block_start", index=0),
        event("content_block_delta", index=0),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "of no block"}),
        event("something_new", index=0),
        event("message_start"),
        START,
        b": comment\n\n",
    ],
)
def test_what_cannot_be_read_or_does_not_belong_is_passed_over(junk: bytes) -> None:
    text = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"})
    assert assembled(decode(START + junk + text + junk + ended())).choices[0].parts == [Text(text="Hi")]


@given(
    st.sampled_from(["tools.sse", "search.sse"]),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
    st.integers(1, 500),
)
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_never_raise_nor_make_an_illegal_sequence(
    name: str, damages: list[tuple[int, bytes]], size: int
) -> None:
    data = bytearray((RECORDED / name).read_bytes())
    for at, junk in damages:
        data[at % len(data) : at % len(data) + len(junk)] = junk
    check_events(decode(bytes(data), size), is_whole=False)


@given(st.sampled_from(["tools.sse", "search.sse"]), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_events_missing_or_out_of_order_never_make_an_illegal_sequence(name: str, random: Random) -> None:
    found = (RECORDED / name).read_bytes().split(b"\n\n")
    random.shuffle(found)
    data = b"".join(each + b"\n\n" for each in found[: random.randrange(len(found) + 1)])
    events = decode(START + data)
    check_events(events, is_whole=False)
    encoder = DIALECT.encoder(OPTIONS)
    sent = encoder.push(events)
    assert check_stream(sent + encoder.close(TollwayError("cut")), reads_inputs=False)


@pytest.mark.parametrize(
    "delta",
    [
        {"type": "thinking_delta", "thinking": "x"},
        {"type": "signature_delta", "signature": "x"},
        {"type": "input_json_delta", "partial_json": "x"},
    ],
)
def test_a_delta_of_another_kind_than_its_block_is_passed_over(delta: dict[str, Any]) -> None:
    data = START + block(0, {"type": "text", "text": "Hi"}, delta)
    assert assembled(decode(data + ended())).choices[0].parts == [Text(text="Hi")]


def test_a_result_of_a_tool_within_an_answer_takes_no_deltas() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "12"}
    data = START + block(0, result, {"type": "text_delta", "text": "x"}) + ended()
    assert assembled(decode(data)).choices[0].parts == [ToolResult(call_id="t", parts=[Text(text="12")])]


def test_a_block_after_the_stop_is_passed_over() -> None:
    stop = event("message_delta", delta={"stop_reason": "end_turn"})
    data = START + stop + block(0, {"type": "text", "text": "Hi"}) + event("message_stop")
    assert assembled(decode(data)).choices == [Choice(parts=[])]


def test_nothing_comes_of_a_stream_without_a_start() -> None:
    assert decode(block(0, {"type": "text", "text": "x"}) + ended()) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "tool_use", "name": "f"},
        {"type": "text"},
        {"type": "image", "source": {"type": "base64"}},
        {"type": "text", "text": "x", "citations": [{"url": 5}]},
        {"no": "type"},
    ],
)
def test_a_block_that_is_broken_stays_as_it_is(broken: dict[str, Any]) -> None:
    (part,) = assembled(decode(START + block(0, broken) + ended())).choices[0].parts
    assert isinstance(part, Opaque)
    assert msgspec.json.decode(part.raw) == broken


def test_a_citation_that_is_broken_is_left_out() -> None:
    text = block(
        0, {"type": "text", "text": "Hi"}, {"type": "citations_delta", "citation": {"url": 5}}, {"type": "text_delta"}
    )
    assert assembled(decode(START + text + ended())).choices[0].parts == [Text(text="Hi")]


def test_a_block_that_begins_with_text_thoughts_or_a_picture() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    data = (
        START
        + block(0, {"type": "text", "text": "Hi"}, {"type": "text_delta", "text": " there"})
        + block(1, {"type": "thinking", "thinking": "hm", "signature": "s"})
        + block(2, picture)
    )
    assert assembled(decode(data + ended())).choices[0].parts == [
        Text(text="Hi there"),
        Thinking(text="hm", seal=Seal("anthropic", "s")),
        Media(kind="image", media_type="image/png", data="aGk="),
    ]


def test_a_block_that_was_never_ended_is_ended_by_the_next() -> None:
    first = event("content_block_start", index=0, content_block={"type": "text", "text": "a"})
    data = START + first + block(1, {"type": "text", "text": "b"}) + ended()
    assert assembled(decode(data)).choices[0].parts == [Text(text="a"), Text(text="b")]


def test_a_last_event_without_its_blank_line_counts() -> None:
    events = decode((START + ended()).rstrip(b"\n"))
    assert isinstance(events[-2], Stopped)


def test_pings_pass_once_the_message_has_begun() -> None:
    assert decode(event("ping")) == [Pinged()]
    encoder = DIALECT.encoder(OPTIONS)
    assert encoder.push([Pinged()]) == b""
    encoder.push([Started(id="", model="")])
    assert encoder.push([Pinged()]) == event("ping").replace(b": ", b":").replace(b"event:", b"event: ").replace(
        b"data:", b"data: "
    )


def test_the_start_has_the_usage_known_so_far_and_a_ping_follows() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    usage = Usage(input_tokens=10, cache_read_tokens=4, cache_write_tokens=2, cache_write_1h_tokens=1)
    start, ping = [
        json.loads(line[6:])
        for line in encoder.push([Started(id="", model="x", usage=usage)]).split(b"\n")
        if line.startswith(b"data: ")
    ]
    assert (start["message"]["id"], start["message"]["model"], ping["type"]) == ("msg_c1", "public", "ping")
    assert start["message"]["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 0,
    }


def test_usage_that_comes_after_the_stop_is_in_the_end() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    sent = encoder.push(
        [Started(id="1", model="m"), Stopped("length"), Metered(Usage(input_tokens=5, output_tokens=9))]
    )
    end = check_stream(sent + encoder.close(None))[-2]
    assert (end["delta"]["stop_reason"], end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (
        "max_tokens",
        5,
        9,
    )


def test_usage_that_does_not_add_up_is_not_negative() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    sent = encoder.push([Started(id="1", model="m", usage=Usage(input_tokens=5, cache_read_tokens=9))])
    assert check_stream(sent + encoder.close(None))[0]["message"]["usage"]["input_tokens"] == 0


def test_nothing_at_all_is_an_empty_message() -> None:
    message = final_message(DIALECT.encoder(OPTIONS).close(None))
    assert (message.content, message.stop_reason, message.id) == ([], "end_turn", "msg_c1")


def test_a_refusal_is_a_text_and_the_reason() -> None:
    answer = Answer(origin="chat", id="1", model="m", choices=[Choice(parts=[Refusal(text="No.")])])
    message = final_message(written(answer))
    assert (message.content[0].to_dict(), message.stop_reason) == ({"type": "text", "text": "No."}, "refusal")
    assert json.loads(DIALECT.render_answer(answer, OPTIONS))["stop_reason"] == "refusal"


def test_parts_without_content_become_no_blocks() -> None:
    answer = Answer(
        origin="chat",
        id="1",
        model="m",
        choices=[Choice(parts=[Text(text=""), Thinking(), Refusal(text=""), Text(text="a")])],
    )
    assert [one["index"] for one in check_stream(written(answer)) if one["type"] == "content_block_start"] == [0]
    assert len(json.loads(DIALECT.render_answer(answer, OPTIONS))["content"]) == 1


def test_a_custom_tools_text_is_an_object_with_one_field() -> None:
    call = ToolCall(id="c.1", name="patch", arguments="*** Begin", is_custom=True)
    answer = Answer(origin="responses", id="1", model="m", choices=[Choice(parts=[call], stop="tool_use")])
    (block_,) = final_message(written(answer)).content
    assert block_.to_dict() == {"type": "tool_use", "id": "c_1", "name": "patch", "input": {"input": "*** Begin"}}
    assert json.loads(DIALECT.render_answer(answer, OPTIONS))["content"] == [block_.to_dict()]


def test_only_the_first_of_several_answers_is_told() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    other: list[Event] = [
        PartStarted(Text(text=""), 0, 1),
        Delta("b", 1),
        Sealed(Seal("gemini", "s"), 1),
        PartEnded(1),
        Stopped("length", choice=1),
    ]
    sent = encoder.push([Started(id="1", model="m"), *other])
    assert [one["type"] for one in check_stream(sent + encoder.close(None))] == [
        "message_start",
        "ping",
        "message_delta",
        "message_stop",
    ]


def test_citations_without_an_address_are_left_out() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    events: list[Event] = [
        Started(id="1", model="m"),
        PartStarted(Text(text=""), 0),
        Delta("a"),
        Cited(Citation(title="none")),
        Cited(Citation(url="https://a.example")),
        PartEnded(),
    ]
    deltas = [one["delta"] for one in check_stream(encoder.push(events) + encoder.close(None)) if "delta" in one]
    assert [delta.get("type") for delta in deltas] == ["text_delta", "citations_delta", None]


def test_an_error_reaches_the_official_sdk_as_an_error() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    sent = encoder.push([Started(id="1", model="m"), PartStarted(Text(text=""), 0), Delta("a")])
    with pytest.raises(anthropic.APIStatusError, match="broken"):
        final_message(sent + encoder.close(TollwayError("broken")))


def test_the_checker_knows_what_is_illegal() -> None:
    start = check_stream(DIALECT.encoder(OPTIONS).close(None))[0]["message"]
    text = block(0, {"type": "text", "text": ""})
    begin = event("message_start", message=start)
    end = event(
        "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 0}
    ) + event("message_stop")
    for stream in (
        begin,
        text,
        begin + begin,
        begin + text + text + end,
        begin + block(1, {"type": "text", "text": ""}) + end,
        begin + block(0, {"type": "text", "text": ""}, {"type": "thinking_delta", "thinking": "x"}) + end,
        begin + event("content_block_stop", index=0) + end,
        begin + end + text,
        begin + event("message_stop"),
    ):
        with pytest.raises(Illegal):
            check_stream(stream)


def test_parts_that_begin_with_what_is_known_of_them() -> None:
    call = ToolCall(id="t", name="f", arguments='{"a":1}', seal=Seal("gemini", "s"))
    parts_: list[Part] = [Text(text="Hi"), Thinking(text="hm", seal=Seal("anthropic", "s")), call]
    encoder = DIALECT.encoder(OPTIONS)
    events: list[Event] = [Started(id="msg_1", model="m")]
    for number, part in enumerate(parts_):
        events += [PartStarted(part, number), PartEnded()]
    data = encoder.push([*events, Stopped("tool_use")]) + encoder.close(None)
    check_stream(data)
    whole = Answer(origin="chat", id="msg_1", model="m", choices=[Choice(parts=parts_, stop="tool_use")])
    assert data == written(whole)


def test_a_seal_of_thoughts_that_have_one_already_or_of_a_picture_is_passed_over() -> None:
    encoder = DIALECT.encoder(OPTIONS)
    again = Sealed(Seal("openai", "y"))
    events: list[Event] = [
        Started(id="1", model="m"),
        again,
        PartStarted(Thinking(is_redacted=True), 0),
        Sealed(Seal("openai", "x")),
        again,
        Delta("of a block that takes none"),
        PartEnded(),
        PartStarted(Media(kind="audio", data="aGk="), 1),
        again,
        Delta("of no block"),
        PartEnded(),
    ]
    starts = [one for one in check_stream(encoder.push(events) + encoder.close(None)) if "content_block" in one]
    assert [one["content_block"] for one in starts] == [{"type": "redacted_thinking", "data": "tollway.openai.x"}]


def test_deltas_that_say_nothing_are_passed_over() -> None:
    tool = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    data = START + block(0, tool, {"type": "something_new"})
    data += block(1, {"type": "text", "text": ""}, {"type": "something_new"}, {"type": "text_delta", "text": "a"})
    data += event("message_delta", delta={}) + event("message_delta") + ended()
    call, text = assembled(decode(data)).choices[0].parts
    assert isinstance(call, Opaque)
    assert msgspec.json.decode(call.raw) == tool
    assert text == Text(text="a")


def test_the_stream_may_end_without_a_start() -> None:
    assert decode(event("message_stop")) == []
