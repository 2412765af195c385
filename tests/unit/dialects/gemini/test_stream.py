from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grammar_gemini import check_chunks, read_sse
from tests.support.grammar_middle import check_events
from tests.unit.dialects.gemini.samples import (
    CITED,
    DOCUMENTED,
    OPTIONS,
    answers,
    event,
    said,
    sequences,
    spoiled,
    streamed,
)

from tollway.core.errors import BudgetExceeded, UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.gemini import DIALECT
from tollway.dialects.generation.answer import (
    Answer,
    Assembler,
    Choice,
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartStarted,
    Started,
    Stopped,
    events_of,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Part, Seal, Text, Thinking, ToolCall


def decoded(*pieces: bytes) -> list[Event]:
    decoder = DIALECT.decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.end()
    return events


def assembled(events: list[Event]) -> Answer:
    assembler = Assembler("gemini")
    for each in events:
        assembler.add(each)
    return assembler.answer()


def encoded(events: list[Event], options: StreamOptions = OPTIONS, error: Any = None) -> bytes:
    encoder = DIALECT.encoder(options)
    return b"".join(encoder.push([each]) for each in events) + encoder.close(error)


CHUNKED = streamed(
    said({"text": "Hm", "thought": True}),
    said({"text": "m.", "thought": True}),
    said({"text": "Grü"}),
    said({"text": "ße"}),
    said({"text": "", "thoughtSignature": "c2ln"}),
    said({"functionCall": {"name": "f", "args": {"a": [1, {"b": "\n\n"}]}}, "thoughtSignature": "Y2FsbA=="}),
    said({"functionCall": {"id": "x", "name": "g", "args": {}}}),
    said({"text": ""}, finishReason="STOP"),
    usage={"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "totalTokenCount": 12},
)
EXPECTED: list[Part] = [
    Thinking(text="Hmm."),
    Text(text="Grüße", seal=Seal("gemini", "c2ln")),
    ToolCall(id="call_r_0", name="f", arguments='{"a":[1,{"b":"\\n\\n"}]}', seal=Seal("gemini", "Y2FsbA==")),
    ToolCall(id="x", name="g", arguments="{}"),
]


def test_texts_that_follow_each_other_are_one_part_and_calls_come_whole() -> None:
    events = decoded(CHUNKED)
    check_events(events)
    answer = assembled(events)
    assert answer.choices == [Choice(parts=EXPECTED, stop="tool_use")]
    assert (answer.id, answer.model) == ("r", "gemini-x")
    assert answer.usage == Usage(input_tokens=3, output_tokens=9, reasoning_tokens=5)
    assert isinstance(events[0], Started)
    assert events[0].usage.input_tokens == 3


@given(st.lists(st.integers(0, len(CHUNKED)), max_size=12))
def test_a_stream_split_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(CHUNKED)})
    found = decoded(*(CHUNKED[start:end] for start, end in pairwise(places)))
    assert _plain(found) == _plain(decoded(CHUNKED))


def _plain(events: list[Event]) -> list[Any]:
    return [(each.__class__.__name__, msgspec.json.encode(each)) for each in events if not isinstance(each, Failed)]


@given(st.integers(0, len(CHUNKED)))
def test_a_stream_cut_anywhere_is_legal_and_incomplete(cut: int) -> None:
    decoder = DIALECT.decoder()
    events = decoder.feed(CHUNKED[:cut])
    check_events(events, is_whole=False)
    assert not any(isinstance(each, Stopped) for each in events)
    assert not decoder.is_done


def test_a_body_that_ends_without_a_finish_reason_is_no_whole_answer() -> None:
    events = decoded(streamed(said({"text": "a"})))
    assert not any(isinstance(each, Stopped) for each in events)


@pytest.mark.parametrize("body", DOCUMENTED, ids=["cited", "calls", "media", "probable", "blocked"])
def test_stream_and_whole_answer_give_the_same(body: dict[str, Any]) -> None:
    whole = DIALECT.parse_answer(msgspec.json.encode(body))
    streamed_answer = assembled(decoded(event(body)))
    if not streamed_answer.choices:
        assert whole.choices[0].parts == []
    assert _json(streamed_answer) == _json(whole)


def _json(answer: Answer) -> Any:
    """For comparing: raw values compare by identity."""
    return json.loads(msgspec.json.encode(answer))


def test_newlines_may_be_bare() -> None:
    assert _plain(decoded(CHUNKED.replace(b"\r\n", b"\n"))) == _plain(decoded(CHUNKED))


def test_finish_reasons_in_every_chunk_end_nothing_early() -> None:
    events = decoded(streamed(said({"text": "a"}, finishReason="STOP"), said({"text": "b"}, finishReason="MAX_TOKENS")))
    check_events(events)
    assert assembled(events).choices == [Choice(parts=[Text(text="ab")], stop="length")]


