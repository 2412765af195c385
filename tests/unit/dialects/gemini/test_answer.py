from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from tests.unit.dialects.gemini.samples import (
    BLOCKED,
    CALLS,
    CITED,
    DOCUMENTED,
    MEDIA,
    OPTIONS,
    PROBABLE,
    answers,
    said,
)

from tollway.core.usage import Usage
from tollway.dialects.gemini import DIALECT
from tollway.dialects.gemini.wire import read_usage
from tollway.dialects.generation.answer import Answer, Choice, TokenProbability
from tollway.dialects.generation.request import Citation, Media, Opaque, Seal, Text, Thinking, ToolCall


def parse(body: dict[str, Any]) -> Answer:
    return DIALECT.parse_answer(msgspec.json.encode(body))


def rendered(answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DIALECT.render_answer(answer, OPTIONS))
    return document


@pytest.mark.parametrize("body", DOCUMENTED, ids=["cited", "calls", "media", "probable", "blocked"])
def test_documented_answers_come_back_as_they_were(body: dict[str, Any]) -> None:
    types.GenerateContentResponse.model_validate(body)
    assert rendered(parse(body)) == body


def test_citations_count_in_characters() -> None:
    answer = parse(CITED)
    thought, text, *about = answer.choices[0].parts
    assert thought == Thinking(text="Thinking…")
    assert isinstance(text, Text)
    assert [(each.url, each.title) for each in text.citations] == [("https://a.test", "a"), ("https://b.test", "b")]
    first = text.citations[0]
    assert text.text[first.start : first.end] == "aus Köln."
    assert [part.kind for part in about if isinstance(part, Opaque)] == [
        "candidate.groundingMetadata",
        "candidate.safetyRatings",
        "candidate.avgLogprobs",
    ]


def test_citations_of_vertex() -> None:
    sources = {"citations": [{"startIndex": 0, "endIndex": 3, "uri": "https://a.test", "title": "t"}]}
    answer = parse({"candidates": [said({"text": "äb c"}, finishReason="STOP", citationMetadata=sources)]})
    text = answer.choices[0].parts[0]
    assert isinstance(text, Text)
    assert [(each.url, each.start, each.end) for each in text.citations] == [("https://a.test", 0, 2)]


def test_calls_without_an_id_get_one_that_is_theirs_alone() -> None:
    answer = parse(CALLS)
    choice = answer.choices[0]
    assert choice.stop == "tool_use"
    assert choice.parts == [
        Text(text="Let me look.", seal=Seal("gemini", "c2ln")),
        ToolCall(id="call_r2_0", name="look", arguments='{"at":1}', seal=Seal("gemini", "Y2FsbA==")),
        ToolCall(id="call_r2_1", name="look", arguments='{"at":2}'),
        ToolCall(id="own", name="stop", arguments="{}"),
    ]
    nameless = {key: value for key, value in CALLS.items() if key != "responseId"}
    first, second = (parse(nameless).choices[0].parts[at] for at in (1, 2))
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id != second.id
    assert parse(nameless) == parse(nameless)


def test_media_and_stops() -> None:
    first, second = parse(MEDIA).choices
    assert first.stop == "length"
    assert first.parts[1] == Media(kind="image", media_type="image/png", data="AAAA", seal=Seal("gemini", "aW1n"))
    assert first.parts[4] == Media(kind="audio", media_type="audio/pcm", data="AA==")
    assert second.stop == "content_filter"
    assert json.loads(bytes(second.stop_details or b"")) == {
        "finishReason": "SPII",
        "finishMessage": "no",
        "safetyRatings": [],
    }


def test_probabilities() -> None:
    assert parse(PROBABLE).choices[0].logprobs == [
        TokenProbability(
            token="a",
            logprob=-0.5,
            top=(TokenProbability(token="a", logprob=-0.5), TokenProbability(token="x", logprob=-2.0)),
        ),
        TokenProbability(token="b", logprob=-0.25, top=(TokenProbability(token="b", logprob=-0.25),)),
    ]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STOP", "tool_use"), ("FUNCTION_CALL", "tool_use"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter")],
)
def test_finish_reasons_after_calls(reason: str, expected: str) -> None:
    part = {"functionCall": {"name": "f", "args": {}}}
    assert parse({"candidates": [said(part, finishReason=reason)]}).choices[0].stop == expected


