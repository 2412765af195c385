"""Converse streams, read into the middle form."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.answers import answers
from tests.support.eventstream import event, exception, frame, text_header
from tests.support.grammar_middle import check_events

from tollway.core.usage import Usage
from tollway.dialects.converse import DIALECT
from tollway.dialects.generation.answer import Answer, Assembler, Delta, Event, Failed, PartStarted, Stopped
from tollway.dialects.generation.request import Media, Opaque, Seal, Text, Thinking, ToolCall

START = event("messageStart", role="assistant", p="abcdefgh")
END = event("messageStop", stopReason="end_turn") + event(
    "metadata", usage={"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, metrics={"latencyMs": 1}
)


def start(block: int, **given: Any) -> bytes:
    return event("contentBlockStart", contentBlockIndex=block, start=given)


def delta(block: int, **given: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=block, delta=given)


def stop(block: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=block)


def decode(data: bytes, size: int | None = None) -> list[Event]:
    decoder = DIALECT.decoder()
    events: list[Event] = []
    for at in range(0, len(data), size or len(data) or 1):
        events += decoder.feed(data[at : at + (size or len(data))])
    return events + decoder.end()


def assembled(data: bytes, size: int | None = None) -> Answer:
    events = decode(data, size)
    check_events(events)
    assembler = Assembler("converse")
    for each in events:
        assembler.add(each)
    return assembler.answer()


def blocks_of(answer: Answer) -> list[dict[str, Any]]:
    """The parts of an answer as a whole answer of Converse has them."""
    blocks: list[dict[str, Any]] = []
    for part in answer.choices[0].parts:
        match part:
            case Text():
                blocks.append({"text": part.text})
            case Thinking():
                blocks.append({"reasoningContent": {"reasoningText": {"text": part.text}}})
            case ToolCall():
                tool = {"toolUseId": part.id, "name": part.name, "input": json.loads(part.arguments)}
                blocks.append({"toolUse": tool})
    return blocks


STOPS = {"end": "end_turn", "length": "max_tokens", "tool_use": "tool_use"}


def usage_of(answer: Answer) -> dict[str, int]:
    usage = answer.usage
    return {
        "inputTokens": usage.input_tokens - usage.cache_read_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "outputTokens": usage.output_tokens,
    }


def streamed(answer: Answer, piece: int) -> bytes:
    """The answer as Bedrock streams it, in pieces of so many characters."""

    def pieces(text: str) -> list[str]:
        return [text[at : at + piece] for at in range(0, len(text), piece)]

    data = START
    for number, block in enumerate(blocks_of(answer)):
        if "text" in block:
            data += b"".join(delta(number, text=each) for each in pieces(block["text"]))
        elif "toolUse" in block:
            tool = block["toolUse"]
            data += start(number, toolUse={"toolUseId": tool["toolUseId"], "name": tool["name"]})
            text = json.dumps(tool["input"], separators=(",", ":"), ensure_ascii=False) if tool["input"] else ""
            data += b"".join(delta(number, toolUse={"input": each}) for each in pieces(text))
        else:
            text = block["reasoningContent"]["reasoningText"]["text"]
            data += b"".join(delta(number, reasoningContent={"text": each}) for each in pieces(text))
        data += stop(number)
    data += event("messageStop", stopReason=STOPS[answer.choices[0].stop])
    return data + event("metadata", usage=usage_of(answer), metrics={"latencyMs": 9})


def whole(answer: Answer) -> bytes:
    return msgspec.json.encode(
        {
            "output": {"message": {"role": "assistant", "content": blocks_of(answer)}},
            "stopReason": STOPS[answer.choices[0].stop],
            "usage": usage_of(answer),
            "metrics": {"latencyMs": 9},
        }
    )


@given(answers(), st.integers(1, 5), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_a_stream_says_what_the_whole_answer_says_however_it_is_split(answer: Answer, piece: int, size: int) -> None:
    found = assembled(streamed(answer, piece), size)
    assert found == DIALECT.parse_answer(whole(answer))
    assert found.choices == answer.choices
    assert found.usage == msgspec.structs.replace(answer.usage, reasoning_tokens=0)


@given(answers(), st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_a_stream_that_is_cut_is_legal_so_far_and_not_done(answer: Answer, cut: int) -> None:
    data = streamed(answer, 3)
    decoder = DIALECT.decoder()
    events = decoder.feed(data[: cut % len(data)]) + decoder.end()
    check_events(events, is_whole=False)
    assert not decoder.is_done


def test_the_last_event_is_the_end() -> None:
    decoder = DIALECT.decoder()
    decoder.feed(START + delta(0, text="H") + stop(0) + event("messageStop", stopReason="end_turn"))
    assert not decoder.is_done
    decoder.feed(event("metadata", usage={"inputTokens": 1, "outputTokens": 1}))
    assert decoder.is_done
    assert decoder.feed(delta(0, text="more")) == []


def test_texts_that_a_server_announces_are_read_too() -> None:
    assert assembled(START + start(0) + delta(0, text="") + delta(0, text="Hi") + stop(0) + END).choices[0].parts == [
        Text(text="Hi")
    ]


def test_thoughts_are_sealed_by_their_maker() -> None:
    data = START + delta(0, reasoningContent={"text": "h"}) + delta(0, reasoningContent={"text": "m"})
    data += delta(0, reasoningContent={"signature": "sig"}) + stop(0)
    data += delta(1, reasoningContent={"redactedContent": "c2VjcmV0"}) + stop(1) + delta(2, text="Hi") + stop(2)
    assert assembled(data + END).choices[0].parts == [
        Thinking(text="hm", seal=Seal("anthropic", "sig")),
        Thinking(seal=Seal("anthropic", "c2VjcmV0"), is_redacted=True),
        Text(text="Hi"),
    ]


def test_blocks_that_are_not_closed_are_closed_by_the_next() -> None:
    data = START + delta(0, text="a") + start(1, toolUse={"toolUseId": "t", "name": "f"}) + delta(2, text="b") + END
    assert assembled(data).choices[0].parts == [
        Text(text="a"),
        ToolCall(id="t", name="f", arguments="{}"),
        Text(text="b"),
    ]


def test_citations_belong_to_the_text_they_stand_in() -> None:
    citation = {"title": "A", "location": {"web": {"url": "https://a"}}, "sourceContent": [{"text": "q"}]}
    answer = assembled(START + delta(0, text="a") + delta(0, citation=citation) + delta(0, text="b") + stop(0) + END)
    [part] = answer.choices[0].parts
    assert isinstance(part, Text)
    assert part.text == "ab"
    assert [(each.url, each.title, each.cited_text) for each in part.citations] == [("https://a", "A", "q")]


def test_a_citation_may_come_before_its_text() -> None:
    answer = assembled(START + delta(0, citation={"source": "https://b"}) + delta(0, text="b") + stop(0) + END)
    [part] = answer.choices[0].parts
    assert isinstance(part, Text)
    assert (part.text, part.citations[0].url) == ("b", "https://b")


@pytest.mark.parametrize("pieces", [["abcdef"], ["abc", "def"]])
def test_images_are_put_together(pieces: list[str]) -> None:
    data = START + start(0, image={"format": "png"})
    data += b"".join(delta(0, image={"source": {"bytes": b64encode(each.encode()).decode()}}) for each in pieces)
    assert assembled(data + stop(0) + END).choices[0].parts == [
        Media(kind="image", media_type="image/png", data=b64encode(b"abcdef").decode())
    ]


def test_a_damaged_image_does_not_cost_the_answer() -> None:
    data = START + start(0, image={"format": "png"})
    data += delta(0, image={"source": {"bytes": "a"}}) + delta(0, image={"source": {"bytes": "b"}}) + stop(0)
    assert assembled(data + delta(1, text="Hi") + END).choices[0].parts[-1] == Text(text="Hi")


def test_tools_of_the_providers_own_stay_as_they_are() -> None:
    data = START + start(0, toolUse={"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"})
    data += delta(0, toolUse={"input": '{"q":'}) + delta(0, toolUse={"input": "1}"}) + stop(0)
    data += (
        start(1, toolResult={"toolUseId": "t", "status": "success"}) + delta(1, toolResult=[{"text": "x"}]) + stop(1)
    )
    parts = assembled(data + END).choices[0].parts
    assert all(isinstance(part, Opaque) and part.origin == "converse" for part in parts)
    assert [msgspec.json.decode(part.raw) for part in parts if isinstance(part, Opaque)] == [
        {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": 1}}},
        {"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "x"}]}},
    ]


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("end_turn", "end"),
        ("max_tokens", "length"),
        ("tool_use", "tool_use"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "context"),
        ("malformed_tool_use", "end"),
        ("brand_new", "end"),
    ],
)
def test_stop_reasons_are_the_middle_forms(reason: str, meant: str) -> None:
    events = decode(START + event("messageStop", stopReason=reason))
    assert [each.reason for each in events if isinstance(each, Stopped)] == [meant]


def test_the_stop_sequence_is_named_where_the_model_says_it() -> None:
    data = event("messageStop", stopReason="stop_sequence", additionalModelResponseFields={"stop_sequence": "END"})
    events = decode(START + data)
    assert [each.sequence for each in events if isinstance(each, Stopped)] == ["END"]


def test_usage_counts_each_class_once() -> None:
    usage = {
        "inputTokens": 4,
        "outputTokens": 7,
        "totalTokens": 111,
        "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 40,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}],
    }
    data = START + delta(0, text="H") + stop(0) + event("messageStop", stopReason="end_turn")
    assert assembled(data + event("metadata", usage=usage)).usage == Usage(
        input_tokens=104, cache_read_tokens=60, cache_write_tokens=10, cache_write_1h_tokens=30, output_tokens=7
    )


@pytest.mark.parametrize(
    ("name", "status", "error_class"),
    [
        ("throttlingException", 429, "RateLimitError"),
        ("validationException", 400, "BadRequestError"),
        ("serviceUnavailableException", 503, "ServiceUnavailableError"),
        ("internalServerException", 500, "InternalServerError"),
        ("modelStreamErrorException", 500, "InternalServerError"),
        ("brandNewException", 500, "InternalServerError"),
    ],
)
def test_an_exception_in_the_stream_is_a_failure_with_its_status(name: str, status: int, error_class: str) -> None:
    decoder = DIALECT.decoder()
    events = decoder.feed(START + delta(0, text="H") + exception(name, message="no more") + delta(0, text="x"))
    check_events(events, is_whole=False)
    assert decoder.is_done
    assert isinstance(events[-1], Failed)
    error = events[-1].error
    assert (error.status, error.error_class) == (status, error_class)
    assert "BedrockException - no more" in error.message


def test_what_the_model_itself_answered_is_kept() -> None:
    [failed] = decode(
        exception("modelStreamErrorException", message="model", originalStatusCode=429, originalMessage="slow down")
    )
    assert isinstance(failed, Failed)
    assert failed.error.status == 429
    assert "model (slow down)" in failed.error.message


def test_an_error_without_a_model_is_told_from_its_headers() -> None:
    headers = text_header(":message-type", "error") + text_header(":error-code", "InternalError")
    [failed] = decode(frame(headers + text_header(":error-message", "it broke"), b""))
    assert isinstance(failed, Failed)
    assert (failed.error.status, "it broke" in failed.error.message) == (500, True)


def test_damage_in_the_stream_is_a_failure_after_what_was_readable() -> None:
    broken = bytearray(delta(0, text="lost"))
    broken[-1] ^= 1
    events = decode(START + delta(0, text="kept") + bytes(broken) + END)
    check_events(events, is_whole=False)
    assert [each.text for each in events if isinstance(each, Delta)] == ["kept"]
    assert isinstance(events[-1], Failed)
    assert "wrong checksum" in events[-1].error.message


def test_events_that_nobody_knows_and_payloads_that_cannot_be_read_are_passed_over() -> None:
    headers = text_header(":message-type", "event") + text_header(":event-type", "contentBlockDelta")
    data = START + event("brandNew", x=1) + frame(headers, b"not json") + delta(0, text="H") + END
    assert assembled(data).choices[0].parts == [Text(text="H")]


def test_a_stream_without_its_first_event_begins_all_the_same() -> None:
    assert assembled(delta(0, text="H") + stop(0) + END).choices[0].parts == [Text(text="H")]
    assert assembled(END).choices[0].parts == []


def test_nothing_follows_the_stop() -> None:
    late = delta(1, text="late") + start(2, toolUse={"toolUseId": "t", "name": "f"})
    late += event("messageStop", stopReason="max_tokens")
    events = decode(START + delta(0, text="H") + event("messageStop", stopReason="end_turn") + late)
    check_events(events)
    assert len([each for each in events if isinstance(each, PartStarted)]) == 1