def test_citations_come_before_the_text_is_closed() -> None:
    candidate = CITED["candidates"][0]
    grounded = {key: value for key, value in candidate.items() if key not in ("content", "index")}
    events = decoded(streamed(said({"text": "Grüße aus "}), said({"text": "Köln. "}), grounded))
    check_events(events)
    cited = [each.citation for each in events if isinstance(each, Cited)]
    assert [(each.url, each.start, each.end) for each in cited] == [
        ("https://a.test", 6, 15),
        ("https://b.test", 6, 15),
    ]


def test_seals_part_texts() -> None:
    events = decoded(
        streamed(
            said({"text": "a", "thoughtSignature": "eA=="}, {"text": "b"}),
            said({"text": "c", "thought": True, "thoughtSignature": "eQ=="}),
            said({"text": "d", "thought": True}),
            said({"thought": True, "thoughtSignature": "dG9sbHdheS5hbnRocm9waWMuYWJj"}),
            said({"text": ""}, finishReason="STOP"),
        )
    )
    check_events(events)
    assert assembled(events).choices[0].parts == [
        Text(text="a", seal=Seal("gemini", "eA==")),
        Text(text="b"),
        Thinking(text="c", seal=Seal("gemini", "eQ==")),
        Thinking(text="d"),
        Thinking(seal=Seal("anthropic", "abc"), is_redacted=True),
    ]


def test_several_answers_are_kept_apart() -> None:
    events = decoded(
        streamed(
            said({"text": "a"}),
            said({"text": "x"}, index=1),
            said({"text": "b"}, finishReason="STOP"),
            said({"text": "y"}, index=1, finishReason="STOP"),
        )
    )
    check_events(events)
    assert [choice.parts for choice in assembled(events).choices] == [[Text(text="ab")], [Text(text="xy")]]


def test_usage_is_told_when_it_changes() -> None:
    body = b"".join(
        event(
            {
                "candidates": [said({"text": "a"}, index=0)],
                "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": n},
            }
        )
        for n in (1, 1, 2)
    )
    metered = [each.usage.output_tokens for each in decoded(body) if isinstance(each, Metered)]
    assert metered == [1, 2]


@pytest.mark.parametrize(
    "tail",
    [
        b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\r\n\r\n',
        b'{\n  "error": {\n    "code": 503,\n    "message": "overloaded"\n  }\n}\n',
        b'[{"error":{"code":503,"message":"overloaded"}}]',
    ],
)
def test_errors_in_the_middle(tail: bytes) -> None:
    events = decoded(streamed(said({"text": "a"})) + tail)
    check_events(events)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.error.upstream_status == 503
    assert "overloaded" in failed.error.message


def test_what_is_no_json_is_passed_over() -> None:
    events = decoded(b": hello\n\ndata: what\n\ndata: [1]\n\n" + CHUNKED)
    assert assembled(events).choices[0].parts == EXPECTED


def test_parts_that_cannot_be_read_are_passed_over() -> None:
    events = decoded(streamed(said({"functionCall": {}}, {"text": "a"}, {"new": {"x": 1}}, finishReason="STOP")))
    check_events(events)
    parts = assembled(events).choices[0].parts
    assert parts[0] == Text(text="a")
    assert len(parts) == 2


@settings(max_examples=40)
@given(answers)
def test_every_answer_is_a_legal_stream(answer: Answer) -> None:
    chunks = read_sse(encoded(events_of(answer)))
    check_chunks(chunks)
    back = assembled(decoded(*(event(chunk) for chunk in chunks)))
    whole = DIALECT.parse_answer(DIALECT.render_answer(answer, OPTIONS))
    assert [_said(choice) for choice in back.choices] == [_said(choice) for choice in whole.choices]
    assert back.usage == whole.usage == answer.usage


def _said(choice: Choice) -> list[Any]:
    """Texts joined: where one part ends and the next begins is not said in Gemini's streams."""
    found: list[Any] = []
    for part in choice.parts:
        if isinstance(part, Text | Thinking):
            if part.text:
                if found and found[-1][0] == part.__class__.__name__:
                    found[-1] = (part.__class__.__name__, found[-1][1] + part.text)
                else:
                    found.append((part.__class__.__name__, part.text))
        elif not getattr(part, "kind", "").startswith("candidate."):
            found.append((part.__class__.__name__, msgspec.json.encode(part)))
    return found


@settings(max_examples=60)
@given(sequences(), st.data())
def test_every_cut_stream_ends_legally(events: list[Event], data: st.DataObject) -> None:
    check_events(events)
    check_chunks(read_sse(encoded(events)))
    cut = data.draw(st.integers(0, len(events)))
    error = UpstreamError("gone", status=502)
    broken = read_sse(encoded(events[:cut], error=error))
    check_chunks(broken, is_whole=False)
    assert broken[-1]["error"]["message"] == "gone"
    check_chunks(read_sse(encoded(events[:cut])))