def test_a_blocked_prompt_is_an_answer_without_parts() -> None:
    answer = parse(BLOCKED)
    assert [(choice.parts, choice.stop) for choice in answer.choices] == [([], "content_filter")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "end"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "end"),
        ("OTHER", "end"),
        ("A_NEW_ONE", "end"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    body = {**CALLS, "candidates": [said({"text": "x"}, finishReason=reason, index=0)]}
    assert parse(body).choices[0].stop == expected
    assert rendered(parse(body)) == body


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        (
            # Thoughts and what tools put into the prompt stand beside the other counts.
            {
                "promptTokenCount": 27,
                "candidatesTokenCount": 45,
                "thoughtsTokenCount": 31,
                "toolUsePromptTokenCount": 10309,
                "totalTokenCount": 10412,
            },
            Usage(input_tokens=10336, output_tokens=76, reasoning_tokens=31),
        ),
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 15},
            Usage(input_tokens=10, output_tokens=5, reasoning_tokens=5),
        ),
        (
            # A server that counts thoughts among the candidates.
            {"promptTokenCount": 10, "candidatesTokenCount": 8, "thoughtsTokenCount": 5, "totalTokenCount": 18},
            Usage(input_tokens=10, output_tokens=8, reasoning_tokens=5),
        ),
        (
            {"promptTokenCount": 10, "totalTokenCount": 14},
            Usage(input_tokens=10, output_tokens=4),
        ),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 50,
                "candidatesTokenCount": 9,
                "totalTokenCount": 109,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 60},
                    {"modality": "AUDIO", "tokenCount": 40},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT", "tokenCount": 20}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}],
            },
            Usage(
                input_tokens=100,
                cache_read_tokens=50,
                input_audio_tokens=10,
                output_tokens=9,
                output_audio_tokens=9,
            ),
        ),
    ],
)
def test_classes_add_up_to_googles_total(wire: dict[str, Any], usage: Usage) -> None:
    body = {**CALLS, "usageMetadata": wire}
    assert parse(body).usage == usage
    assert usage.total_tokens == wire["totalTokenCount"]
    assert read_usage(msgspec.json.encode(body)) == usage
    assert usage.cache_read_tokens + usage.input_audio_tokens <= usage.input_tokens


def test_details_of_usage_that_cannot_be_read_are_passed_over() -> None:
    wire = {
        "promptTokenCount": 1,
        "totalTokenCount": 1,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": []}],
    }
    assert parse({**CALLS, "usageMetadata": wire}).usage == Usage(input_tokens=1)


def test_no_usage_is_none() -> None:
    assert read_usage(b'{"candidates":[]}') is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id":"x"}', b'{"error":{"code":400,"message":"no"}}'])
def test_anything_else_is_no_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        DIALECT.parse_answer(body)


def test_an_answer_of_nothing_has_one_empty_choice() -> None:
    assert parse({"usageMetadata": {"promptTokenCount": 1}}).choices == [Choice(parts=[])]


def test_citations_of_others_become_grounding() -> None:
    cited = Text(
        text="Grüße, Welt",
        citations=(
            Citation(url="https://a.test", title="a", start=7, end=11, origin="chat"),
            Citation(url="https://a.test", title="a", origin="messages"),
            Citation(cited_text="of a document", origin="messages"),
        ),
    )
    answer = Answer(origin="messages", id="m", model="x", choices=[Choice(parts=[Text(text="…"), cited])])
    metadata = rendered(answer)["candidates"][0]["groundingMetadata"]
    assert metadata == {
        "groundingChunks": [{"web": {"uri": "https://a.test", "title": "a"}}],
        "groundingSupports": [
            {
                "segment": {"partIndex": 1, "startIndex": 9, "endIndex": 13, "text": "Welt"},
                "groundingChunkIndices": [0],
            },
            {"segment": {"partIndex": 1, "endIndex": 13, "text": "Grüße, Welt"}, "groundingChunkIndices": [0]},
        ],
    }


def test_what_is_said_about_a_part_stays_with_it() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "AA"}, "partMetadata": {"a": 1}}
    body = {**CALLS, "candidates": [said(part, finishReason="STOP", index=0)]}
    assert rendered(parse(body)) == body


@given(answers)
def test_googles_types_take_every_answer(answer: Answer) -> None:
    types.GenerateContentResponse.model_validate_json(DIALECT.render_answer(answer, OPTIONS))


def test_grounding_that_cannot_be_read_is_kept() -> None:
    body = {**CALLS, "candidates": [said({"text": "x"}, finishReason="STOP", index=0, groundingMetadata=[1])]}
    assert rendered(parse(body)) == body
