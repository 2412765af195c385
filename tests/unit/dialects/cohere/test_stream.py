"""Streams of Cohere read into events; documented bytes, split anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.answers import answers
from tests.support.grammar_middle import check_events

from tollway.core.usage import Usage
from tollway.dialects.cohere import DIALECT
from tollway.dialects.generation.answer import Answer, Assembler, Event, Failed, Metered, Stopped
from tollway.dialects.generation.request import Text, Thinking, ToolCall

USAGE = {"billed_units": {"input_tokens": 17, "output_tokens": 5}, "tokens": {"input_tokens": 83, "output_tokens": 63}}


def stream(*events: dict[str, Any] | str) -> bytes:
    documents = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
    return "".join(f"event: e\ndata: {document}\n\n" for document in documents).encode()


def message(type_: str, index: int | None = None, **fields: Any) -> dict[str, Any]:
    at = {} if index is None else {"index": index}
    return {"type": type_, **at, "delta": {"message": fields}}


def call_start(index: int, **fields: Any) -> dict[str, Any]:
    function = {"name": fields.pop("name"), "arguments": fields.pop("arguments", "")}
    return message("tool-call-start", index, tool_calls={**fields, "type": "function", "function": function})


def call_piece(index: int, arguments: str) -> dict[str, Any]:
    return message("tool-call-delta", index, tool_calls={"function": {"arguments": arguments}})


def text(piece: str, index: int = 0) -> dict[str, Any]:
    return message("content-delta", index, content={"text": piece})


START = {
    "id": "r1",
    **message("message-start", role="assistant", content=[], tool_plan="", tool_calls=[], citations=[]),
}
TEXT = message("content-start", 0, content={"type": "text", "text": ""})


def end(reason: str = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **fields}}


def decode(data: bytes, size: int | None = None) -> list[Event]:
    decoder = DIALECT.decoder()
    step = size or len(data)
    events = [event for start in range(0, len(data), step) for event in decoder.feed(data[start : start + step])]
    return events + decoder.end()


def assembled(events: list[Event]) -> Answer:
    check_events(events)
    assembler = Assembler("cohere")
    for event in events:
        assembler.add(event)
    return assembler.answer()


def cited(start: int, **fields: Any) -> dict[str, Any]:
    source = {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "title": "Tall", "snippet": "emperor"}}
    return {"start": start, "end": start + 7, "text": "Emperor", "sources": [source], "type": "TEXT_CONTENT", **fields}


PARALLEL = stream(
    START,
    message("tool-plan-delta", tool_plan="I will "),
    message("tool-plan-delta", tool_plan="ask twice."),
    call_start(0, id="get_weather_a", name="get_weather"),
    call_piece(0, '{"city":'),
    call_piece(0, '"Zürich"}'),
    {"type": "tool-call-end", "index": 0},
    call_start(1, id="get_weather_b", name="get_weather"),
    call_piece(1, '{"city":"Bern"}'),
    {"type": "tool-call-end", "index": 1},
    end("TOOL_CALL"),
    "[DONE]",
)
CITED = stream(
    START,
    message("content-start", 0, content={"type": "thinking", "thinking": ""}),
    message("content-delta", 0, content={"thinking": "Penguins…"}),
    {"type": "content-end", "index": 0},
    message("content-start", 1, content={"type": "text", "text": ""}),
    text("Emperor", 1),
    text(" penguins.", 1),
    message("citation-start", 0, citations=cited(0, content_index=1)),
    {"type": "citation-end", "index": 0},
    {"type": "content-end", "index": 1},
    message("citation-start", 1, citations=cited(8, content_index=1)),
    {"type": "citation-end", "index": 1},
    message("citation-start", 2, citations=cited(0, type="PLAN")),
    end(),
)


@pytest.mark.parametrize("data", [PARALLEL, CITED])
@given(size=st.integers(1, 200))
def test_a_stream_split_anywhere_gives_the_same_events(data: bytes, size: int) -> None:
    assert decode(data, size) == decode(data)


def test_parallel_calls_follow_the_plan_with_their_own_ids() -> None:
    answer = assembled(decode(PARALLEL))
    assert answer.choices[0].parts == [
        Thinking(text="I will ask twice."),
        ToolCall(id="get_weather_a", name="get_weather", arguments='{"city":"Zürich"}'),
        ToolCall(id="get_weather_b", name="get_weather", arguments='{"city":"Bern"}'),
    ]
    assert (answer.id, answer.choices[0].stop) == ("r1", "tool_use")
    assert answer.usage == Usage(input_tokens=17, output_tokens=5)


def test_interleaved_calls_are_sorted_out() -> None:
    data = stream(
        START,
        call_start(0, id="a", name="f"),
        call_start(1, name="g", arguments="{"),
        call_piece(1, '"y":2'),
        call_piece(0, '{"x":1}'),
        call_piece(7, "of nobody"),
        {"type": "tool-call-end", "index": 0},
        call_piece(1, "}"),
        {"type": "tool-call-end", "index": 7},
        end("COMPLETE"),
    )
    answer = assembled(decode(data))
    assert answer.choices[0].parts == [
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="call_r1_1", name="g", arguments='{"y":2}'),
    ]
    assert answer.choices[0].stop == "tool_use"


def test_citations_belong_to_the_text_even_after_its_end() -> None:
    thought, cited_text = assembled(decode(CITED)).choices[0].parts
    assert thought == Thinking(text="Penguins…")
    assert isinstance(cited_text, Text)
    assert cited_text.text == "Emperor penguins."
    found = [(each.title, each.cited_text, each.start, each.end) for each in cited_text.citations]
    assert found == [("Tall", "emperor", 0, 7), ("Tall", "emperor", 8, 15)]


@pytest.mark.parametrize(("reason", "status"), [("ERROR", 500), ("TIMEOUT", 504)])
def test_an_answer_that_failed_is_a_failure_after_its_usage(reason: str, status: int) -> None:
    events = decode(stream(START, TEXT, text("H"), end(reason, error="out of breath")))
    check_events(events)
    assert isinstance(events[-2], Metered)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.status == status
    assert "out of breath" in events[-1].error.message


def test_an_error_in_place_of_an_event_is_a_failure() -> None:
    events = decode(stream(START, {"message": "internal error"}, end()))
    assert isinstance(events[-1], Failed)
    assert "internal error" in events[-1].error.message


def test_a_body_that_ends_without_a_word_has_no_end() -> None:
    events = decode(stream(START, TEXT, text("H")))
    check_events(events, is_whole=False)
    assert not any(isinstance(event, Stopped) for event in events)


def test_what_nobody_knows_is_passed_over() -> None:
    odd = ['{"type":"debug","prompt":"x"}', "junk", '{"type":"content-delta"}', '{"type":"tool-plan-delta"}']
    odd += ['{"type":"tool-call-delta"}', '{"type":"citation-start"}', '{"type":"content-delta","delta":{}}']
    early = message("citation-start", 0, citations=cited(0))
    broken = message("citation-start", 0, citations={"sources": 1})
    answer = assembled(decode(stream(START, *odd, early, TEXT, text(""), text("Hi"), broken, end("MAX_TOKENS"))))
    assert answer.choices[0].parts == [Text(text="Hi")]
    assert answer.choices[0].stop == "length"


def test_probabilities_of_a_piece_come_with_it() -> None:
    piece = {**text("Hi"), "logprobs": {"text": "Hi", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}}
    choice = assembled(decode(stream(START, TEXT, piece, end("STOP_SEQUENCE")))).choices[0]
    assert choice.logprobs is not None
    assert [(each.token, each.logprob) for each in choice.logprobs] == [("Hi", -0.75)]
    assert choice.stop == "stop_sequence"


def whole(answer: Answer) -> tuple[bytes, bytes]:
    """An answer as Cohere would say it, whole and as a stream."""
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = [{**START, "id": answer.id}]
    for part in answer.choices[0].parts:
        if isinstance(part, ToolCall):
            index = len(calls)
            function = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": function})
            events += [call_start(index, id=part.id, name=part.name)]
            events += [call_piece(index, letter) for letter in part.arguments]
            events += [{"type": "tool-call-end", "index": index}]
        elif isinstance(part, Text | Thinking):
            kind = "text" if isinstance(part, Text) else "thinking"
            index = len(content)
            content.append({"type": kind, kind: part.text})
            events += [message("content-start", index, content={"type": kind, kind: ""})]
            events += [message("content-delta", index, content={kind: letter}) for letter in part.text]
            events += [{"type": "content-end", "index": index}]
    reason = {"tool_use": "TOOL_CALL", "length": "MAX_TOKENS"}.get(answer.choices[0].stop, "COMPLETE")
    usage = {
        "billed_units": {
            "input_tokens": float(answer.usage.input_tokens),
            "output_tokens": float(answer.usage.output_tokens),
        },
        "cached_tokens": answer.usage.cache_read_tokens,
    }
    body = {
        "id": answer.id,
        "finish_reason": reason,
        "message": {"role": "assistant", "content": content, "tool_calls": calls},
        "usage": usage,
    }
    end_event = {"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}}
    return json.dumps(body).encode(), stream(*events, end_event)


@given(answers(), st.integers(1, 60))
def test_a_stream_and_a_whole_answer_say_the_same(answer: Answer, size: int) -> None:
    body, data = whole(answer)
    parsed = DIALECT.parse_answer(body)
    assert assembled(decode(data, size)) == parsed
    assert parsed.choices == answer.choices
    assert (parsed.usage.input_tokens, parsed.usage.cache_read_tokens, parsed.usage.output_tokens) == (
        answer.usage.input_tokens,
        answer.usage.cache_read_tokens,
        answer.usage.output_tokens,
    )


def test_a_last_event_without_its_blank_line_counts_and_calls_may_lack_their_end() -> None:
    data = stream(call_start(0, id="a", name="f"), call_piece(0, "{}"), call_start(1, id="b", name="g"), end())
    answer = assembled(decode(data.rstrip()))
    assert answer.choices[0].parts == [
        ToolCall(id="a", name="f", arguments="{}"),
        ToolCall(id="b", name="g", arguments=""),
    ]
    assert answer.id == ""
