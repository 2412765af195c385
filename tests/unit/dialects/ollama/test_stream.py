"""Streams of Ollama read into events; documented lines, split anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.answers import answers
from tests.support.grammar_middle import check_events

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Answer, Assembler, Event, Failed, Stopped
from tollway.dialects.generation.request import Text, Thinking, ToolCall
from tollway.dialects.ollama import DIALECT

AT = "2025-05-27T22:54:57.641643123Z"


def lines(*chunks: dict[str, Any] | str) -> bytes:
    documents = (
        chunk if isinstance(chunk, str) else json.dumps({"model": "qwen3", "created_at": AT, **chunk})
        for chunk in chunks
    )
    return "".join(f"{document}\n" for document in documents).encode()


def said(done: Any = False, **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "", **fields}, "done": done}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


END = {**said(True), "done_reason": "stop", "total_duration": 1, "prompt_eval_count": 169, "eval_count": 15}
PARALLEL = lines(
    said(thinking="Two "),
    said(thinking="cities."),
    said(content="Let me "),
    said(content="see…"),
    said(tool_calls=[call("get_weather", city="Zürich"), call("get_weather", city="Bern")]),
    said(tool_calls=[call("get_time")]),
    END,
)


def decode(data: bytes, size: int | None = None) -> list[Event]:
    decoder = DIALECT.decoder()
    step = size or len(data)
    events = [event for start in range(0, len(data), step) for event in decoder.feed(data[start : start + step])]
    return events + decoder.end()


def assembled(events: list[Event]) -> Answer:
    check_events(events)
    assembler = Assembler("ollama")
    for event in events:
        assembler.add(event)
    return assembler.answer()


@given(size=st.integers(1, 200))
def test_a_stream_split_anywhere_gives_the_same_events(size: int) -> None:
    assert decode(PARALLEL, size) == decode(PARALLEL)


def test_calls_without_ids_get_some_that_differ() -> None:
    answer = assembled(decode(PARALLEL))
    assert answer.choices[0].parts == [
        Thinking(text="Two cities."),
        Text(text="Let me see…"),
        ToolCall(id="call_20250527225457641643_0", name="get_weather", arguments='{"city": "Z\\u00fcrich"}'),
        ToolCall(id="call_20250527225457641643_1", name="get_weather", arguments='{"city": "Bern"}'),
        ToolCall(id="call_20250527225457641643_2", name="get_time", arguments="{}"),
    ]
    assert answer.choices[0].stop == "tool_use"
    assert (answer.model, answer.created) == ("qwen3", 1748386497)
    assert answer.usage == Usage(input_tokens=169, output_tokens=15)


def test_an_id_that_the_server_gave_is_kept() -> None:
    [part] = assembled(decode(lines(said(tool_calls=[{"id": "call_x", **call("f")}]), END))).choices[0].parts
    assert part == ToolCall(id="call_x", name="f", arguments="{}")


def test_arguments_as_text_are_that_text() -> None:
    wire = {"function": {"name": "f", "arguments": '{"a":1}'}}
    [part] = assembled(decode(lines(said(tool_calls=[wire]), END))).choices[0].parts
    assert isinstance(part, ToolCall)
    assert part.arguments == '{"a":1}'


def test_an_error_after_some_lines_is_a_failure() -> None:
    events = decode(lines(said(content="I"), '{"error":"an error was encountered while running the model"}', END))
    check_events(events)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.status == 500
    assert "while running the model" in events[-1].error.message


def test_a_body_that_ends_without_a_word_has_no_end() -> None:
    events = decode(lines(said(content="H")))
    check_events(events, is_whole=False)
    assert not any(isinstance(event, Stopped) for event in events)


def test_a_last_line_without_its_end_counts() -> None:
    assert assembled(decode(lines(said(content="H"), END).rstrip())).choices[0].parts == [Text(text="H")]


@pytest.mark.parametrize(("reason", "stop"), [("length", "length"), ("stop", "end"), ("unload", "end"), (None, "end")])
def test_the_last_line_says_why(reason: str | None, stop: str) -> None:
    choice = assembled(decode(lines("", "junk", "{}", {**said(True, content="H"), "done_reason": reason}))).choices[0]
    assert (choice.parts, choice.stop) == ([Text(text="H")], stop)


def test_probabilities_come_with_their_text() -> None:
    token = {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "Y", "logprob": -1.0}]}
    choice = assembled(decode(lines({**said(content="H"), "logprobs": [token]}, END))).choices[0]
    assert choice.logprobs is not None
    [found] = choice.logprobs
    assert (found.token, found.logprob, found.bytes, found.top[0].token) == ("H", -0.5, (72,), "Y")


def test_a_time_that_is_none_is_not_said() -> None:
    assert assembled(decode(lines({**END, "created_at": "yesterday"}))).created == 0


def whole(answer: Answer) -> tuple[bytes, bytes]:
    """An answer as Ollama would say it, whole and as a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    chunks: list[dict[str, Any]] = []
    for part in answer.choices[0].parts:
        if isinstance(part, ToolCall):
            wire = {"id": part.id, "function": {"name": part.name, "arguments": json.loads(part.arguments)}}
            message.setdefault("tool_calls", []).append(wire)
            chunks.append(said(tool_calls=[wire]))
        elif isinstance(part, Text | Thinking):
            name = "content" if isinstance(part, Text) else "thinking"
            message[name] = part.text
            chunks += [said(**{name: letter}) for letter in part.text]
    last = {
        "done_reason": "length" if answer.choices[0].stop == "length" else "stop",
        "prompt_eval_count": answer.usage.input_tokens,
        "eval_count": answer.usage.output_tokens,
    }
    head = {"model": "m", "created_at": AT, "done": True}
    return json.dumps({**head, "message": message, **last}).encode(), lines(
        *({**chunk, "model": "m"} for chunk in chunks), {**said(True), **last, "model": "m"}
    )


@given(answers(), st.integers(1, 60))
def test_a_stream_and_a_whole_answer_say_the_same(answer: Answer, size: int) -> None:
    body, data = whole(answer)
    parsed = DIALECT.parse_answer(body)
    assert assembled(decode(data, size)) == parsed
    assert parsed.choices[0].stop == answer.choices[0].stop
    assert [part for part in parsed.choices[0].parts if not isinstance(part, ToolCall)] == [
        part for part in answer.choices[0].parts if not isinstance(part, ToolCall)
    ]
