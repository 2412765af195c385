"""Answers in the middle form, made up, and Google's, as documented."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import (
    Answer,
    Choice,
    Delta,
    Event,
    Metered,
    Pinged,
    StopReason,
    events_of,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Citation, Media, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall

OPTIONS = StreamOptions(model="public", call_id="call-1", created=1)

CITED: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [{"text": "Thinking…", "thought": True}, {"text": "Grüße aus Köln. "}],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": {
                "webSearchQueries": ["köln"],
                "searchEntryPoint": {"renderedContent": "<b>"},
                "groundingChunks": [
                    {"web": {"uri": "https://a.test", "title": "a"}},
                    {"web": {"uri": "https://b.test", "title": "b"}},
                ],
                "groundingSupports": [
                    {
                        "segment": {"startIndex": 8, "endIndex": 18, "text": "aus Köln."},
                        "groundingChunkIndices": [0, 1, 9],
                        "confidenceScores": [0.9, 0.8],
                    }
                ],
            },
            "avgLogprobs": -0.25,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 150,
    },
    "modelVersion": "public",
    "responseId": "r1",
}
CALLS: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Let me look.", "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "look", "args": {"at": 1}}, "thoughtSignature": "Y2FsbA=="},
                    {"functionCall": {"name": "look", "args": {"at": 2}}},
                    {"functionCall": {"id": "own", "name": "stop", "args": {}}},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12},
    "modelVersion": "public",
    "responseId": "r2",
}
MEDIA: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Here: "},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "aW1n"},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                    {"inlineData": {"mimeType": "audio/pcm", "data": "AA=="}},
                ],
                "role": "model",
            },
            "finishReason": "MAX_TOKENS",
            "index": 0,
        },
        {
            "content": {"parts": [{"text": "Other"}], "role": "model"},
            "finishReason": "SPII",
            "finishMessage": "no",
            "index": 1,
            "safetyRatings": [],
        },
    ],
    "usageMetadata": {
        "promptTokenCount": 50,
        "candidatesTokenCount": 20,
        "totalTokenCount": 70,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 10},
            {"modality": "AUDIO", "tokenCount": 40},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
    },
    "modelVersion": "public",
    "responseId": "r3",
}
PROBABLE: dict[str, Any] = {
    "candidates": [
        {
            "content": {"parts": [{"text": "ab"}], "role": "model"},
            "finishReason": "STOP",
            "index": 0,
            "logprobsResult": {
                "chosenCandidates": [
                    {"token": "a", "logProbability": -0.5},
                    {"token": "b", "logProbability": -0.25},
                ],
                "topCandidates": [
                    {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "x", "logProbability": -2.0}]},
                    {"candidates": [{"token": "b", "logProbability": -0.25}]},
                ],
            },
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
    "modelVersion": "public",
    "responseId": "r4",
}
BLOCKED: dict[str, Any] = {
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []},
    "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 0, "totalTokenCount": 8},
    "modelVersion": "public",
    "responseId": "r5",
}
DOCUMENTED = [CITED, CALLS, MEDIA, PROBABLE, BLOCKED]


def event(chunk: dict[str, Any]) -> bytes:
    """A chunk as Google sends it."""
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n\r\n"


def streamed(*candidates: dict[str, Any], usage: dict[str, Any] | None = None) -> bytes:
    """A stream: each candidate is a chunk's only one."""
    return b"".join(
        event(
            {
                "candidates": [{"index": 0, **candidate}],
                "usageMetadata": usage or {"promptTokenCount": 3, "totalTokenCount": 3},
                "modelVersion": "gemini-x",
                "responseId": "r",
            }
        )
        for candidate in candidates
    )


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A candidate."""
    return {"content": {"parts": list(parts), "role": "model"}, **more}


_words = st.text(max_size=12)
_seals = st.none() | st.builds(Seal, st.sampled_from(["gemini", "anthropic"]), st.sampled_from(["c2ln", "eHg="]))
_citations = st.lists(
    st.builds(
        Citation,
        url=st.none() | st.just("https://a.test"),
        title=st.none() | st.just("t"),
        start=st.none() | st.integers(0, 5),
        end=st.none() | st.integers(5, 9),
    ),
    max_size=2,
).map(tuple)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=_words, seal=_seals, citations=_citations),
    st.builds(Refusal, text=_words),
    st.builds(Thinking, text=_words, seal=_seals),
    st.just(Thinking(seal=Seal("anthropic", "abc"), is_redacted=True)),
    st.builds(
        ToolCall,
        id=st.sampled_from(["toolu_1", "call_9"]),
        name=st.just("f"),
        arguments=st.sampled_from(["", "{}", '{"a":{"b":[1]}}', "[1]", '{"a":', "free"]),
        is_custom=st.booleans(),
        seal=_seals,
    ),
    st.just(Media(kind="image", media_type="image/png", data="AAAA")),
    st.just(Media(kind="file", file_id="file-1")),
    st.just(Opaque(origin="messages", kind="server_tool_use", raw=Raw(b"{}"))),
    st.just(Opaque(origin="gemini", kind="executableCode", raw=Raw(b'{"executableCode":{"code":"1"}}'))),
)
_REASONS: list[StopReason] = [
    "end", "length", "tool_use", "stop_sequence", "content_filter", "refusal", "pause", "context",
]  # fmt: skip


def _answer(found: list[Choice], usage: Usage) -> Answer:
    for index, choice in enumerate(found):
        choice.index = index
    return Answer(origin="messages", id="msg_1", model="m", choices=found, usage=usage)


answers = st.builds(
    _answer,
    st.lists(
        st.builds(Choice, parts=st.lists(parts, max_size=5), stop=st.sampled_from(_REASONS)), min_size=1, max_size=2
    ),
    st.builds(
        Usage, input_tokens=st.integers(0, 9), output_tokens=st.integers(5, 9), reasoning_tokens=st.integers(0, 5)
    ),
)
"""Whatever a model of another vendor may answer."""


@st.composite
def sequences(draw: st.DrawFn) -> list[Event]:
    """The events of an answer as they may come: texts in pieces, choices by turns, pings and counts between them."""
    answer = draw(answers)
    started, *rest = events_of(answer)
    queues = [
        [piece for event in rest if getattr(event, "choice", None) == choice.index for piece in draw(_pieces(event))]
        for choice in answer.choices
    ]
    events: list[Event] = [started]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        events.append(queue.pop(0))
        events += draw(st.lists(st.sampled_from([Pinged(), Metered(Usage(output_tokens=1))]), max_size=1))
    return [*events, Metered(answer.usage)]


def _pieces(event: Event) -> st.SearchStrategy[list[Event]]:
    if not isinstance(event, Delta):
        return st.just([event])
    text, choice = event.text, event.choice
    return st.integers(0, len(text)).map(lambda cut: [Delta(text[:cut], choice), Delta(text[cut:], choice)])


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "name", "parts", "enum", "x"]), inner, max_size=2)
    ),
    max_leaves=3,
)
"""Any JSON value."""


@st.composite
def spoiled(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """A good document with junk at one place, at any depth."""
    body: dict[str, Any] = json.loads(json.dumps(good))
    place: Any = body
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 3)) == 0:
            place[key] = draw(junk)
            return body
        place = inner