@settings(max_examples=40)
@given(sequences())
def test_pieces_and_turns_change_nothing(events: list[Event]) -> None:
    whole = assembled(events)
    back = assembled(decoded(*(event(chunk) for chunk in read_sse(encoded(events)))))
    expected = DIALECT.parse_answer(DIALECT.render_answer(whole, OPTIONS))
    assert [_said(choice) for choice in back.choices] == [_said(choice) for choice in expected.choices]
    assert back.usage == whole.usage


@settings(max_examples=40)
@given(answers, st.booleans())
def test_without_sse_a_stream_is_one_json_array(answer: Answer, is_broken: bool) -> None:
    error = UpstreamError("gone") if is_broken else None
    array = encoded(events_of(answer), StreamOptions(model="public", call_id="call-1", is_sse=False), error)
    chunks: list[dict[str, Any]] = json.loads(array)
    assert chunks == read_sse(encoded(events_of(answer), error=error))


def test_chunks_are_written_as_google_writes_them() -> None:
    events: list[Event] = [
        Started(id="r", model="x"),
        PartStarted(Text(text=""), 0),
        Delta("Hi"),
    ]
    encoder = DIALECT.encoder(OPTIONS)
    assert encoder.push(events) == (
        b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],'
        b'"modelVersion":"public","responseId":"r"}\r\n\r\n'
    )
    assert encoder.push([Stopped("length"), Metered(Usage(input_tokens=1, output_tokens=2))]) == b""
    assert encoder.close(None) == (
        b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS",'
        b'"index":0}],"modelVersion":"public","responseId":"r","usageMetadata":{"promptTokenCount":1,'
        b'"candidatesTokenCount":2,"totalTokenCount":3}}\r\n\r\n'
    )
    assert encoder.close(None) == b""


def test_the_stream_of_a_blocked_prompt_has_no_answers() -> None:
    body = DOCUMENTED[-1]
    chunks = read_sse(encoded(decoded(event(body))))
    check_chunks(chunks)
    assert chunks[0]["promptFeedback"] == body["promptFeedback"]


def test_grounding_comes_back_as_it_was() -> None:
    chunks = read_sse(encoded(decoded(event(CITED))))
    check_chunks(chunks)
    assert chunks[-1]["candidates"][0]["groundingMetadata"] == CITED["candidates"][0]["groundingMetadata"]


def test_errors_before_anything_was_sent() -> None:
    chunks = read_sse(encoded([], error=BudgetExceeded("spent")))
    assert chunks == [
        {
            "error": {
                "code": 422,
                "message": "spent",
                "status": "FAILED_PRECONDITION",
                "type": "budget_exceeded",
                "param": None,
            }
        }
    ]


@settings(max_examples=200)
@given(st.sampled_from(DOCUMENTED).flatmap(spoiled))
def test_no_chunk_breaks_the_decoder(chunk: dict[str, Any]) -> None:
    events = decoded(streamed(said({"text": "a"})) + event(chunk))
    check_events(events, is_whole=False)
    assert read_sse(encoded([each for each in events if not isinstance(each, Failed)]))


def test_probabilities_go_through() -> None:
    chunks = read_sse(encoded(decoded(event(DOCUMENTED[3]))))
    assert chunks[0]["candidates"][0]["logprobsResult"] == DOCUMENTED[3]["candidates"][0]["logprobsResult"]


def test_nothing_counts_after_an_error() -> None:
    failing = event({"error": {"code": 500, "message": "x"}})
    events = decoded(failing + CHUNKED)
    assert [each.__class__ for each in events] == [Failed]


def test_a_last_chunk_without_its_blank_line_counts() -> None:
    assert _plain(decoded(CHUNKED[:-4])) == _plain(decoded(CHUNKED))


def test_a_signature_alone_is_of_an_empty_text() -> None:
    events = decoded(streamed(said({"thoughtSignature": "eA=="}, finishReason="STOP")))
    check_events(events)
    assert assembled(events).choices[0].parts == [Text(text="", seal=Seal("gemini", "eA=="))]


def test_texts_with_more_to_them_keep_their_seals() -> None:
    part = {"text": "a", "thoughtSignature": "dG9sbHdheS5hbnRocm9waWMuYWJj", "partMetadata": {"x": 1}}
    events = decoded(streamed(said(part, {"text": "t", "thought": True, "new": 1}, finishReason="STOP")))
    check_events(events)
    parts = assembled(events).choices[0].parts
    assert parts[0] == Text(text="a", seal=Seal("anthropic", "abc"))
    assert Thinking(text="t") in parts
