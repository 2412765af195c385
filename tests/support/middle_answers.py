"""Random answers in the middle form, and their events cut into pieces: hypothesis strategies."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
from hypothesis import strategies as st

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Answer, Choice, Delta, Event, StopReason, events_of
from tollway.dialects.generation.request import Citation, Media, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall

_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_names = st.sampled_from(["get_weather", "apply_patch", "mcp__docs__search"])
_seals = st.none() | st.builds(Seal, st.sampled_from(["openai", "anthropic", "gemini"]), st.text("abc", min_size=1))
_arguments = st.dictionaries(st.sampled_from(["input", "city"]), _texts, max_size=2).map(json.dumps) | st.just("")
_citations = st.builds(Citation, url=st.just("https://example.com"), title=_texts, start=st.just(0), end=st.just(1))

_thoughts = st.builds(Thinking, text=_texts.filter(bool), seal=_seals)
_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=_texts, citations=st.lists(_citations, max_size=2).map(tuple), seal=_seals),
    st.builds(Refusal, text=_texts),
    _thoughts,
    st.builds(Thinking, is_redacted=st.just(True), seal=st.builds(Seal, st.just("anthropic"), st.just("sealed"))),
    st.builds(
        ToolCall, id=st.uuids().map(lambda unique: f"call_{unique.hex}"), name=_names, arguments=_arguments, seal=_seals
    ),
    st.builds(Media, kind=st.just("image"), media_type=st.just("image/png"), data=st.just("iVBORw0KGgo=")),
    st.builds(Opaque, origin=st.just("messages"), kind=st.just("server_tool_use"), raw=st.just(msgspec.Raw(b"{}"))),
)
_stops: st.SearchStrategy[StopReason] = st.sampled_from(
    ["end", "length", "tool_use", "stop_sequence", "content_filter", "refusal", "pause", "context"]
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer of one choice."""
    parts = draw(st.lists(_parts, max_size=5))
    usage = Usage(input_tokens=draw(st.integers(1, 99)), output_tokens=draw(st.integers(1, 99)))
    return Answer(
        origin="messages",
        id=draw(st.sampled_from(["msg_01", "chatcmpl-1", "resp_1", ""])),
        model="m",
        created=1,
        choices=[Choice(parts=parts, stop=draw(_stops))],
        usage=usage,
    )


@st.composite
def event_sequences(draw: st.DrawFn) -> tuple[Answer, list[Event]]:
    """An answer and its events, with each text in pieces, some of them empty."""
    answer = draw(answers())
    events: list[Event] = []
    for event in events_of(answer):
        if not isinstance(event, Delta):
            events.append(event)
            continue
        cuts = sorted(draw(st.lists(st.integers(0, len(event.text)), max_size=3)))
        edges = [0, *cuts, len(event.text)]
        events += [Delta(event.text[start:end]) for start, end in pairwise(edges)]
    return answer, events
