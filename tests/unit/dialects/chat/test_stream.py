"""Chat streams through the middle form, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.answers import answers
from tests.support.grammar_chat import check_stream
from tests.support.grammar_middle import check_events

from tollway.core.errors import TollwayError
from tollway.core.usage import Usage
from tollway.dialects.chat import DIALECT
from tollway.dialects.generation.answer import (
    Answer,
    Assembler,
    Choice,
    Event,
    Failed,
    Metered,
    Stopped,
    events_of,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Part, Refusal, Seal, Text, Thinking, ToolCall

OPTIONS = StreamOptions(model="m", call_id="c", created=1, wants_usage=True)


def stream(*chunks: dict[str, Any] | str) -> bytes:
    lines = (chunk if isinstance(chunk, str) else json.dumps({"id": "r1", "model": "m", **chunk}) for chunk in chunks)
    return b"".join(f"data: {line}\n\n".encode() for line in lines)


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def call(index: int | None, arguments: str = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | {name: fields.pop(name) for name in ("name",) if name in fields}
    return {**({} if index is None else {"index": index}), **fields, "function": function}


def decode(data: bytes, size: int | None = None) -> list[Event]:
    decoder = DIALECT.decoder()
    events: list[Event] = []
    for start in range(0, len(data), size or len(data) or 1):
        events += decoder.feed(data[start : start + (size or len(data))])
    return events + decoder.end()


def assembled(events: list[Event]) -> Answer:
    check_events(events)
    assembler = Assembler("chat")
    for event in events:
        assembler.add(event)
    return assembler.answer()


def written(answer: Answer) -> bytes:
    encoder = DIALECT.encoder(OPTIONS)
    return encoder.push(events_of(answer)) + encoder.close(None)


@given(answers(), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_again_however_it_is_split(answer: Answer, size: int) -> None:
    data = written(answer)
    check_stream(data, wants_usage=True)
    assert assembled(decode(data, size)) == answer


@given(answers())
@settings(max_examples=100, deadline=None)
def test_a_whole_answer_says_the_same_as_its_stream(answer: Answer) -> None:
    assert DIALECT.parse_answer(DIALECT.render_answer(answer, OPTIONS)) == answer


@given(answers(), st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_a_stream_that_is_cut_ends_with_an_error_that_is_legal(answer: Answer, cut: int) -> None:
    encoder = DIALECT.encoder(OPTIONS)
    events = events_of(answer)
    sent = encoder.push(events[: cut % len(events)])
    chunks = check_stream(sent + encoder.close(TollwayError("cut")), wants_usage=True)
    assert chunks[-1]["error"]["message"] == "cut"
    assert encoder.close(None) == b""


def test_interleaved_pieces_of_parallel_calls_are_sorted_out() -> None:
    events = decode(
        stream(
            delta(role="assistant", content=None, tool_calls=[call(0, id="a", name="f")]),
            delta(tool_calls=[call(1, id="b", name="g")]),
            delta(tool_calls=[call(0, '{"x":')]),
            delta(tool_calls=[call(1, '{"y":')]),
            delta(tool_calls=[call(0, "1}"), call(1, "2}")]),
            delta("tool_calls"),
            "[DONE]",
        )
    )
    assert assembled(events).choices[0].parts == [
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments='{"y":2}'),
    ]


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_numbers_all_alike_are_told_apart_by_their_ids(index: int | None) -> None:
    events = decode(
        stream(
            delta(tool_calls=[call(index, "{}", id="a", name="f")]),
            delta(tool_calls=[call(index, '{"n":1}', id="b", name="f")]),
            delta("stop"),
            "[DONE]",
        )
    )
    answer = assembled(events)
    assert [(part.id, part.arguments) for part in answer.choices[0].parts if isinstance(part, ToolCall)] == [
        ("a", "{}"),
        ("b", '{"n":1}'),
    ]
    assert answer.choices[0].stop == "tool_use"


def test_a_name_that_comes_late_and_an_id_that_never_comes() -> None:
    events = decode(
        stream(
            delta(tool_calls=[call(0, '{"a":')]),
            delta(tool_calls=[call(0, "1}", name="f")]),
            delta("tool_calls"),
            "[DONE]",
        )
    )
    assert assembled(events).choices[0].parts == [ToolCall(id="call_r1_0", name="f", arguments='{"a":1}')]


def test_thoughts_texts_and_refusals_are_parts_of_their_own() -> None:
    events = decode(
        stream(
            delta(role="assistant", content=""),
            delta(reasoning_content="h"),
            delta(reasoning="m"),
            delta(content="Hi"),
            delta(refusal="No"),
            delta("stop"),
            "[DONE]",
        )
    )
    assert assembled(events).choices[0].parts == [Thinking(text="hm"), Text(text="Hi"), Refusal(text="No")]


def test_a_signature_seals_the_thoughts_before_it() -> None:
    answer = Answer(
        origin="chat",
        id="r1",
        model="m",
        created=1,
        choices=[],
        usage=Usage(input_tokens=1, output_tokens=1),
    )
    answer.choices = [
        Choice(
            parts=[
                Thinking(text="hm", seal=Seal("anthropic", "s")),
                Thinking(seal=Seal("openai", "e"), is_redacted=True),
                Text(text="Hi"),
            ]
        )
    ]
    assert assembled(decode(written(answer))).choices == answer.choices
    assert DIALECT.parse_answer(DIALECT.render_answer(answer, OPTIONS)).choices == answer.choices


def test_an_error_in_the_stream_is_a_failure_with_its_status() -> None:
    events = decode(stream(delta(content="H"), {"error": {"message": "busy", "code": 429}}))
    assert isinstance(events[-1], Failed)
    assert (events[-1].error.status, "busy" in events[-1].error.message) == (429, True)


def test_a_body_that_ends_without_a_word_has_no_end() -> None:
    events = decode(stream(delta(content="H")))
    assert not any(isinstance(event, Stopped) for event in events)


def test_pings_junk_and_empty_deltas_are_passed_over() -> None:
    data = b": ping\n\n" + stream(delta(), "not json", {"choices": []}, delta(content="H"), delta("stop"), "[DONE]")
    assert assembled(decode(data)).choices[0].parts == [Text(text="H")]


def test_the_last_usage_counts() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    events = decode(stream({**delta(content="H"), "usage": None}, delta("stop"), {"choices": [], "usage": usage}))
    assert [event.usage for event in events if isinstance(event, Metered)] == [
        Usage(input_tokens=5, cache_read_tokens=3, output_tokens=2)
    ]


def test_a_signature_whose_thoughts_are_omitted_stays_one_and_redacted_thoughts_stay_redacted() -> None:
    parts: list[Part] = [
        Thinking(seal=Seal("anthropic", "signature")),
        Thinking(seal=Seal("anthropic", "cipher"), is_redacted=True),
        Text(text="Hi"),
    ]
    answer = Answer(origin="messages", id="r1", model="m", created=1, choices=[Choice(parts=parts)])
    whole = json.loads(DIALECT.render_answer(answer, OPTIONS))["choices"][0]["message"]["thinking_blocks"]
    assert whole == [
        {"type": "thinking", "thinking": "", "signature": "signature"},
        {"type": "redacted_thinking", "data": "cipher"},
    ]
    chunks = check_stream(written(answer), wants_usage=True)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [each for delta_ in deltas for each in delta_.get("thinking_blocks", ())] == whole
